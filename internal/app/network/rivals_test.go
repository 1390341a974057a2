package network

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/host/ports"
)

// A program that has a socket at our port is logged once, and named until it has gone.
func TestRivals(t *testing.T) {
	var out bytes.Buffer
	var found []ports.Socket
	var fails error
	r := &Rivals{log: slog.New(slog.NewTextHandler(&out, nil)), look: func() ([]ports.Socket, error) { return found, fails }}
	warnings := func() int {
		n := strings.Count(out.String(), "level=WARN")
		out.Reset()
		return n
	}
	dhcpd := ports.Socket{Addr: netip.IPv6Unspecified(), PID: 7, Name: "dhcpd"}
	relay := ports.Socket{Addr: netip.IPv6Unspecified(), PID: 8, Name: "dhcrelay"}
	for _, c := range []struct {
		name     string
		found    []ports.Socket
		warnings int
		want     []string
	}{
		{"nobody", nil, 0, nil},
		{"one", []ports.Socket{dhcpd}, 1, []string{"dhcpd (process 7) at ::"}},
		{"the same", []ports.Socket{dhcpd}, 0, []string{"dhcpd (process 7) at ::"}},
		{"one more", []ports.Socket{dhcpd, relay}, 1, []string{"dhcpd (process 7) at ::", "dhcrelay (process 8) at ::"}},
		{"both have gone", nil, 0, nil},
		{"one is back", []ports.Socket{dhcpd}, 1, []string{"dhcpd (process 7) at ::"}},
	} {
		found = c.found
		r.update()
		if n := warnings(); n != c.warnings || !slices.Equal(r.Names(), c.want) {
			t.Errorf("%s: %d warnings and %q, want %d and %q", c.name, n, r.Names(), c.warnings, c.want)
		}
	}
	fails = errors.New("no such socket")
	r.update()
	if n := warnings(); n != 1 || len(r.Names()) != 1 {
		t.Errorf("it could not be looked: %d warnings and %q, want one warning and what was found before", n, r.Names())
	}
}
