//go:build vm

package ipsec_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/app/control"
	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
	"fairlead/internal/wire/dhcp6"
)

// peerOf is a protected peer's stanza.
func peerOf(name, role string, address, local netip.Addr, link, keys string) string {
	return fmt.Sprintf("  - name: %s\n    address: %q\n    local: %q\n    role: %s\n    interfaces: [%s]\n    protection: ipsec\n%s",
		name, address, local, role, link, keys)
}

// Hop by hop: each of the two hops of a chain has SAs of its own, with its own
// keys, and neither end of the chain knows those of the other hop. If one hop's
// keys are wrong the other stays as it is. RFC 8213 3e, 3f and 4a.
//
//	c c0 --- d1 a u0 --- x0 b u0 --- s0 s
func TestRFC8213_3_HopByHop(t *testing.T) {
	n := lab.ForTest(t)
	nodes := make(map[string]*lab.Node)
	for _, name := range []string{"c", "a", "b", "s"} {
		d, err := n.Node(name)
		need(t, err)
		nodes[name] = d
	}
	c, a, b, s := nodes["c"], nodes["a"], nodes["b"], nodes["s"]
	need(t, n.Veth(c, "c0", a, "d1"))
	need(t, n.Veth(a, "u0", b, "x0"))
	need(t, n.Veth(b, "u0", s, "s0"))
	lower, below := netip.MustParseAddr("2001:db8:ab::a"), netip.MustParseAddr("2001:db8:ab::b")
	above, server := netip.MustParseAddr("2001:db8:b5::b"), netip.MustParseAddr("2001:db8:b5::5")
	for _, at := range []struct {
		d       *lab.Node
		link    string
		address string
	}{{a, "d1", "2001:db8:1::1"}, {a, "u0", lower.String()}, {b, "x0", below.String()}, {b, "u0", above.String()}, {s, "s0", server.String()}} {
		need(t, at.d.Address(at.link, at.address+"/64"))
	}
	ends := []*protected.End{newEnd(t, a, false), newEnd(t, b, false), newEnd(t, s, true)}
	for _, e := range ends {
		e.Strongswan()
	}
	atA, atBelow := protected.Preshared(t, n.Dir(), below, lower)
	atAbove, atServer := protected.Certificates(t, n.Dir(), server, above)
	ends[0].Configure(peerOf("b", "server", below, lower, "u0", atA))
	ends[1].Configure(peerOf("s", "server", server, above, "u0", atAbove) + peerOf("a", "relay", lower, below, "x0", atBelow))
	ends[2].Configure(peerOf("b", "relay", above, server, "s0", atServer))
	wires := []*protected.Wire{record(t, b, "x0"), record(t, s, "s0")}
	scripted, err := script.StartServer(s, server, script.Grants{T1: 1000, T2: 1600, Prefixes: func(script.Request, dhcp6.IA) []dhcp6.IAPrefix {
		return []dhcp6.IAPrefix{{Prefix: delegated, Preferred: 2000, Valid: 3000}}
	}}.Answer)
	need(t, err)
	for _, e := range ends {
		e.Start()
	}
	for _, e := range ends {
		e.BecomesProtected()
	}
	client, err := script.StartClient(c, script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0xc0, 1}})
	need(t, err)
	reply, err := client.Obtain(patience, 1)
	need(t, err)
	if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix != delegated {
		t.Errorf("delegated: %v, want %v", got, delegated)
	}
	if q := scripted.Received()[0]; len(q.Relays) != 2 {
		t.Errorf("the server's message came through %d relays, want 2", len(q.Relays))
	}
	spis := []map[string]int{wires[0].SPIs(0, lower), wires[1].SPIs(0, above)}
	for i, x := range wires {
		if _, esp := x.OnlyESP(0); esp < 4 || len(spis[i]) == 0 {
			t.Errorf("hop %d: %d ESP packets under %v, want at least 4", i+1, esp, spis[i])
		}
	}
	for spi := range spis[0] {
		if spis[1][spi] > 0 {
			t.Errorf("SPI %s is on both hops", spi)
		}
	}
	// What the lower end holds says nothing of the upper hop, and the reverse.
	for i, other := range map[int]netip.Addr{0: server, 2: lower} {
		out, err := ends[i].Node.IP("xfrm state")
		need(t, err)
		if strings.Contains(out, other.String()) {
			t.Errorf("%s holds SAs with %s:\n%s", ends[i].Node.Name, other, out)
		}
	}
	wrong, _ := protected.Preshared(t, n.Dir(), below, lower)
	ends[0].Configure(peerOf("b", "server", below, lower, "u0", wrong))
	ends[0].Reload()
	ends[1].Becomes("the lower hop is lost, and the upper one is not", func(hops []control.Hop) bool {
		return len(hops) == 2 && hops[0].Name == "s" && hops[0].Protected && hops[1].Name == "a" && !hops[1].Protected
	})
}

// A hop between link-local addresses, as towards a relay that has no others.
// RFC 8213 4e.
func TestRFC8213_3_LinkLocal(t *testing.T) {
	w := newWorld(t)
	a, err := w.r.LinkLocal("u0")
	need(t, err)
	b, err := w.s.LinkLocal("s0")
	need(t, err)
	w.relay.Strongswan()
	w.server.Strongswan()
	atRelay, atServer := protected.Preshared(t, w.Dir(), b, a)
	w.relay.Configure(peerOf("server", "server", b, a, "u0", atRelay))
	w.server.Configure(peerOf("relay", "relay", a, b, "s0", atServer))
	link, err := w.s.Interface("s0")
	need(t, err)
	_, err = script.StartServer(w.s, b.WithZone(fmt.Sprint(link.Index)), script.Grants{T1: 1000, T2: 1600, Prefixes: func(script.Request, dhcp6.IA) []dhcp6.IAPrefix {
		return []dhcp6.IAPrefix{{Prefix: delegated, Preferred: 2000, Valid: 3000}}
	}}.Answer)
	need(t, err)
	w.relay.Start()
	w.server.Start()
	w.settled()
	if _, esp := w.wire.OnlyESP(0); esp < 2 {
		t.Errorf("%d ESP packets, want at least 2", esp)
	}
	for _, e := range []*protected.End{w.relay, w.server} {
		hop := e.Becomes("packets in ESP are counted", func(hops []control.Hop) bool {
			return hops[0].Protected && hops[0].In.Packets > 0 && hops[0].Out.Packets > 0
		})[0]
		if !hop.Local.IsLinkLocalUnicast() {
			t.Errorf("%s: %+v", e.Node.Name, hop)
		}
	}
}
