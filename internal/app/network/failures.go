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

// errUnprotected is why a datagram to a peer is held back. The engine has its own reasons.
var errUnprotected = &engine.Withheld{Reason: effect.DropUnprotected, Text: "the peer is not protected"}

// Failures logs datagrams that did not leave. It counts what the status and the counters of peers
// show of them. The loop and the pipeline both use it.
type Failures struct {
	log  *slog.Logger
	once *notes.Limiter

	mu      sync.Mutex            // guards all following fields
	unsent  map[netip.Addr]uint64 // datagrams to peers, by the peer's address
	answers unsentAnswers
}

// unsentAnswers are datagrams to clients, or to relays below, that did not leave.
type unsentAnswers struct {
	times uint64
	last  time.Time
	why   string
}

// NewFailures begins with no failure.
func NewFailures(log *slog.Logger, once *notes.Limiter) *Failures {
	return &Failures{log: log, once: once, unsent: make(map[netip.Addr]uint64)}
}

// Report takes in that a datagram did not leave, and why.
func (f *Failures) Report(o udp.Outgoing, err error) {
	f.remember(o, err)
	subject := "send " + strconv.Itoa(o.Link) // not the client's address: with that, clients could fill the log
	if o.Kind == udp.ToPeer {
		subject += " " + o.Dest.Addr().String()
	}
	if n, due := f.once.Due(subject, service.Now().Boot); due {
		f.log.Warn("datagram not sent", "dest", o.Dest, "link", o.Link, "error", err, "times", n)
	}
}

// remember counts a datagram that did not leave, for the status or for the counters of its peer.
func (f *Failures) remember(o udp.Outgoing, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.Kind == udp.ToPeer {
		f.unsent[o.Dest.Addr()]++ // bounded by the number of peers
		return
	}
	f.answers = unsentAnswers{f.answers.times + 1, time.Now(), err.Error()}
}

// Recent is how long the status shows something that went wrong.
const Recent = 10 * time.Minute

// Trouble tells an operator of the answers that could not be sent. It is empty where there were
// none lately.
func (f *Failures) Trouble(now time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers.times == 0 || now.Sub(f.answers.last) > Recent {
		return ""
	}
	return fmt.Sprintf("clients: %d answers could not be sent since the start, the last at %s: %s", f.answers.times, f.answers.last.Format(time.TimeOnly), f.answers.why)
}

// Count tells a core how many datagrams to each peer did not leave since the last call.
func (f *Failures) Count(core interface{ CountUnsent(to netip.Addr, n uint64) }) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for to, n := range f.unsent {
		core.CountUnsent(to, n)
		delete(f.unsent, to)
	}
}
