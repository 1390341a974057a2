package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/role"
	"fairlead/internal/wire/dhcp6"
)

func TestRelayIDIsMadeOnceAndKept(t *testing.T) {
	state := t.TempDir()
	made, err := relayID(config.RelayID{}, state)
	if err != nil {
		t.Fatal(err)
	}
	// RFC 6355 section 4: type 4, then a UUID; RFC 9562 section 5.4: version 4.
	if len(made) != 18 || made[0] != 0 || made[1] != 4 || made[8]>>4 != 4 || made[10]>>6 != 2 {
		t.Errorf("made %s, want a DUID-UUID of version 4", made)
	}
	kept, err := relayID(config.RelayID{}, state)
	if err != nil || !bytes.Equal(kept, made) {
		t.Errorf("the second time: %s, %v; want %s", kept, err, made)
	}
	other, err := relayID(config.RelayID{}, t.TempDir())
	if err != nil || bytes.Equal(other, made) {
		t.Errorf("in another folder: %s, %v; want another one", other, err)
	}
	if files, err := os.ReadDir(state); err != nil || len(files) != 1 {
		t.Errorf("%d files left in the state folder, %v; want one", len(files), err)
	}
}

func TestRelayIDConfigured(t *testing.T) {
	state := t.TempDir()
	want := dhcp6.DUID{0, 3, 0, 1, 2, 0, 0x5e, 0, 0x53, 1}
	got, err := relayID(config.RelayID{Source: config.RelayIDConfigured, Value: want}, state)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if files, _ := os.ReadDir(state); len(files) != 0 {
		t.Errorf("%d files made, want none", len(files))
	}
}

// What is in the file is never replaced: an identity that changes without a word
// is worse than none.
func TestRelayIDFileRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "newline": "\n", "a bad digit": "00:04:zz\n", "too short": "00:04\n", "words": "my relay\n",
		"cut in half": "00:04:c1:0f:7e:1a:2b", "cut in half, with a newline": "00:04:c1:0f:7e:1a:2b\n",
		"the newline is cut off": "00:02:00:00:00:09:0c:c0:84:d3",
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			path := filepath.Join(state, "relay-id")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if id, err := relayID(config.RelayID{}, state); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "or remove the file") {
				t.Errorf("file with %q: relay-id %s, %v; want an error that says where and what to do", text, id, err)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != text {
				t.Errorf("file holds %q, %v; want %q as before", left, err, text)
			}
		})
	}
}

// Without a place to keep it there is no identity, and no key of hashes that stays;
// that is all it costs.
func TestNothingCanBeWritten(t *testing.T) {
	d := &daemon{House: &role.House{Told: slog.New(slog.DiscardHandler)}}
	gone := filepath.Join(t.TempDir(), "gone")
	id, err := relayID(config.RelayID{}, gone)
	if err := d.bear(err); err != nil || id != nil || len(d.unwritten) != 1 || !strings.Contains(d.unwritten[0], "relay-id: ") {
		t.Errorf("relay-id %s, %v, told %q; want none, and to be told", id, err, d.unwritten)
	}
	key, err := privacyKey(true, gone)
	if err := d.bear(err); err != nil || key == (privacy.Key{}) || len(d.unwritten) != 2 || !strings.Contains(d.unwritten[1], "privacy key: ") {
		t.Errorf("a key that is kept: %v, told %q; want one that is not kept, and to be told", err, d.unwritten)
	}
	if key, err := privacyKey(false, gone); err != nil || key == (privacy.Key{}) {
		t.Errorf("a key that is not kept: %v", err)
	}
	other := errors.New("something else")
	if err := d.bear(other); !errors.Is(err, other) || len(d.unwritten) != 2 {
		t.Errorf("another error is %v", err)
	}
}

func TestPrivacyKey(t *testing.T) {
	state := t.TempDir()
	path := filepath.Join(state, "privacy-key")
	first, err := privacyKey(true, state)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want one for its owner alone", info, err)
	}
	if again, err := privacyKey(true, state); err != nil || again != first {
		t.Errorf("another key the second time, %v", err)
	}
	if other, err := privacyKey(true, t.TempDir()); err != nil || other == first {
		t.Errorf("the same key elsewhere, %v", err)
	}
	if boot, err := privacyKey(false, state); err != nil || boot == first {
		t.Errorf("the kept key where none is to be kept, %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file that nobody wants any more: %v", err)
	}
	for _, bad := range []string{"", "\n", "zz", "00"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := privacyKey(true, state); err == nil || !strings.Contains(err.Error(), "not 32 octets in hexadecimal") {
			t.Errorf("a file of %q: %v", bad, err)
		}
	}
	if _, err := privacyKey(true, filepath.Join(state, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no state folder: %v", err)
	}
}
