package ipsec

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"fairlead/internal/core/hop"
)

// DefaultSocket is where strongSwan listens for commands.
const DefaultSocket = "/run/charon.vici"

const (
	// commandLimit is how long charon may take for one command. It answers within milliseconds,
	// unless it or the machine hangs.
	commandLimit = 10 * time.Second
	// eventPause is the time between two attempts to listen to events.
	eventPause = time.Second
)

// errClosed says that charon ended a session.
var errClosed = errors.New("strongswan: session: closed")

// Options say where strongSwan is, and for which owner.
type Options struct {
	Socket string    // path; empty: DefaultSocket
	Owner  hop.Owner // whose connections and keys we handle; those of others stay
	Logger *slog.Logger
	Limit  time.Duration // for one command; 0: ten seconds
}

// Strongswan handles what one owner has in charon.
type Strongswan struct {
	owner hop.Owner
	log   *slog.Logger
	pause time.Duration

	lock     chan struct{} // has room for one: whoever has put a value in may use the following fields
	session  session
	loaded   map[string]loaded // by connection name
	outdated map[uint32]bool   // IKE SAs that were made before the present credentials were loaded

	mu   sync.Mutex // guards all following fields
	hops []ends
}

// ends are a hop's name and addresses. They find the hop in strongSwan's log.
type ends struct {
	name          string
	local, remote netip.Addr
}

// Open makes a Strongswan. Charon need not run: every call connects if it has to.
func Open(o Options) *Strongswan {
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	if o.Limit == 0 {
		o.Limit = commandLimit
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Strongswan{
		owner: o.Owner, log: o.Logger, pause: min(eventPause, o.Limit),
		lock:    make(chan struct{}, 1),
		session: session{socket: o.Socket, limit: o.Limit},
		loaded:  make(map[string]loaded), outdated: make(map[uint32]bool),
	}
}

// Close closes the connection to charon. What is loaded stays. A later call connects again.
func (s *Strongswan) Close() {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	s.session.drop()
}

// alone runs f while no other call uses the session.
func (s *Strongswan) alone(ctx context.Context, f func() error) error {
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
		return f()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remember keeps the addresses of the hops, for failures that name only addresses.
func (s *Strongswan) remember(hops []hop.Hop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hops = s.hops[:0]
	for i := range hops {
		s.hops = append(s.hops, ends{hops[i].Name, hops[i].Local, hops[i].Remote})
	}
}

// between names the hops between two hosts. A local address that is not valid matches any.
func (s *Strongswan) between(local, remote netip.Addr) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hops {
		if h.remote == remote && (h.local == local || !local.IsValid()) {
			names = append(names, h.name)
		}
	}
	return slices.Clip(names)
}
