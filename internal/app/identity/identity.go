// Package identity is who a relay is for servers: its relay-id (RFC 5460 section 5.4, RFC
// 6925). It may be on a token, a file on a medium that can be pulled out: then nothing is
// relayed while the token is not there.
package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairlead/internal/host/token"
	"fairlead/internal/wire/dhcp6"
)

// Identity is that of a process. All of it is safe for several goroutines.
type Identity struct {
	log     *slog.Logger
	file    string                       // of the token; empty: there is none
	read    func(string) ([]byte, error) // token.Read
	missing atomic.Bool                  // the token

	mu     sync.Mutex // guards all following fields
	id     dhcp6.DUID
	why    string // the token is missing
	accept bool   // another token may take its place
	known  func() // hears that the identifier is another one; nil: nobody does
}

// Fixed is an identity that never changes; empty: none is known.
func Fixed(id dhcp6.DUID) *Identity { return &Identity{id: id} }

// OnToken is the identity on a token, which need not be there yet.
func OnToken(file string, log *slog.Logger) *Identity {
	i := &Identity{log: log, file: file, read: token.Read}
	i.Look()
	return i
}

// FromFile is what a file says now. It is not looked at again.
func FromFile(file string) (*Identity, error) {
	id, err := readID(token.Read, file)
	return Fixed(id), err
}

// ID is the identifier; empty: none is known.
func (i *Identity) ID() dhcp6.DUID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.id
}

// Missing reports whether a token is required and not there: then nothing is relayed.
func (i *Identity) Missing() bool { return i.missing.Load() }

// Trouble is why nothing is relayed, in words; empty: something is.
func (i *Identity) Trouble() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.why
}

// Changed has known called when the identifier is another one.
func (i *Identity) Changed(known func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known = known
}

// Accept has the next look take whatever token is there.
func (i *Identity) Accept() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.accept = true
}

// lookEvery is how often the token is looked at: RFC 6925 says nothing of it, and an
// operator who pulls a token out expects that to do something at once.
const lookEvery = 250 * time.Millisecond

// Run looks at the token until ctx ends.
func (i *Identity) Run(ctx context.Context) error {
	if i.file == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			i.Look()
		}
	}
}

// Look reads the token.
func (i *Identity) Look() {
	id, err := readID(i.read, i.file)
	i.mu.Lock()
	another := err == nil && !bytes.Equal(id, i.id)
	if another && len(i.id) > 0 && !i.accept {
		err = fmt.Errorf("the token %s is another one, %s, and was %s (put that back, or have this one taken by \"fairlead reload --force\")", i.file, id, i.id)
	}
	before, why := i.why, ""
	if err != nil {
		why = "relay-id: nothing is relayed: " + err.Error()
	} else {
		i.id, i.accept = id, false
	}
	i.why = why
	known := i.known
	i.mu.Unlock()
	// A new identifier is told before anything is relayed under it.
	if err == nil && another && known != nil {
		known()
	}
	i.missing.Store(err != nil)
	switch {
	case why == before && (err != nil || !another):
	case why != "":
		i.log.Error(why)
	default:
		i.log.Info("the token is there: relaying", "relay_id", id.String())
	}
}

// readID reads a file that has an identity.
func readID(read func(string) ([]byte, error), file string) (dhcp6.DUID, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	id, err := Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return id, nil
}

// Parse reads what the file of an identity holds: a DUID and a newline. One that was cut in
// half has no newline, and mostly not the length of its type.
func Parse(text string) (dhcp6.DUID, error) {
	line, whole := strings.CutSuffix(text, "\n")
	switch {
	case strings.TrimSpace(text) == "":
		return nil, errors.New("the file is empty")
	case !whole:
		return nil, errors.New("the file has no newline at its end, as if it had been cut")
	}
	id, err := dhcp6.ParseDUID(strings.TrimSpace(line))
	if err == nil {
		err = id.Whole()
	}
	return id, err
}
