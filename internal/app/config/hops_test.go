package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// compareHops compares hops with their keys.
func compareHops(t *testing.T, want, got []hop.Hop) {
	t.Helper()
	if diff := cmp.Diff(want, got, asWritten); diff != "" {
		t.Errorf("hops (-want +got)\n%s", diff)
	}
}

// der returns a certificate of the tests.
func der(t *testing.T, name string) []byte {
	t.Helper()
	d := withKeys(false)
	f, err := d.files.public("/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return decodePEM(t, f.Text)
}

func privateDER(t *testing.T, name string) []byte {
	t.Helper()
	f, err := testSecret("/" + name + ".key")
	if err != nil {
		t.Fatal(err)
	}
	return decodePEM(t, f.Text)
}

// TestRFC8213_3g_PeersOfTheRelay shows that servers to which messages go, and relays to which
// they are returned, become hops in the order of the file, in whichever way each of them has its
// keys.
func TestRFC8213_3g_PeersOfTheRelay(t *testing.T) {
	c := parseKeys(t, `
relay6: {source-port: 1547, links: [{match: ppp0}]}
peers:
  - name: psk
    address: 2001:db8:ffff::a
    local: 2001:db8:ffff::1
    role: server
    interfaces: [eth0]
    protection: ipsec
    ike:
      psk-file: /keys/a.psk
      remote-id: 2001:DB8:FFFF:0::A
      esp: [aes128gcm16-x25519, chacha20poly1305]
      proposals: [aes256-sha256-ecp256]
      lifetime: 10m
  - {name: clear, address: 2001:db8:ffff::9, role: server, interfaces: [eth0], protection: none}
  - name: certificate
    address: 2001:db8:ffff::b
    local: 2001:db8:ffff::1
    role: server
    interfaces: [eth0]
    protection: ipsec
    ike: {certificate: /keys/b.pem, key: /keys/b.key, ca: /keys/ca.pem, remote-id: "O=Example, CN=b2"}
  - name: manual
    address: fe80::c
    local: fe80::1
    role: relay
    interfaces: [eth1]
    protection: ipsec
    source-port: 2547
    manual:
      out: {spi: 0x101, key-file: /keys/out.keys}
      in: [{spi: 514, key-file: /keys/in.keys}, {spi: 0xFFFFFFFF, key-file: /keys/next.keys}]
`)
	addr := netip.MustParseAddr
	compareHops(t, []hop.Hop{
		{
			Name: "psk", Peer: "psk", Role: trust.Server, Local: addr("2001:db8:ffff::1"), Remote: addr("2001:db8:ffff::a"), RelayPort: 1547,
			IKE: &hop.IKE{
				PSK: octets("a.psk", 32), RemoteID: "2001:db8:ffff::a", ESP: []string{"aes128gcm16-x25519", "chacha20poly1305"},
				Proposals: []string{"aes256-sha256-ecp256"}, Lifetime: 10 * time.Minute,
			},
		},
		{
			Name: "certificate", Peer: "certificate", Role: trust.Server, Local: addr("2001:db8:ffff::1"), Remote: addr("2001:db8:ffff::b"), RelayPort: 1547,
			IKE: &hop.IKE{Certificate: der(t, "b"), Key: privateDER(t, "b"), Authorities: [][]byte{der(t, "ca")}, RemoteID: "O=Example, CN=b2"},
		},
		{
			Name: "manual", Peer: "manual", Role: trust.Relay, Local: addr("fe80::1"), Remote: addr("fe80::c"), Link: "eth1", RelayPort: 2547,
			Manual: &hop.Manual{
				Out: manualSA(0x101, "out.keys"),
				In:  []hop.ManualSA{manualSA(0x202, "in.keys"), manualSA(0xffffffff, "next.keys")},
			},
		},
	}, c.Hops())

	for i, want := range []trust.Protection{trust.ProtectionIPsec, trust.ProtectionNone, trust.ProtectionIPsec, trust.ProtectionIPsec} {
		if got := c.Peers[i].Protection; got != want {
			t.Errorf("peer %s: protection %v, want %v", c.Peers[i].Name, got, want)
		}
	}
}

// The port from which we send is in a hop only if it is not 547.
func TestHopsWithoutRelayPort(t *testing.T) {
	c := parseKeys(t, whole(`peers:
  - {name: a, address: 2001:db8::a, local: 2001:db8::1, role: server, interfaces: [eth0], protection: ipsec, ike: {psk-file: /a.psk}}
`))
	if hops := c.Hops(); len(hops) != 1 || hops[0].RelayPort != 0 {
		t.Errorf("hops %+v, want one without a port of its own", hops)
	}
	if hops := parsed(t, whole("")).Hops(); len(hops) != 0 {
		t.Errorf("hops %+v of a file without ipsec", hops)
	}
}

// A server answers to giaddr (RFC 2131 section 4.1), so each giaddr of a DHCPv4
// relay is an end of a pair of its own, whichever end this host is.
func TestHopsOfGiaddrs(t *testing.T) {
	g := parseGuardKeys(t, `
peers:
  - name: below
    address: 192.0.2.1
    local: 192.0.2.67
    role: relay
    protection: ipsec
    giaddrs: [198.51.100.1, {address: 203.0.113.1}]
    ike: {psk-file: /a.psk}
  - name: above
    address: 192.0.2.99
    local: 192.0.2.67
    role: server
    protection: ipsec
    source-port: 1067
    giaddrs:
      - address: 198.51.100.67
        manual:
          algorithm: aes256-sha256
          out: {spi: 258, key-file: /b1-out.keys}
          in: {spi: 258, key-file: /b1-in.keys}
    manual:
      out: {spi: 257, key-file: /b-out.keys}
      in: {spi: 257, key-file: /b-in.keys}
`)
	addr := netip.MustParseAddr
	ike := &hop.IKE{PSK: octets("a.psk", 32)}
	compareHops(t, []hop.Hop{
		{Name: "below", Peer: "below", Role: trust.Relay, Local: addr("192.0.2.67"), Remote: addr("192.0.2.1"), IKE: ike},
		{Name: "below+1", Peer: "below", Role: trust.Relay, Local: addr("192.0.2.67"), Remote: addr("198.51.100.1"), IKE: ike},
		{Name: "below+2", Peer: "below", Role: trust.Relay, Local: addr("192.0.2.67"), Remote: addr("203.0.113.1"), IKE: ike},
		{
			Name: "above", Peer: "above", Role: trust.Server, Local: addr("192.0.2.67"), Remote: addr("192.0.2.99"), RelayPort: 1067,
			Manual: &hop.Manual{Out: manualSA(257, "b-out.keys"), In: []hop.ManualSA{manualSA(257, "b-in.keys")}},
		},
		{
			Name: "above+1", Peer: "above", Role: trust.Server, Local: addr("198.51.100.67"), Remote: addr("192.0.2.99"), RelayPort: 1067,
			Manual: &hop.Manual{Out: manualSA(258, "b1-out.keys"), In: []hop.ManualSA{manualSA(258, "b1-in.keys")}},
		},
	}, g.Hops())
}

// A guard may protect a program that speaks to one peer from two addresses. The peer then needs
// two identities if keys are found by identities.
func TestGuardWithTwoLocalAddresses(t *testing.T) {
	const text = `
peers:
  - {name: a, address: 2001:db8::a, local: 2001:db8::1, role: relay, protection: ipsec, ike: {psk-file: /a.psk}}
  - {name: b, address: 2001:db8::a, local: 2001:db8::2, role: relay, protection: ipsec, ike: {psk-file: /b.psk, remote-id: b.example.com}}
`
	if hops := parseGuardKeys(t, text).Hops(); len(hops) != 2 {
		t.Errorf("%d hops, want 2", len(hops))
	}
	got := guardProblems(t, strings.Replace(text, ", remote-id: b.example.com", "", 1))
	const want = "f.yaml:4:24: peers[1].address: peer \"a\" has the identity 2001:db8::a too, and pre-shared keys are found by it (ike.remote-id: another one)\n"
	if got != want {
		t.Errorf("problems (-want +got)\n%s", cmp.Diff(want, got))
	}
}

// No peer can act for another one: neither by a certificate of an identity that the other has
// too, nor by a key that is found by our own identity (RFC 8213 section 3, pairwise trust).
func TestIdentitiesAreNotShared(t *testing.T) {
	const pem = "certificate: /b.pem, key: /b.key, ca: /ca.pem, local-id: 2001:db8:ffff::1"
	for text, want := range map[string]string{
		`
peers:
  - {name: a, address: fe80::1, local: fe80::2, role: relay, interfaces: [eth0], protection: ipsec, ike: {` + pem + `}}
  - {name: b, address: fe80::1, local: fe80::3, role: relay, interfaces: [eth1], protection: ipsec, ike: {` + pem + `}}
`: "f.yaml:4:24: peers[1].address: peer \"a\" has the identity fe80::1 too, and may have a certificate of it (ike.remote-id: another one)\n",
		`
peers:
  - {name: a, address: 2001:db8::a, local: 2001:db8::1, role: relay, protection: ipsec, ike: {` + pem + `}}
  - {name: b, address: 2001:db8::a, local: 2001:db8::2, role: relay, protection: ipsec, ike: {` + pem + `}}
`: "",
		`
peers:
  - {name: a, address: 2001:db8::a, local: 2001:db8::1, role: relay, protection: ipsec, ike: {psk-file: /a.psk, local-id: dhcp.example.com}}
  - {name: b, address: 2001:db8::b, local: 2001:db8::1, role: relay, protection: ipsec, ike: {psk-file: /b.psk, remote-id: DHCP.example.com}}
`: "f.yaml:4:24: peers[1].address: its identity dhcp.example.com is ours towards peer \"a\", and pre-shared keys are found by either (ike.remote-id: another one)\n",
	} {
		if want == "" {
			parseGuardKeys(t, text)
		} else if got := guardProblems(t, text); got != want {
			t.Errorf("problems (-want +got)\n%s", cmp.Diff(want, got))
		}
	}
}

// The operator is warned of some things in a file that is accepted.
func TestWarnings(t *testing.T) {
	const stanza = "address: 2001:db8:ffff::b, local: 2001:db8:ffff::1, role: server, interfaces: [eth0], protection: ipsec"
	for _, tc := range []struct{ name, keys, want string }{
		{"a year to go", "ike: {certificate: /b.pem, key: /b.key, ca: /ca.pem}", ""},
		{"expired", "ike: {certificate: /old-b.pem, key: /old-b.key, ca: /ca.pem}", `f.yaml:2:139: peers[0].ike.certificate: certificate "CN=old-b,O=Example" has expired at 2027-02-28 12:00 UTC`},
		{"too early", "ike: {certificate: /young-b.pem, key: /young-b.key, ca: /ca.pem}", `f.yaml:2:139: peers[0].ike.certificate: certificate "CN=young-b,O=Example" is not valid before 2027-03-02 12:00 UTC`},
		{"a week to go", "ike: {certificate: /late-b.pem, key: /late-b.key, ca: /ca.pem}", `f.yaml:2:139: peers[0].ike.certificate: certificate "CN=late-b,O=Example" expires at 2027-03-08 12:00 UTC`},
		{"manual", "manual: {out: {spi: 257, key-file: /o.keys}, in: {spi: 257, key-file: /i.keys}}", "f.yaml:2:128: peers[0].manual: " + replayed},
	} {
		c := parseKeys(t, whole("peers:\n  - {name: b, "+stanza+", "+tc.keys+"}\n"))
		if got := c.Warnings.Error(); got != tc.want {
			t.Errorf("%s: warnings (-want +got)\n%s", tc.name, cmp.Diff(tc.want, got))
		}
	}
	g := parseGuardKeys(t, "peers:\n  - {name: b, address: 192.0.2.1, local: 192.0.2.2, role: relay, protection: ipsec, manual: {out: {spi: 257, key-file: /o.keys}, in: {spi: 257, key-file: /i.keys}}}\n")
	if len(g.Warnings) != 1 || g.Warnings[0].Text != replayed {
		t.Errorf("warnings of the guard: %v", g.Warnings)
	}
}

// No error, and nothing that prints a configuration, shows a key.
func TestKeysStayInside(t *testing.T) {
	c := parseKeys(t, whole(`peers:
  - {name: a, address: 2001:db8::a, local: 2001:db8::1, role: server, interfaces: [eth0], protection: ipsec, ike: {psk-file: /a.psk}}
  - {name: b, address: 2001:db8::b, local: 2001:db8::1, role: server, interfaces: [eth0], protection: ipsec, manual: {out: {spi: 257, key-file: /o.keys}, in: {spi: 257, key-file: /i.keys}}}
`))
	for _, h := range c.Hops() {
		printed := printAll(h)
		for _, file := range []string{"a.psk", "o.keys", "i.keys"} {
			for _, spelling := range spellings(octets(file, 32)) {
				if strings.Contains(printed, spelling) {
					t.Errorf("hop %s prints the key of %s: %s", h.Name, file, printed)
				}
			}
		}
	}
}

// These files are accepted. A link-local address belongs to one link, so a peer may have the
// address of a peer on another link, towards another address of ours. Sensitive options may be
// required if every server is protected.
func TestTaken(t *testing.T) {
	c := parseKeys(t, `
peers:
  - {name: kea, address: 2001:db8::a, local: 2001:db8::1, role: server, interfaces: [eth9], protection: ipsec, ike: {psk-file: /a.psk}}
  - {name: clear, address: fe80::7, role: relay, interfaces: [eth0], protection: none}
  - name: one
    address: fe80::7
    local: fe80::1
    role: relay
    interfaces: [eth1]
    protection: ipsec
    manual: {out: {spi: 257, key-file: /o1.keys}, in: {spi: 257, key-file: /i1.keys}}
  - name: two
    address: fe80::7
    local: fe80::3
    role: relay
    interfaces: [eth2]
    protection: ipsec
    manual: {out: {spi: 258, key-file: /o2.keys}, in: {spi: 257, key-file: /i2.keys}}
relay6:
  links: [{match: ppp0, sensitive: require, subscriber-id: x, remote-id: {enterprise: 32473, id: y, sensitive: true}}]
`)
	var links []string
	for _, h := range c.Hops() {
		links = append(links, h.Name+" "+h.Link)
	}
	if want := []string{"kea ", "one eth1", "two eth2"}; !slices.Equal(links, want) {
		t.Errorf("hops and links %q, want %q", links, want)
	}
	if remote := relay6Of(c).Links[0].RemoteID; remote == nil || !remote.Sensitive {
		t.Errorf("remote-id %+v, want it sensitive", remote)
	}
}

// A server answers to giaddr, and a hop is between two addresses. So, with a protected DHCPv4
// server, each link's giaddr has to be our address towards that server.
func TestRFC8213_3g_GIAddrOfTheRelay(t *testing.T) {
	for giaddr, wrong := range map[string]bool{"": true, "giaddr: auto": true, "unnumbered: lo": true, "giaddr: 192.0.2.1": true, "giaddr: 198.51.100.1": false} {
		text := "relay4: {links: [{match: eth1, agent-information: add, link-selection: true, " + giaddr + "}]}\n" +
			"peers: [{name: four, address: 198.51.100.67, local: 198.51.100.1, role: server, interfaces: [eth0], protection: ipsec, ike: {psk-file: /keys/a.psk}}]\n"
		got := problems(t, text)
		const want = `f.yaml:1:18: relay4.links[0]: the answers of peer "four" go to giaddr, and are protected at its local address alone (giaddr: 198.51.100.1;`
		if strings.HasPrefix(got, want) != wrong || !wrong && got != "" {
			t.Errorf("%s: %q, want a problem: %v", giaddr, got, wrong)
		}
	}
}
