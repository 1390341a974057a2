package hop_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// entry is what stands under a key of a section, or of one inside it; nil if
// nothing does.
func entry(s hop.Section, path ...string) *hop.Entry {
	for i := range s {
		if s[i].Key != path[0] {
			continue
		}
		if len(path) == 1 {
			return &s[i]
		}
		return entry(s[i].Section, path[1:]...)
	}
	return nil
}

// text is the value that stands under a key, however it is kept.
func text(t *testing.T, s hop.Section, path ...string) string {
	t.Helper()
	e := entry(s, path...)
	if e == nil {
		t.Errorf("%s: missing", strings.Join(path, "."))
		return ""
	}
	return e.Text + strings.Join(e.List, " ")
}

// TestRFC8213_3h_Selectors: the ports and addresses of each kind of hop and no
// others, in transport mode: RFC 8213 3h and 3i.
func TestRFC8213_3h_Selectors(t *testing.T) {
	six := func(role trust.PeerRole, port uint16) hop.Hop {
		h := server6()
		h.Role, h.RelayPort = role, port
		return h
	}
	four := six(trust.Server, 0)
	four.Local, four.Remote = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name string
		hop  hop.Hop
		want []string // child, local selector, remote selector
	}{
		{"to a server", six(trust.Server, 0), []string{"dhcp [udp/547] [udp/547]", "leasequery [tcp] [tcp/547]"}},
		{"to a relay", six(trust.Relay, 0), []string{"dhcp [udp/547] [udp/547]", "leasequery [tcp/547] [tcp]"}},
		{"to a server from a port", six(trust.Server, 1547), []string{"dhcp [udp/547] [udp/547]", "relay-port [udp/1547] [udp/547]", "leasequery [tcp] [tcp/547]"}},
		{"to a relay's port", six(trust.Relay, 1547), []string{"dhcp [udp/547] [udp/547]", "relay-port [udp/547] [udp/1547]", "leasequery [tcp/547] [tcp]"}},
		{"a port that is the port", six(trust.Relay, 547), []string{"dhcp [udp/547] [udp/547]", "leasequery [tcp/547] [tcp]"}},
		{"DHCPv4", four, []string{"dhcp [udp/67] [udp/67]", "leasequery [tcp] [tcp/67]"}},
	} {
		s := hop.OwnerRelay.Connection(&c.hop)
		var got []string
		for _, child := range entry(s, "children").Section {
			local, remote := text(t, child.Section, "local_ts"), text(t, child.Section, "remote_ts")
			got = append(got, child.Key+" "+strings.TrimPrefix(local, "dynamic")+" "+strings.TrimPrefix(remote, "dynamic"))
			if mode := text(t, child.Section, "mode"); mode != "transport" {
				t.Errorf("%s: %s: mode %q, want transport", c.name, child.Key, mode)
			}
			if action := text(t, child.Section, "start_action"); action != "trap" {
				t.Errorf("%s: %s: start_action %q, want trap", c.name, child.Key, action)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if l, r := text(t, s, "local_addrs"), text(t, s, "remote_addrs"); l != c.hop.Local.String() || r != c.hop.Remote.String() {
			t.Errorf("%s: between %s and %s, want %s and %s", c.name, l, r, c.hop.Local, c.hop.Remote)
		}
	}
}

// TestRFC8213_3q_KeyOfThePeer: a pre-shared key is found by the peer's address or
// configured identity, and by nothing else: RFC 8213 3e and 3q.
func TestRFC8213_3q_KeyOfThePeer(t *testing.T) {
	h := server6()
	h.Name, h.IKE.LocalID = "a.b", "relay.example.net"
	got, ok := hop.OwnerGuard.Shared(&h)
	if !ok || got.ID != "fairlead-guard-a~b" || !slices.Equal(got.Owners, []string{"2001:db8::2"}) || string(got.Key) != string(h.IKE.PSK) {
		t.Errorf("Shared = %+v, %v", got, ok)
	}
	h.IKE.RemoteID = "server.example.net"
	if got, _ := hop.OwnerGuard.Shared(&h); !slices.Equal(got.Owners, []string{"server.example.net"}) {
		t.Errorf("with remote-id: owners %q", got.Owners)
	}
	s := hop.OwnerGuard.Connection(&h)
	for path, want := range map[string]string{"local.auth": "psk", "remote.auth": "psk", "local.id": "relay.example.net", "remote.id": "server.example.net"} {
		if got := text(t, s, strings.Split(path, ".")...); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
}

// TestRFC8213_3e_AuthoritiesOfThePeer: with public keys each peer has its own
// authorities, so that those of one do not vouch for another: RFC 8213 3e and 3o.
func TestRFC8213_3e_AuthoritiesOfThePeer(t *testing.T) {
	h := server6()
	h.IKE = &hop.IKE{Certificate: []byte("mine"), Key: octets(5, 'P'), Authorities: [][]byte{[]byte("one"), []byte("two")}}
	if _, ok := hop.OwnerRelay.Shared(&h); ok {
		t.Error("a pre-shared key with certificates")
	}
	s := hop.OwnerRelay.Connection(&h)
	for path, want := range map[string]string{"local.auth": "pubkey", "remote.auth": "rsa-2048-ecdsa-256", "local.id": "2001:db8::1", "remote.id": "2001:db8::2", "send_cert": "always"} {
		if got := text(t, s, strings.Split(path, ".")...); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
	certs, authorities := entry(s, "local", "certs"), entry(s, "remote", "cacerts")
	if certs == nil || authorities == nil {
		t.Fatalf("no certificate or no authorities in\n%v", s)
	}
	if got := fmt.Sprintf("%s", certs.Blobs); got != "[{fairlead-relay-core1.crt mine}]" {
		t.Errorf("certs = %s", got)
	}
	if got := fmt.Sprintf("%s", authorities.Blobs); got != "[{fairlead-relay-core1-ca1.crt one} {fairlead-relay-core1-ca2.crt two}]" {
		t.Errorf("cacerts = %s", got)
	}
}

// TestLinkLocalConnection: the addresses have a scope, the identities have none:
// RFC 8213 4e.
func TestLinkLocalConnection(t *testing.T) {
	h := server6()
	h.Local, h.Remote, h.Link = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2"), "eth0.7"
	s := hop.OwnerRelay.Connection(&h)
	for path, want := range map[string]string{
		"local_addrs": "fe80::1%eth0.7", "remote_addrs": "fe80::2%eth0.7", "local/id": "fe80::1", "remote/id": "fe80::2",
		"children/dhcp/interface": "eth0.7", "children/leasequery/interface": "eth0.7",
	} {
		if got := text(t, s, strings.Split(path, "/")...); got != want {
			t.Errorf("%s = %q, want %q", path, got, want)
		}
	}
}

func TestLifetimes(t *testing.T) {
	for _, c := range []struct {
		lifetime          time.Duration
		rekey, rand, life string
	}{
		{0, "3600s", "360s", "3960s"},
		{time.Hour, "3600s", "360s", "3960s"},
		{24 * time.Hour, "86400s", "8640s", "95040s"},
		{10 * time.Second, "10s", "1s", "70s"},
		{time.Second, "1s", "1s", "61s"},
	} {
		h := server6()
		h.IKE.Lifetime = c.lifetime
		child := entry(hop.OwnerRelay.Connection(&h), "children", "dhcp").Section
		rekey, life, random := text(t, child, "rekey_time"), text(t, child, "life_time"), text(t, child, "rand_time")
		if rekey != c.rekey || life != c.life || random != c.rand {
			t.Errorf("%v: rekey %s, life %s, rand %s, want %s, %s, %s", c.lifetime, rekey, life, random, c.rekey, c.life, c.rand)
		}
	}
}

// TestDeadPeer: the relay begins anew, the server waits for it.
func TestDeadPeer(t *testing.T) {
	for role, want := range map[trust.PeerRole]string{trust.Server: "restart", trust.Relay: "trap"} {
		h := server6()
		h.Role = role
		if got := text(t, hop.OwnerRelay.Connection(&h), "children", "dhcp", "dpd_action"); got != want {
			t.Errorf("towards a %v: %q, want %q", role, got, want)
		}
	}
}

func TestConfiguredProposals(t *testing.T) {
	h := server6()
	h.IKE.Proposals, h.IKE.ESP = []string{"a", "b"}, []string{"c", "d"}
	s := hop.OwnerRelay.Connection(&h)
	if got := entry(s, "proposals").List; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("proposals = %q", got)
	}
	if got := entry(s, "children", "leasequery", "esp_proposals").List; !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("esp_proposals = %q", got)
	}
}

// TestKeyID has what charon 5.9.8 answered to load-key for that certificate's key.
func TestKeyID(t *testing.T) {
	der, err := os.ReadFile("testdata/plan-key.crt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&hop.IKE{Certificate: der}).KeyID()
	if want := "a7fc30ffa0708d065d593005007ec1d5a948afc8"; err != nil || got != want {
		t.Errorf("KeyID() = %q, %v, want %q", got, err, want)
	}
	for n := range der {
		if _, err := (&hop.IKE{Certificate: der[:n]}).KeyID(); err == nil || !strings.HasPrefix(err.Error(), "certificate: ") {
			t.Errorf("%d octets of the certificate: %v, want an error about the certificate", n, err)
		}
	}
}
