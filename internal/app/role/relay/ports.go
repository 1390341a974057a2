package relay

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/host/ports"
	"fairlead/internal/wire/dhcp6"
)

// rivals are the programs of others that have sockets at our port and may get what is
// meant for us. They are looked for at the start, when a server falls silent, and as
// long as there are any.
type rivals struct {
	log  *slog.Logger
	look func() ([]ports.Socket, error)
	wake chan struct{}

	mu    sync.Mutex // guards found
	found []string
}

func newRivals(log *slog.Logger, port func() uint16) *rivals {
	return &rivals{log: log, wake: make(chan struct{}, 1), look: func() ([]ports.Socket, error) { return allRivals(port()) }}
}

// allRivals looks at the port of relay agents, and at the one that we send to servers
// from where that is another (RFC 8357).
func allRivals(source uint16) ([]ports.Socket, error) {
	found, err := ports.InTheWay(dhcp6.ServerPort)
	if source == 0 || source == dhcp6.ServerPort || err != nil {
		return found, err
	}
	more, err := ports.InTheWay(source)
	return append(found, more...), err
}

// lookAgain is how often it is looked whether those that were found are still there.
const lookAgain = time.Minute

// run looks whenever it is woken.
func (r *rivals) run(ctx context.Context) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-again.C:
			if len(r.names()) == 0 {
				continue
			}
		}
		r.update()
	}
}

// soon has run look.
func (r *rivals) soon() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// update looks, and tells of those that were not there before.
func (r *rivals) update() {
	all, err := r.look()
	if err != nil {
		r.log.Warn("other programs at our port cannot be looked for", "error", err)
		return
	}
	before, now := r.names(), make([]string, 0, len(all))
	for _, s := range all {
		text := s.String()
		now = append(now, text)
		if !slices.Contains(before, text) {
			r.log.Warn("another program has a socket at our port, and may get what is meant for us", "program", text)
		}
	}
	r.mu.Lock()
	r.found = now
	r.mu.Unlock()
}

// names are those that were found the last time.
func (r *rivals) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}
