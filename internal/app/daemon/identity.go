package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"fairlead/internal/app/config"
	"fairlead/internal/app/identity"
	"fairlead/internal/app/privacy"
	"fairlead/internal/wire/dhcp6"
)

// unwritten says that the state folder could not be written. Only what should have been kept
// there is lost.
type unwritten struct {
	what string // what is not kept, and what follows from that
	err  error
}

func (u *unwritten) Error() string { return u.what + ": " + u.err.Error() }
func (u *unwritten) Unwrap() error { return u.err }

// bear returns err if it has to end a start, and nil if not. An error of the state folder does
// not end a start: it is logged, and the status shows it.
func (d *daemon) bear(err error) error {
	var u *unwritten
	if !errors.As(err, &u) {
		return err
	}
	d.Told.Warn("state folder cannot be written", "cost", u.what, "error", u.err)
	d.unwritten = append(d.unwritten, u.Error())
	return nil
}

// identify finds out by which identifier servers know the process.
func (d *daemon) identify() (*identity.Identity, error) {
	switch c := d.cfg.RelayID; {
	case c.Source == config.RelayIDOnFile && c.Token:
		return identity.OnToken(c.File, d.Told), nil
	case c.Source == config.RelayIDOnFile:
		return identity.FromFile(c.File)
	default:
		id, err := relayID(c, d.cfg.State)
		return identity.Fixed(id), err
	}
}

// identified has all roles take over the identifier when it becomes known.
func (d *daemon) identified(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(d.players)) {
		if err := d.players[name].Reconfigure(ctx, d.config()); err != nil {
			d.Told.Error("relay-id: not taken over", "role", name, "error", err)
		}
	}
}

// relayID is the relay's identity (RFC 5460 section 5.4, RFC 6925): the configured one, or a
// DUID-UUID that is made once and kept in the state folder. If it cannot be kept, there is none:
// servers would see another relay after each start.
func relayID(c config.RelayID, state string) (dhcp6.DUID, error) {
	if c.Source == config.RelayIDConfigured {
		return c.Value, nil
	}
	path := filepath.Join(state, "relay-id")
	text, err := os.ReadFile(path)
	if err == nil {
		id, err := identity.Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("relay-id: %s: %w: write the identity there by which servers know this relay, and a newline, or remove the file, and a new identity is made at the next start", path, err)
		}
		return id, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("relay-id: %w", err)
	}
	var uuid [16]byte
	if _, err := rand.Read(uuid[:]); err != nil {
		return nil, fmt.Errorf("relay-id: %w", err)
	}
	uuid[6] = uuid[6]&0x0f | 0x40 // RFC 9562 section 5.4: version 4
	uuid[8] = uuid[8]&0x3f | 0x80
	id := dhcp6.DUID(dhcp6.AppendDUIDUUID(nil, uuid))
	if err := writeDurably(path, []byte(id.String()+"\n")); err != nil {
		return nil, &unwritten{"relay-id: cannot be made and kept, so that messages carry none (configure one, or make the folder writable and restart)", err}
	}
	return id, nil
}

func trimNewline(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

// writeDurably makes a file that is there as a whole or not at all.
func writeDurably(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone if it was renamed
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// privacyKey is the key of hashes: a new one at each start, or one that is made once and kept in
// the state folder.
func privacyKey(kept bool, state string) (privacy.Key, error) {
	key := privacy.NewKey()
	path := filepath.Join(state, "privacy-key")
	if !kept {
		// A key that is not wanted any more would still tell whose hashes are whose. On a file
		// system that accepts no writes, removing fails even if the file is not there.
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return key, nil
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return key, &unwritten{"privacy key: the old file cannot be removed; whoever reads it can still find out which client an old hash stands for", err}
		}
		return key, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeDurably(path, []byte(hex.EncodeToString(key[:])+"\n")); err != nil {
			return key, &unwritten{"privacy key: cannot be kept, so that hashes are others after each start", err}
		}
		return key, nil
	}
	if err != nil {
		return key, fmt.Errorf("privacy key: %w", err)
	}
	octets, err := hex.DecodeString(string(trimNewline(text)))
	if err != nil || len(octets) != len(key) {
		return key, fmt.Errorf("privacy key: %s: not %d octets in hexadecimal: remove the file, and a new key is made at the next start", path, len(key))
	}
	return privacy.Key(octets), nil
}
