package nft

import (
	"fmt"
	"slices"

	"fairlead/internal/core/hop"
)

// maxLinks bounds the number of interfaces whose frames the table filters.
const maxLinks = 1024

// follow keeps the table of frames in step with the links that there are. intact is false if
// another program has changed the table. problem says why not all frames are held back, or is
// empty. While the kernel refuses something, each call tries again.
func (g *Guard) follow() (intact bool, problem string) {
	if !g.owner.StopsFrames() {
		return true, ""
	}
	if len(g.guarded) == 0 {
		if err := g.frames.remove(); err != nil {
			return true, err.Error()
		}
		return true, ""
	}
	links, err := listLinks(g.devices)
	if err != nil {
		return true, err.Error()
	}
	for range maxTries {
		intact, err := g.framesAt(links)
		if intact {
			return true, tooMany(links)
		}
		// A link that has gone has taken its chain along.
		now, failed := listLinks(g.devices)
		switch {
		case failed != nil:
			return true, failed.Error()
		case !slices.Equal(now, links):
			links = now
		case err != nil:
			return true, err.Error()
		default:
			return false, ""
		}
	}
	return true, "interfaces come and go all the time"
}

func tooMany(links []hop.GuardLink) string {
	if len(links) <= maxLinks {
		return ""
	}
	return fmt.Sprintf("there are %d interfaces: only the first %d are guarded", len(links), maxLinks)
}

// framesAt makes the table again if the links have changed. Otherwise it looks whether the table
// is as it was made.
func (g *Guard) framesAt(links []hop.GuardLink) (intact bool, err error) {
	if g.frames.table != nil && slices.Equal(links, g.links) {
		return g.frames.intact()
	}
	g.frames.table = nil // until it is known to be there
	t := g.owner.FrameTable(g.guarded, links[:min(len(links), maxLinks)])
	if err := g.frames.install(&t); err != nil {
		return false, err
	}
	g.links = links
	return true, nil
}
