package network

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/host/udp"
)

// errUnprotected is what holds a datagram back, beside the engine's reasons.
var errUnprotected = &engine.Withheld{Reason: effect.DropUnprotected, Text: "the peer is not protected"}

// Failures logs datagrams that did not leave, and keeps what status and the counters of
// peers need of them. It is used from the loop and from the pipeline.
type Failures struct {
	log  *slog.Logger
	once *notes.Limiter

	mu      sync.Mutex            // guards all following fields
	unsent  map[netip.Addr]uint64 // to peers, by their address
	answers unsentAnswers
}

// unsentAnswers are datagrams to clients, or to relays below, that did not leave.
type unsentAnswers struct {
	times uint64
	last  time.Time
	why   string
}

// NewFailures knows of none.
func NewFailures(log *slog.Logger, once *notes.Limiter) *Failures {
	return &Failures{log: log, once: once, unsent: make(map[netip.Addr]uint64)}
}

// Report takes in that a datagram did not leave, and why.
func (f *Failures) Report(o udp.Outgoing, err error) {
	f.remember(o, err)
	subject := "send " + strconv.Itoa(o.Link) // a client's address would let clients fill the log
	if o.Kind == udp.ToPeer {
		subject += " " + o.Dest.Addr().String()
	}
	if n, due := f.once.Due(subject, service.Now().Boot); due {
		f.log.Warn("datagram not sent", "dest", o.Dest, "link", o.Link, "error", err, "times", n)
	}
}

// remember keeps what status and the counters of peers need of a datagram that did
// not leave.
func (f *Failures) remember(o udp.Outgoing, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.Kind == udp.ToPeer {
		f.unsent[o.Dest.Addr()]++ // peers bound it
		return
	}
	f.answers = unsentAnswers{f.answers.times + 1, time.Now(), err.Error()}
}

// Recent is how long something that went wrong is shown in status.
const Recent = 10 * time.Minute

// Trouble is what of the answers that could not be sent an operator should know.
func (f *Failures) Trouble(now time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers.times == 0 || now.Sub(f.answers.last) > Recent {
		return ""
	}
	return fmt.Sprintf("clients: %d answers could not be sent since the start, the last at %s: %s", f.answers.times, f.answers.last.Format(time.TimeOnly), f.answers.why)
}

// Count tells a core what did not leave for peers since the last time.
func (f *Failures) Count(core interface{ CountUnsent(to netip.Addr, n uint64) }) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for to, n := range f.unsent {
		core.CountUnsent(to, n)
		delete(f.unsent, to)
	}
}
