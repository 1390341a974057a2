package nft

import (
	"errors"

	"fairlead/internal/core/hop"

	"golang.org/x/sys/unix"
)

// tally adds one counter up over all tables that it was in.
type tally struct {
	before Counter // sum over the tables that are gone
	last   Counter // value in the kernel when it was last read
}

// count reads the counters. A counter that has begun again goes on from its old value: nobody
// sees it decrease.
func (k *guardTable) count() error {
	err := k.eachCounter(func(name string, c Counter) {
		t := k.tally[name]
		if c.Packets < t.last.Packets {
			t.before = Counter{Packets: t.before.Packets + t.last.Packets, Bytes: t.before.Bytes + t.last.Bytes}
		}
		t.last = c
		k.tally[name] = t
	})
	if errors.Is(err, unix.ENOENT) {
		return nil // there is no table: the tallies are the counts
	}
	return err
}

func (k *guardTable) total(name string) hop.Traffic {
	t := k.tally[name]
	return hop.Traffic{Packets: t.before.Packets + t.last.Packets, Bytes: t.before.Bytes + t.last.Bytes}
}

// forget keeps only the tallies of the table's counters. With anew, the counters of the kernel
// began with the totals.
func (k *guardTable) forget(t *hop.GuardTable, anew bool) {
	tallies := make(map[string]tally, len(t.Counters))
	for _, name := range t.Counters {
		tallies[name] = k.tally[name]
		if anew {
			tallies[name] = tally{last: Counter(k.total(name))}
		}
	}
	k.tally = tallies
}

func sum(a, b hop.Traffic) hop.Traffic {
	return hop.Traffic{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}
