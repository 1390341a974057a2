package network

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/host/ports"
)

// Rivals are other programs' sockets at our port, which may get datagrams that are meant for us.
// We look for them at the start, when a server falls silent, and as long as there are any.
type Rivals struct {
	log  *slog.Logger
	look func() ([]ports.Socket, error)
	wake chan struct{}

	mu    sync.Mutex // guards found
	found []string
}

// NewRivals looks at the port of relay agents, and at the port that we speak to servers from
// where that is another one (RFC 8357).
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

// lookAgain is the time between two looks whether the programs that were found are still there.
const lookAgain = time.Minute

// Run looks whenever Soon wakes it, until ctx ends.
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

// Soon has Run look soon.
func (r *Rivals) Soon() {
	select {
	case r.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// update looks once, and logs the programs that were not there before.
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

// Trouble tells an operator of the programs that the last look found.
func (r *Rivals) Trouble() (words []string) {
	for _, who := range r.Names() {
		words = append(words, "port: "+who+" has a socket at our port, and may get what is meant for us")
	}
	return words
}

// Names are the programs that the last look found.
func (r *Rivals) Names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}
