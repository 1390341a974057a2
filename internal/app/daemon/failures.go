package daemon

import (
	"errors"
	"log/slog"
	"strconv"
	"sync"

	"fairlead/internal/app/service"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/udp"
)

// What held a datagram back; anything else is the socket's word.
var (
	errNotKept      = errors.New("held back: not kept")
	errNotInstalled = errors.New("held back: not installed")
	errUnprotected  = errors.New("held back: the peer is not protected")
)

// failures logs datagrams that did not leave, and keeps their number until the
// loop counts them on their links. It is used from the loop and from the
// pipeline.
type failures struct {
	log  *slog.Logger
	once *limiter

	mu   sync.Mutex // guards lost
	lost map[loss]uint64
}

type loss struct {
	link   int
	reason relay6.Drop
}

func newFailures(log *slog.Logger, once *limiter) *failures {
	return &failures{log: log, once: once, lost: make(map[loss]uint64)}
}

func (f *failures) report(o udp.Outgoing, err error) {
	l := loss{o.Link, relay6.DropSendFailed}
	switch {
	case errors.Is(err, errNotKept):
		l.reason = relay6.DropNotKept
	case errors.Is(err, errNotInstalled):
		l.reason = relay6.DropNotInstalled
	case errors.Is(err, errUnprotected):
		l.reason = relay6.DropUnprotected
	}
	f.drop(l.link, l.reason)
	subject := "send " + strconv.Itoa(o.Link) // a client's address would let clients fill the log
	if o.Kind == udp.ToPeer {
		subject += " " + o.Dest.Addr().String()
	}
	if n, due := f.once.due(subject, service.Now().Boot); due {
		f.log.Warn("datagram not sent", "dest", o.Dest, "link", o.Link, "error", err, "times", n)
	}
}

// drop counts a datagram that was discarded before the core saw it, or after.
func (f *failures) drop(link int, reason relay6.Drop) {
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
}
