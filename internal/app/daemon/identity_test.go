package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"fairlead/internal/app/config"
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
		"empty": "", "newline": "\n", "not hexadecimal": "00:04:zz\n", "too short": "00:04\n", "words": "my relay\n",
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			path := filepath.Join(state, "relay-id")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if id, err := relayID(config.RelayID{}, state); err == nil {
				t.Errorf("file with %q: relay-id %s, want an error", text, id)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != text {
				t.Errorf("file holds %q, %v; want %q as before", left, err, text)
			}
		})
	}
}

func TestRelayIDNoFolder(t *testing.T) {
	if id, err := relayID(config.RelayID{}, filepath.Join(t.TempDir(), "gone")); err == nil {
		t.Errorf("relay-id %s without a place to keep it, want an error", id)
	}
}

// A reload neither reads nor makes an identity that is in use.
func TestRelayIDStaysOverAReload(t *testing.T) {
	id := dhcp6.DUID{0, 3, 0, 1, 2, 0, 0x5e, 0, 0x53, 1}
	d := &daemon{cfg: &config.Config{State: t.TempDir()}, relayID: id}
	got, err := d.nextRelayID(&config.Config{State: d.cfg.State})
	if err != nil || !bytes.Equal(got, id) {
		t.Errorf("got %s, %v; want %s", got, err, id)
	}
	if files, _ := os.ReadDir(d.cfg.State); len(files) != 0 {
		t.Errorf("%d files made, want none", len(files))
	}
}
