package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/wire/dhcp6"
)

// relayID is the relay's identity (RFC 5460 section 5.4, RFC 6925): as
// configured, or a DUID-UUID that is made once and kept in the state folder.
func relayID(c config.RelayID, state string) (dhcp6.DUID, error) {
	if c.Source == config.RelayIDConfigured {
		return c.Value, nil
	}
	path := filepath.Join(state, "relay-id")
	text, err := os.ReadFile(path)
	if err == nil {
		id, err := dhcp6.ParseDUID(string(trimNewline(text)))
		if err == nil {
			err = id.Valid()
		}
		if err != nil {
			return nil, fmt.Errorf("relay-id: %s: %w", path, err)
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
		return nil, fmt.Errorf("relay-id: %w", err)
	}
	return id, nil
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
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return key, fmt.Errorf("privacy key: %w", err)
		}
		return key, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeDurably(path, []byte(hex.EncodeToString(key[:])+"\n")); err != nil {
			return key, fmt.Errorf("privacy key: %w", err)
		}
		return key, nil
	}
	if err != nil {
		return key, fmt.Errorf("privacy key: %w", err)
	}
	octets, err := hex.DecodeString(string(trimNewline(text)))
	if err != nil || len(octets) != len(key) {
		return key, fmt.Errorf("privacy key: %s: not %d octets in hexadecimal", path, len(key))
	}
	return privacy.Key(octets), nil
}
