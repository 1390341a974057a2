package nft

import (
	"errors"

	"fairlead/internal/core/hop"

	"golang.org/x/sys/unix"
)

// tally is one counter over all the tables that it was in.
type tally struct {
	before Counter // in those that are gone
	last   Counter // in the kernel, when it was last read
}

// count reads the counters. One that began anew goes on from what it was: nobody
// sees it fall.
func (g *Guard) count() error {
	err := g.eachCounter(func(name string, c Counter) {
		t := g.tally[name]
		if c.Packets < t.last.Packets {
			t.before = Counter{Packets: t.before.Packets + t.last.Packets, Bytes: t.before.Bytes + t.last.Bytes}
		}
		t.last = c
		g.tally[name] = t
	})
	if errors.Is(err, unix.ENOENT) {
		return nil // no table: the tallies tell
	}
	return err
}

func (g *Guard) total(name string) hop.Traffic {
	t := g.tally[name]
	return hop.Traffic{Packets: t.before.Packets + t.last.Packets, Bytes: t.before.Bytes + t.last.Bytes}
}

// forget keeps the tallies of the table's counters alone. With anew the kernel's
// counters went on from the totals.
func (g *Guard) forget(t *hop.GuardTable, anew bool) {
	kept := make(map[string]tally, len(t.Counters))
	for _, name := range t.Counters {
		kept[name] = g.tally[name]
		if anew {
			kept[name] = tally{last: Counter(g.total(name))}
		}
	}
	g.tally = kept
}
