package hop_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

var updatePlans = flag.Bool("update-plans", false, "write the golden plans anew")

// octets is a key whose contents a plan must not show.
func octets(n int, fill byte) hop.Secret { return hop.Secret(strings.Repeat(string(fill), n)) }

func server6() hop.Hop {
	return hop.Hop{
		Name: "core1", Peer: "core1", Role: trust.Server,
		Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::2"),
		IKE: &hop.IKE{PSK: octets(32, 'K')},
	}
}

// plans are hops of every kind, one golden file for each.
func plans() map[string][]hop.Hop {
	certificate := server6()
	certificate.IKE = &hop.IKE{
		Certificate: []byte("a certificate"), Key: octets(48, 'P'), Authorities: [][]byte{[]byte("one authority"), []byte("another")},
		LocalID: "relay.example.net", RemoteID: "C=DE, O=Example, CN=dhcp \"one\"",
		ESP: []string{"aes256-sha512"}, Proposals: []string{"aes256-sha256-modp2048"}, Lifetime: 90 * time.Second,
	}

	downstream := server6()
	downstream.Name, downstream.Peer, downstream.Role = "access.1", "access.1", trust.Relay
	downstream.RelayPort = 1547

	upstream := server6()
	upstream.RelayPort = 1547

	scoped := server6()
	scoped.Name, scoped.Peer, scoped.Role = "ldra", "ldra", trust.Relay
	scoped.Local, scoped.Remote, scoped.Link = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2"), "lan0"

	scopedManual := scoped
	scopedManual.IKE, scopedManual.Manual = nil, manual(hop.AES128SHA256, 1)

	manual4 := hop.Hop{
		Name: "kea", Peer: "kea", Role: trust.Server,
		Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("192.0.2.2"),
		Manual: manual(hop.AES256SHA512, 2),
	}

	further := manual4
	further.Name, further.Local = "kea+1", netip.MustParseAddr("192.0.2.65")
	further.Manual, further.IKE = nil, &hop.IKE{PSK: octets(20, 'K')}

	return map[string][]hop.Hop{
		"psk-server":         {server6()},
		"psk-relay-port":     {downstream},
		"certificate":        {certificate},
		"link-local":         {scoped},
		"manual-link-local":  {scopedManual},
		"manual-rollover-v4": {manual4},
		"mixed":              {upstream, manual4, further},
		"clear":              nil,
	}
}

// manual are keys with so many inbound SPIs.
func manual(suite hop.Suite, in uint32) *hop.Manual {
	encryption, integrity := suite.KeyLengths()
	sa := func(spi uint32) hop.ManualSA {
		return hop.ManualSA{SPI: spi, Suite: suite, Encryption: octets(encryption, 'E'), Integrity: octets(integrity, 'I')}
	}
	m := &hop.Manual{Out: sa(0x100)}
	for i := range in {
		m.In = append(m.In, sa(0x200+i))
	}
	return m
}

func TestPlans(t *testing.T) {
	for name, hops := range plans() {
		got := "# strongSwan\n" + hop.StrongswanText(hop.OwnerRelay, hops) + "# XFRM\n" + hop.XfrmText(hop.OwnerRelay, hops)
		path := filepath.Join("testdata", "plan-"+name+".txt")
		if *updatePlans {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		for _, secret := range []string{"KKKK", "PPPP", "EEEE", "IIII"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: the plan shows a key", name)
			}
		}
	}
}
