package engine

import (
	"errors"
	"sync"

	"fairlead/internal/core/effect"
	"fairlead/internal/host/udp"
)

// discards counts the datagrams that the engine discards and not the core: those that are not
// admitted, those whose sender is in quarantine, and those that the core has sent but that did
// not leave. The loop brings the numbers to the core. There, each link has one count for each
// reason, which stays when the link gets another index or name.
type discards struct {
	mu   sync.Mutex // guards lost
	lost map[discard]uint64
}

type discard struct {
	link   int
	reason effect.Drop
}

func newDiscards() *discards { return &discards{lost: make(map[discard]uint64)} }

func (d *discards) add(link int, reason effect.Drop) {
	d.mu.Lock()
	d.lost[discard{link, reason}]++ // the map is bounded by the number of links and of reasons
	d.mu.Unlock()
}

// bring hands the core what was discarded since the last time.
func (d *discards) bring(core Core) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at, n := range d.lost {
		core.CountDrop(at.link, at.reason, n)
		delete(d.lost, at)
	}
}

// Withheld is the reason why a datagram did not leave although no socket failed: it was held
// back.
type Withheld struct {
	Reason effect.Drop
	Text   string
}

func (h *Withheld) Error() string { return "held back: " + h.Text }

// The reasons for which the pipeline holds a datagram back.
var (
	ErrNotKept      = &Withheld{effect.DropNotKept, "not kept"}
	ErrNotInstalled = &Withheld{effect.DropNotInstalled, "not installed"}
)

// unsent counts a datagram that did not leave, and tells the role. The loop, the pipeline and the
// senders call it.
func (e *Engine[C]) unsent(o udp.Outgoing, err error) {
	reason := effect.DropSendFailed
	if withheld := (*Withheld)(nil); errors.As(err, &withheld) {
		reason = withheld.Reason
	}
	e.discards.add(o.Link, reason)
	e.role.Unsent(o, err)
}
