package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What a burst of work takes from the system, the runtime keeps for the next one.
// A relay is calm nearly always, and on small machines; so it gives back, once it
// is, what it does not use.
const (
	lookEvery  = 2 * time.Second
	calm       = 200     // datagrams in that time
	worthwhile = 4 << 20 // octets, and an eighth of what is in use
)

// giveBack runs until ctx ends.
func (d *daemon) giveBack(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	before := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		received := d.received()
		if received-before < calm {
			if used, taken := memory(); taken > used+used/8+worthwhile {
				for _, p := range d.players {
					p.Inbox().Shrink()
				}
				debug.FreeOSMemory()
			}
		}
		before = received
	}
}

// memory is what the last collection found in use, and what the heap holds of the
// system's memory.
func memory() (used, taken uint64) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples[1:] {
		taken += s.Value.Uint64()
	}
	return samples[0].Value.Uint64(), taken
}
