//go:build vm

package ipsec_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/protected"
	"fairlead/internal/system/rig"
)

// peerOf is a protected peer's stanza.
func peerOf(name, role string, address, local netip.Addr, link, keys string) string {
	return fmt.Sprintf("  - name: %s\n    address: %q\n    local: %q\n    role: %s\n    interfaces: [%s]\n    protection: ipsec\n%s",
		name, address, local, role, link, keys)
}

// chain is a client, two relays and a server, with addresses of the relays' and
// the server's ends of the two hops. The lower hop has a pre-shared key, the upper
// one certificates.
//
//	c c0 --- d1 a u0 --- x0 b u0 --- s0 s
type chain struct {
	*rig.Net
	c, a, b, s                  *rig.Host
	lower, below, above, server netip.Addr
	ends                        []*protected.End  // of a, b and s
	wires                       []*protected.Wire // of the lower hop and the upper one
}

// newChain makes the network and configures all ends. Relay a is fairlead itself,
// or somebody else's program under guard. Of the programs none runs.
func newChain(t *testing.T, guarded bool) *chain {
	t.Helper()
	h := &chain{
		Net:   rig.New(t),
		lower: netip.MustParseAddr("2001:db8:ab::a"), below: netip.MustParseAddr("2001:db8:ab::b"),
		above: netip.MustParseAddr("2001:db8:b5::b"), server: netip.MustParseAddr("2001:db8:b5::5"),
	}
	h.c, h.a, h.b, h.s = h.Node("c"), h.Node("a"), h.Node("b"), h.Node("s")
	h.Veth(h.c, "c0", h.a, "d1")
	h.Veth(h.a, "u0", h.b, "x0")
	h.Veth(h.b, "u0", h.s, "s0")
	h.a.Address("d1", "2001:db8:1::1/64")
	h.a.Address("u0", h.lower.String()+"/64")
	h.b.Address("x0", h.below.String()+"/64")
	h.b.Address("u0", h.above.String()+"/64")
	h.s.Address("s0", h.server.String()+"/64")
	h.ends = []*protected.End{newEnd(h.a, guarded), newEnd(h.b, false), newEnd(h.s, true)}
	for _, e := range h.ends {
		e.Strongswan()
	}
	atA, atBelow := protected.Preshared(h.Net, h.below, h.lower)
	atAbove, atServer := protected.Certificates(h.Net, h.server, h.above)
	h.ends[0].Configure(peerOf("b", "server", h.below, h.lower, "u0", atA))
	h.ends[1].Configure(peerOf("s", "server", h.server, h.above, "u0", atAbove) + peerOf("a", "relay", h.lower, h.below, "x0", atBelow))
	h.ends[2].Configure(peerOf("b", "relay", h.above, h.server, "s0", atServer))
	h.wires = []*protected.Wire{record(h.b, "x0"), record(h.s, "s0")}
	return h
}

// obtains starts all ends and a scripted server, has the client obtain a prefix
// through both relays, and fails unless both hops were in ESP, each by SAs of its
// own.
func (h *chain) obtains() {
	h.T.Helper()
	scripted := h.s.Server(h.server, rig.Always(delegated))
	for _, e := range h.ends {
		e.Start()
	}
	for _, e := range h.ends {
		e.BecomesProtected()
	}
	reply := h.c.Play(rig.DUID(1)).Obtain(1)
	if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix != delegated {
		h.T.Errorf("delegated: %v, want %v", got, delegated)
	}
	if q := scripted.Received()[0]; len(q.Relays) != 2 {
		h.T.Errorf("the server's message came through %d relays, want 2", len(q.Relays))
	}
	spis := []map[string]int{h.wires[0].SPIs(0, h.lower), h.wires[1].SPIs(0, h.above)}
	for i, x := range h.wires {
		if _, esp := x.OnlyESP(0); esp < 4 || len(spis[i]) == 0 {
			h.T.Errorf("hop %d: %d ESP packets under %v, want at least 4", i+1, esp, spis[i])
		}
	}
	for spi := range spis[0] {
		if spis[1][spi] > 0 {
			h.T.Errorf("SPI %s is on both hops", spi)
		}
	}
}

// Hop by hop: each of the two hops of a chain has SAs of its own, with its own
// keys, and neither end of the chain knows those of the other hop. If one hop's
// keys are wrong the other stays as it is. RFC 8213 3e, 3f and 4a.
func TestRFC8213_3_HopByHop(t *testing.T) {
	h := newChain(t, false)
	h.obtains()
	// What the lower end holds says nothing of the upper hop, and the reverse.
	for i, other := range map[int]netip.Addr{0: h.server, 2: h.lower} {
		out := h.ends[i].IP("xfrm state")
		if strings.Contains(out, other.String()) {
			t.Errorf("%s holds SAs with %s:\n%s", h.ends[i].Node.Name, other, out)
		}
	}
	wrong, _ := protected.Preshared(h.Net, h.below, h.lower)
	h.ends[0].Configure(peerOf("b", "server", h.below, h.lower, "u0", wrong))
	h.ends[0].Reload()
	h.ends[1].Becomes("the lower hop is lost, and the upper one is not", func(hops []api.Hop) bool {
		return len(hops) == 2 && hops[0].Name == "s" && hops[0].Protected && hops[1].Name == "a" && !hops[1].Protected
	})
}

// The lower relay is somebody else's, and a guard beside it protects its hop to
// ours. RFC 8213 3a and 3f.
func TestRFC8213_3_ForeignRelayBelow(t *testing.T) {
	h := newChain(t, true)
	_, err := peer.StartRelay(h.a.Node, peer.Dhcrelay6, peer.RelayConfig{Down: map[string]netip.Addr{"d1": {}}, Up: "u0", Server: h.below})
	h.Need(err)
	h.obtains()
}

// A hop between link-local addresses, as towards a relay that has no others.
// RFC 8213 4e.
func TestRFC8213_3_LinkLocal(t *testing.T) {
	w := newWorld(t)
	a := w.r.LinkLocal("u0")
	b := w.s.LinkLocal("s0")
	w.relay.Strongswan()
	w.server.Strongswan()
	atRelay, atServer := protected.Preshared(w.Net, b, a)
	w.relay.Configure(peerOf("server", "server", b, a, "u0", atRelay))
	w.server.Configure(peerOf("relay", "relay", a, b, "s0", atServer))
	w.s.Server(b.WithZone(fmt.Sprint(w.s.Interface("s0").Index)), rig.Always(delegated))
	w.relay.Start()
	w.server.Start()
	w.becomesProtected()
	w.wire.WantESP(0, 2)
	for _, e := range []*protected.End{w.relay, w.server} {
		hop := e.Becomes("packets in ESP are counted", func(hops []api.Hop) bool {
			return hops[0].Protected && hops[0].In.Packets > 0 && hops[0].Out.Packets > 0
		})[0]
		if !hop.Local.IsLinkLocalUnicast() {
			t.Errorf("%s: %+v", e.Node.Name, hop)
		}
	}
}
