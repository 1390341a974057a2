// Package identity has the relay-id, by which servers know a relay (RFC 5460 section 5.4, RFC
// 6925). It may be on a token, a file on a medium that can be pulled out: nothing is relayed
// while the token is not there.
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

// Identity is the identity of one process. Any goroutine may use it.
type Identity struct {
	log     *slog.Logger
	file    string                       // path of the token; empty: there is no token
	read    func(string) ([]byte, error) // token.Read
	missing atomic.Bool                  // the token is missing

	mu     sync.Mutex // guards all following fields
	id     dhcp6.DUID
	why    string // why the token is missing
	accept bool   // another token may take the place of the old one
	known  func() // called when the identifier has changed; may be nil
}

// Fixed is an identity that never changes. It may be empty: then no identifier is known.
func Fixed(id dhcp6.DUID) *Identity { return &Identity{id: id} }

// OnToken is the identity on a token, which may be missing at first.
func OnToken(file string, log *slog.Logger) *Identity {
	i := &Identity{log: log, file: file, read: token.Read}
	i.Look()
	return i
}

// FromFile is the identity that a file holds now. The file is not read again.
func FromFile(file string) (*Identity, error) {
	id, err := readID(token.Read, file)
	return Fixed(id), err
}

// ID is the identifier; empty where none is known.
func (i *Identity) ID() dhcp6.DUID {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.id
}

// Missing reports whether a token is required and missing. Then nothing is relayed.
func (i *Identity) Missing() bool { return i.missing.Load() }

// Trouble says in words why nothing is relayed; it is empty while messages are relayed.
func (i *Identity) Trouble() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.why
}

// Changed sets the function that is called when the identifier has changed.
func (i *Identity) Changed(known func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known = known
}

// Accept has the next look accept any token.
func (i *Identity) Accept() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.accept = true
}

// lookEvery is the time between two looks at the token. RFC 6925 does not name one. An operator
// who pulls a token out expects the relay to stop at once.
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
	// The core gets a new identifier before anything is relayed with it.
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

// readID reads the file of an identity.
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

// Parse reads the content of an identity's file: a DUID and a newline. A file that was only half
// written has no newline, and mostly a DUID that is too short for its type.
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
