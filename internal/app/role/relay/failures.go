package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/udp"
)

// errUnprotected is what held a datagram back, beside the engine's reasons; anything
// else is the socket's word.
var errUnprotected = errors.New("held back: the peer is not protected")

// failures logs datagrams that did not leave, and keeps their number until the
// loop counts them on their links. It is used from the loop and from the
// pipeline.
type failures struct {
	log  *slog.Logger
	once *limiter

	mu      sync.Mutex // guards all following fields
	lost    map[loss]uint64
	unsent  map[netip.Addr]uint64 // to peers, by their address
	answers unsentAnswers
}

// unsentAnswers are datagrams to clients, or to relays below, that did not leave.
type unsentAnswers struct {
	times uint64
	last  time.Time
	why   string
}

type loss struct {
	link   int
	reason effect.Drop
}

func newFailures(log *slog.Logger, once *limiter) *failures {
	return &failures{log: log, once: once, lost: make(map[loss]uint64), unsent: make(map[netip.Addr]uint64)}
}

func (f *failures) report(o udp.Outgoing, err error) {
	l := loss{o.Link, effect.DropSendFailed}
	switch {
	case errors.Is(err, engine.ErrNotKept):
		l.reason = effect.DropNotKept
	case errors.Is(err, engine.ErrNotInstalled):
		l.reason = effect.DropNotInstalled
	case errors.Is(err, errUnprotected):
		l.reason = effect.DropUnprotected
	}
	f.drop(l.link, l.reason)
	f.remember(o, err)
	subject := "send " + strconv.Itoa(o.Link) // a client's address would let clients fill the log
	if o.Kind == udp.ToPeer {
		subject += " " + o.Dest.Addr().String()
	}
	if n, due := f.once.due(subject, service.Now().Boot); due {
		f.log.Warn("datagram not sent", "dest", o.Dest, "link", o.Link, "error", err, "times", n)
	}
}

// remember keeps what status and the counters of peers need of a datagram that did
// not leave.
func (f *failures) remember(o udp.Outgoing, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o.Kind == udp.ToPeer {
		f.unsent[o.Dest.Addr()]++ // peers bound it
		return
	}
	f.answers = unsentAnswers{f.answers.times + 1, time.Now(), err.Error()}
}

// recent is how long something that went wrong is shown in status.
const recent = 10 * time.Minute

// trouble is what of the answers that could not be sent an operator should know.
func (f *failures) trouble(now time.Time) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers.times == 0 || now.Sub(f.answers.last) > recent {
		return ""
	}
	return fmt.Sprintf("clients: %d answers could not be sent since the start, the last at %s: %s", f.answers.times, f.answers.last.Format(time.TimeOnly), f.answers.why)
}

// drop counts a datagram that was discarded before the core saw it, or after.
func (f *failures) drop(link int, reason effect.Drop) {
	f.mu.Lock()
	f.lost[loss{link, reason}]++ // links and reasons bound it
	f.mu.Unlock()
}

// count hands what was lost since the last time to the core.
func (f *failures) count(core *relay6.Relay) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l, n := range f.lost {
		core.CountDrop(l.link, l.reason, n)
		delete(f.lost, l)
	}
	for to, n := range f.unsent {
		core.CountUnsent(to, n)
		delete(f.unsent, to)
	}
}
