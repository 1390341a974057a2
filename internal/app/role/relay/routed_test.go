package relay

import (
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink"
)

// The core forgets what routes lead to a link that goes down or away. It has to be told
// again also where the link is back before anybody has looked: then the links are the
// same, and perhaps the routes.
func TestRoutedIsToldAgainAfterAFlap(t *testing.T) {
	p := quietPlayed(t)
	var asked []bool
	p.routed = func(_ map[int]uint32, anew bool) { asked = append(asked, anew) }
	up := links.Link{Index: linkA, Name: "dA", Up: true, Running: true}
	down := up
	down.Up = false
	for name, c := range map[string]struct {
		events []netlink.Event
		anew   bool
	}{
		"an address":    {[]netlink.Event{{Link: &up}}, false},
		"down and up":   {[]netlink.Event{{Link: &down}, {Link: &up}}, true},
		"away and back": {[]netlink.Event{{Removed: "dA"}, {Link: &up}}, true},
	} {
		asked = nil
		var eff effect.Effects
		for _, e := range c.events {
			p.LinkChanged(p.Core, e, &eff)
		}
		p.LinksChanged(p.Core)
		p.LinksChanged(p.Core)
		if len(asked) != 2 || asked[0] != c.anew || asked[1] {
			t.Errorf("%s: asked to look anew: %v, want first %v and then false", name, asked, c.anew)
		}
	}
}
