package attack_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// mismatched is Rises for Releases that are not the holder's.
func (r *network) mismatched(by int, attack func()) {
	r.T.Helper()
	r.Rises(func() int { return r.refused()["release-mismatch"] }, "release-mismatch", by, attack)
}

// A Release, or a Decline, in the victim's name: from the attackers' own
// addresses, on the victim's link and on another.
func TestSpoofedRelease(t *testing.T) {
	r := withKea(t)
	v := r.victim()
	near, far := r.Client(2).Play(rig.DUID(1)), r.far.Play(rig.DUID(1))
	r.mismatched(3, func() {
		near.Send(v.Says(dhcp6.Release))
		near.Send(v.Message(dhcp6.Release, serverID(v.Reply), script.IAPD(iaid))) // that names none
		near.Send(v.Says(dhcp6.Decline))
		far.Send(v.Says(dhcp6.Release))
		near.Passed()
		far.Passed()
	})
	v.Unmoved()
	// The victim's own counts: the messages were no nonsense.
	v.Release(v.Reply)
	r.WantNoRoute(v.Prefix)
}

// The same with the victim's IPv6 source and the attacker's own link-layer
// address, by every way to the relay that there is: multicast, and ways on which
// the relay does not see who put the frame on the link.
func TestSpoofedReleaseFromTheVictimsAddress(t *testing.T) {
	for name, send := range map[string]func(r *network, x *thrower, source netip.Addr, message []byte){
		"multicast": func(_ *network, x *thrower, source netip.Addr, message []byte) {
			x.ToRelays(x.Own, source, message)
		},
		"unicast": func(r *network, x *thrower, source netip.Addr, message []byte) {
			to := netip.AddrPortFrom(r.Relay.LinkLocal(shared), dhcp6.ServerPort)
			x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ClientPort), to, message)
		},
		"to the link-address": func(_ *network, x *thrower, source netip.Addr, message []byte) {
			to := netip.AddrPortFrom(lab.LinkAddress(1), dhcp6.ServerPort)
			x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ClientPort), to, message)
		},
		"in fragments": func(_ *network, x *thrower, source netip.Addr, message []byte) {
			for _, f := range fragments(x, source, message, 1024) {
				x.Put(f)
			}
		},
		"behind an extension header": func(_ *network, x *thrower, source netip.Addr, message []byte) {
			x.Put(x.frame(source, layers.IPProtocolIPv6Destination, slices.Concat([]byte{17, 0, 1, 4, 0, 0, 0, 0}, segment(source, message))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := withKea(t)
			v := r.victim()
			x := r.thrower(r.Client(2), "c0", shared)
			heard := r.Server.Record("s0", "ip6")
			release := v.Says(dhcp6.Release)
			if name == "in fragments" { // as a message that needs them
				release = slices.Concat(release, script.Option(40000, make([]byte, 1400)...))
			}
			r.mismatched(1, func() { send(r, x, v.Own(), release) })
			v.Unmoved()
			// It went on to the server all the same: what a relay knows of a client
			// stops no message.
			r.Until("the server hears the Release", func() bool {
				all, _ := heard.Datagrams("dhcpv6.msgtype == 8")
				for _, d := range all {
					if bytes.Contains(d.Payload, release) {
						return true
					}
				}
				return false
			})
		})
	}
}

// The kernel puts a datagram together from fragments of several hosts. A Release whose
// beginning is the attacker's and whose end is the victim's is nobody's, nor is one the
// other way round; the victim's own counts in fragments as well.
func TestReleasePutTogetherFromTwoHosts(t *testing.T) {
	r := withKea(t)
	v := r.victim()
	x := r.thrower(r.Client(2), "c0", shared)
	own := r.thrower(v.Node, "c0", shared)
	source := v.Own()
	release := slices.Concat(v.Says(dhcp6.Release), script.Option(40000, make([]byte, 1400)...))
	const half = 1024
	parts := func(by *thrower, id uint32, message []byte) [][]byte {
		all := segment(source, message)
		return [][]byte{by.fragment(source, id, 0, true, all[:half]), by.fragment(source, id, half, false, all[half:])}
	}
	for id, order := range []struct{ first, last *thrower }{{x, own}, {own, x}} {
		r.mismatched(1, func() {
			order.first.Put(parts(order.first, uint32(id), release)[0])
			order.last.Put(parts(order.last, uint32(id), release)[1])
		})
		v.Unmoved()
	}
	// Beside fragments of the attacker that have other identifications.
	noise := slices.Concat(v.Says(dhcp6.Renew), script.Option(40000, make([]byte, 1400)...))
	x.Put(parts(x, 8, noise)[0])
	for _, f := range parts(own, 9, release) {
		own.Put(f)
	}
	r.WantNoRoute(v.Prefix)
}

// repeating is a server that says of the victim's prefix, also in the answer to a
// Release, that it is the client's for an hour.
func repeating(p netip.Prefix) script.Answer {
	return script.Grants{Options: script.IAPD(iaid, dhcp6.IAPrefix{Prefix: p, Preferred: 2000, Valid: 3000})}.Answer
}

// A server that repeats the IA_PD with its lifetimes in the answer to a Release:
// the client has gone, and the route with it.
func TestAnswerToAReleaseRepeatsThePrefix(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	r.Played.Become(repeating(v.Prefix))
	reply := v.Release(v.Reply)
	if got := script.Delegations(reply); len(got) != 1 || got[0].Valid == 0 {
		t.Fatalf("the answer to the Release has %v, want %s: the test shows nothing", got, v.Prefix)
	}
	r.Until("the repeated grant is counted", func() bool { return r.refused()["answers-release"] > 0 })
	r.WantNoRoute(v.Prefix)
}

// A neighbour has heard a client's Request and sends a Release with its
// transaction-id, DUID and IPv6 source before the server answers: the answer to the
// Request grants what it says.
func TestReleaseWithACopiedTransactionID(t *testing.T) {
	r := withServer(t, nil)
	c, x := r.Client(1).Play(rig.DUID(1)), r.thrower(r.Client(2), "c0", shared)
	asks := c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(iaid))
	c.Send(asks)
	waits := func(message []byte) script.Request {
		q := r.Played.Wait("a message", func(q script.Request) bool { return bytes.Equal(q.Inner, message) })
		return q
	}
	request := waits(asks)
	copied := append([]byte{byte(dhcp6.Release)}, asks[1:]...)
	x.ToRelays(x.Own, c.Own(), copied)
	waits(copied)
	own := append(bytes.Clone(copied), script.Option(40000)...) // told apart at the server
	r.Client(2).Play(rig.DUID(66)).Send(own)
	waits(own)
	p := netip.MustParsePrefix("2001:db8:1100::/56")
	for _, answer := range always(p.String())(request) {
		r.Played.Send(request.From, answer)
	}
	r.WantRouteVia(p, c.Own().String(), shared)
	if got := r.refused()["answers-release"]; got != 0 {
		t.Errorf("%d grants were taken for the answer to a Release, want none", got)
	}
}
