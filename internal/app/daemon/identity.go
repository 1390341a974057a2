package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/wire/dhcp6"
)

// unwritten is an error of something that the state folder would not take. It
// costs what should have been kept there, and nothing else.
type unwritten struct {
	what string // that is not kept, and what follows from that
	err  error
}

func (u *unwritten) Error() string { return u.what + ": " + u.err.Error() }
func (u *unwritten) Unwrap() error { return u.err }

// bear is an error that ends a start, or nil. What the state folder would not take
// ends none: the operator is told, here and by the status.
func (d *daemon) bear(err error) error {
	var u *unwritten
	if !errors.As(err, &u) {
		return err
	}
	d.Told.Warn("state folder cannot be written", "cost", u.what, "error", u.err)
	d.unwritten = append(d.unwritten, u.Error())
	return nil
}

// relayID is the relay's identity (RFC 5460 section 5.4, RFC 6925): as
// configured, or a DUID-UUID that is made once and kept in the state folder. One
// that cannot be kept is none: servers would see another relay after each start.
func relayID(c config.RelayID, state string) (dhcp6.DUID, error) {
	if c.Source == config.RelayIDConfigured {
		return c.Value, nil
	}
	path := filepath.Join(state, "relay-id")
	text, err := os.ReadFile(path)
	if err == nil {
		id, err := parseRelayID(string(text))
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

// parseRelayID reads what the file of the identity holds: a DUID and a newline. One
// that was cut in half has no newline, and mostly not the length of its type.
func parseRelayID(text string) (dhcp6.DUID, error) {
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

func trimNewline(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r' || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return b
}

// writeDurably makes a file that is either wholly there or not at all.
func writeDurably(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already where the renaming worked
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

// privacyKey is the key of hashes: made anew at each start, or once and kept in
// the state folder.
func privacyKey(kept bool, state string) (privacy.Key, error) {
	key := privacy.NewKey()
	path := filepath.Join(state, "privacy-key")
	if !kept {
		// One that is not wanted any more would still tell whose hashes are whose.
		// A file system that takes no writes would refuse to remove one that is
		// not there either.
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return key, nil
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return key, &unwritten{"privacy key: an old one cannot be removed, and still tells whose old hashes are whose", err}
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
