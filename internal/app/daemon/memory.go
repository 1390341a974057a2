package daemon

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After much work, the Go runtime keeps the memory for the next time. A relay has little to do
// most of the time, often on a small machine. So when there is little to do, it returns the
// memory that it does not use to the system.
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

// memory is how much the last collection found in use, and how much memory of the system the heap
// has.
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
