package network

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/host/ports"
)

// Rivals are the programs of others that have sockets at our port and may get what is
// meant for us. They are looked for at the start, when a server falls silent, and as
// long as there are any.
type Rivals struct {
	log  *slog.Logger
	look func() ([]ports.Socket, error)
	wake chan struct{}

	mu    sync.Mutex // guards found
	found []string
}

// NewRivals looks at the port of relay agents, and at the one that servers are spoken to from
// where that is another (RFC 8357).
func NewRivals(log *slog.Logger, family Family, source func() uint16) *Rivals {
	return &Rivals{log: log, wake: make(chan struct{}, 1), look: func() ([]ports.Socket, error) { return allRivals(family, source()) }}
}

func allRivals(f Family, source uint16) ([]ports.Socket, error) {
	found, err := ports.InTheWay(f.Unspecified, f.ServerPort)
	if source == 0 || source == f.ServerPort || err != nil {
		return found, err
	}
	more, err := ports.InTheWay(f.Unspecified, source)
	return append(found, more...), err
}

// lookAgain is how often it is looked whether those that were found are still there.
const lookAgain = time.Minute

// Run looks whenever it is woken.
func (r *Rivals) Run(ctx context.Context) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-again.C:
			if len(r.Names()) == 0 {
				continue
			}
		}
		r.update()
	}
}

// Soon has Run look.
func (r *Rivals) Soon() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// update looks, and tells of those that were not there before.
func (r *Rivals) update() {
	all, err := r.look()
	if err != nil {
		r.log.Warn("other programs at our port cannot be looked for", "error", err)
		return
	}
	before, now := r.Names(), make([]string, 0, len(all))
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

// Trouble is what an operator should know of those that were found the last time, in words.
func (r *Rivals) Trouble() (words []string) {
	for _, who := range r.Names() {
		words = append(words, "port: "+who+" has a socket at our port, and may get what is meant for us")
	}
	return words
}

// Names are those that were found the last time.
func (r *Rivals) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}
