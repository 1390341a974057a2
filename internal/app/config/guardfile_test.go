package config

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// The values in the guard's reference file are the defaults.
func TestGuardReferenceHasTheDefaults(t *testing.T) {
	got := parseGuardKeys(t, GuardReference())
	addr := netip.MustParseAddr
	want := DefaultGuard()
	want.Peers = []trust.Peer{{
		Name: "relay1", Address: addr("2001:db8:ffff::1"), Prefix: netip.MustParsePrefix("2001:db8:ffff::1/128"),
		Local: addr("2001:db8:ffff::547"), Role: trust.Relay, Protection: trust.ProtectionIPsec,
	}}
	want.hops = []hop.Hop{{
		Name: "relay1", Peer: "relay1", Role: trust.Relay, Local: addr("2001:db8:ffff::547"), Remote: addr("2001:db8:ffff::1"),
		IKE: &hop.IKE{PSK: octets("relay1.psk", 32), Lifetime: hop.DefaultLifetime},
	}}
	if diff := cmp.Diff(want, got, asWritten); diff != "" {
		t.Errorf("defaults of the program and of the file (-program +file)\n%s", diff)
	}
}

// The guard's defaults are those that the documents promise.
func TestGuardDefaults(t *testing.T) {
	g := DefaultGuard()
	for _, v := range []struct {
		name      string
		got, want any
	}{
		{"socket", g.Control.Socket, "/run/fairlead-guard/control.sock"},
		{"metrics", g.Metrics.Listen.String(), "[::1]:9548"},
		{"others (RFC 8213 section 3)", guardOf(g).Others, false},
		{"strongSwan", g.IPsec.Socket, "/run/charon.vici"},
		{"on stop", g.IPsec.Remove, false},
		{"crash, as the relay's", g.Privacy.Crash, IdentifiersHashed},
	} {
		if v.got != v.want {
			t.Errorf("%s: %v, want %v", v.name, v.got, v.want)
		}
	}
}

// Every key that the guard's file may have is in its reference.
func TestGuardReferenceIsComplete(t *testing.T) {
	d := withKeys(true)
	allowed, present := visited(t, d, func() { d.guardFile([]byte(example.ReplaceAllString(GuardReference(), "$1$2"))) })
	complete(t, "guard.yaml", allowed, present, []string{
		"", "audit", "control", "control.listen", "ipsec", "log", "metrics",
		"peers[]", "peers[].giaddrs[]", "peers[].giaddrs[].manual", "peers[].giaddrs[].manual.in[]", "peers[].giaddrs[].manual.out",
		"peers[].ike", "peers[].manual", "peers[].manual.in[]", "peers[].manual.out", "privacy",
	})
}

// Every field of the guard's structs is filled in by some key.
func TestGuardEveryFieldHasAKey(t *testing.T) {
	got := parseGuardKeys(t, `
control: {socket: /run/g.sock, group: netops, operators: [alice], readers: [bob], listen: {address: "[::1]:1", certificate: /c, key: /k, client-ca: /a}}
metrics: {listen: off}
log: {level: debug, format: json}
audit: {log: /var/log/a}
privacy: {log: hashed, crash: full}
peers:
  - {name: a, address: 192.0.2.1, local: 192.0.2.2, role: server, interfaces: [eth0], protection: ipsec, ike: {psk-file: /a.psk}}
others: allow
ipsec: {vici-socket: /srv/charon.vici, on-stop: remove}
`)
	for _, v := range []struct {
		got, def any
		name     string
	}{
		{got.Control, DefaultGuard().Control, "Guard.Control"},
		{got.Metrics, DefaultGuard().Metrics, "Guard.Metrics"},
		{got.Log, DefaultGuard().Log, "Guard.Log"},
		{got.Audit, DefaultGuard().Audit, "Guard.Audit"},
		{got.Privacy.Log, DefaultGuard().Privacy.Log, "Guard.Privacy.Log"},
		{got.Privacy.Crash, DefaultGuard().Privacy.Crash, "Guard.Privacy.Crash"},
		{guardOf(got).Others, guardOf(DefaultGuard()).Others, "Guard.Others"},
		{got.IPsec, DefaultGuard().IPsec, "Guard.IPsec"},
	} {
		if reflect.DeepEqual(v.got, v.def) {
			t.Errorf("%s is %+v, as in the default", v.name, v.got)
		}
	}
}

// LoadGuard reads files as Load does, and the key files with them.
func TestLoadGuard(t *testing.T) {
	dir := t.TempDir()
	path, psk := filepath.Join(dir, "guard.yaml"), filepath.Join(dir, "a.psk")
	text := "peers:\n  - {name: a, address: 192.0.2.1, local: 192.0.2.2, role: relay, protection: ipsec, ike: {psk-file: " + psk + "}}\n"
	for file, content := range map[string]string{path: text, psk: "0x000102030405060708090a0b0c0d0e0f\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, err := LoadGuard(path)
	if err != nil {
		t.Fatal(err)
	}
	want := hop.Secret{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	if hops := g.Hops(); len(hops) != 1 || !slices.Equal(hops[0].IKE.PSK, want) {
		t.Errorf("hops %+v", hops)
	}

	if err := os.WriteFile(psk, []byte("0x00\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantErr := path + ":" + place(text, psk) + ": peers[0].ike.psk-file: " + psk + ": a key of 1 octets (at least 16, random: RFC 7296 section 2.15)"
	if g, err := LoadGuard(path); g != nil || err == nil || err.Error() != wantErr {
		t.Errorf("short key: %v, error %v, want %s", g, err, wantErr)
	}
	if _, err := LoadGuard(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, os.ErrNotExist)
	}
}
