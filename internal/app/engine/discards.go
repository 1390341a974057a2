package engine

import (
	"errors"
	"sync"

	"fairlead/internal/core/effect"
	"fairlead/internal/host/udp"
)

// discards counts the datagrams that go no further without the core's word: those that
// are not admitted or come from who is in quarantine, and what the core has sent and did
// not leave. The loop brings the numbers to the core, where each link has one count for
// each reason, which outlives its index and its name.
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
	d.lost[discard{link, reason}]++ // links and reasons bound it
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

// Withheld is why a datagram did not leave that the sockets were not asked to send.
type Withheld struct {
	Reason effect.Drop
	Text   string
}

func (h *Withheld) Error() string { return "held back: " + h.Text }

// What the pipeline holds back.
var (
	ErrNotKept      = &Withheld{effect.DropNotKept, "not kept"}
	ErrNotInstalled = &Withheld{effect.DropNotInstalled, "not installed"}
)

// unsent counts a datagram that did not leave, and tells the role. It is for the loop,
// the pipeline and the senders.
func (e *Engine[C]) unsent(o udp.Outgoing, err error) {
	reason := effect.DropSendFailed
	if withheld := (*Withheld)(nil); errors.As(err, &withheld) {
		reason = withheld.Reason
	}
	e.discards.add(o.Link, reason)
	e.role.Unsent(o, err)
}
