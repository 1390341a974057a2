package attack_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// mismatched is rises for Releases that are not the holder's.
func (r *rig) mismatched(by int, attack func()) {
	r.t.Helper()
	r.rises(func() int { return r.refused()["release-mismatch"] }, "release-mismatch", by, attack)
}

// A Release, or a Decline, in the victim's name: from the attackers' own
// addresses, on the victim's link and on another.
func TestSpoofedRelease(t *testing.T) {
	parallel(t)
	r := withKea(t)
	v := r.victim()
	near, far := r.client(r.Client(2), duid(1)), r.client(r.far, duid(1))
	r.mismatched(3, func() {
		need(t, near.Send(v.says(dhcp6.Release)))
		need(t, near.Send(v.Message(dhcp6.Release, serverID(v.reply), iapd(iaid)))) // that names none
		need(t, near.Send(v.says(dhcp6.Decline)))
		need(t, far.Send(v.says(dhcp6.Release)))
		passed(r.t, near)
		passed(r.t, far)
	})
	v.unmoved()
	// The victim's own counts: the messages were no nonsense.
	_, err := v.Release(patience, v.reply)
	need(t, err)
	r.WantNoRoute(v.prefix)
}

// The same with the victim's IPv6 source and the attacker's own link-layer
// address, by every way to the relay that there is: multicast, and ways on which
// the relay does not see who put the frame on the link.
func TestSpoofedReleaseFromTheVictimsAddress(t *testing.T) {
	for name, send := range map[string]func(r *rig, x *thrower, source netip.Addr, message []byte){
		"multicast": func(_ *rig, x *thrower, source netip.Addr, message []byte) {
			x.ToRelays(x.Own, source, message)
		},
		"unicast": func(r *rig, x *thrower, source netip.Addr, message []byte) {
			to := netip.AddrPortFrom(r.local(r.Relay, shared), dhcp6.ServerPort)
			x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ClientPort), to, message)
		},
		"to the link-address": func(_ *rig, x *thrower, source netip.Addr, message []byte) {
			to := netip.AddrPortFrom(lab.LinkAddress(1), dhcp6.ServerPort)
			x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ClientPort), to, message)
		},
		"in fragments": func(_ *rig, x *thrower, source netip.Addr, message []byte) {
			for _, f := range fragments(x, source, message, 1024) {
				x.Put(f)
			}
		},
		"behind an extension header": func(_ *rig, x *thrower, source netip.Addr, message []byte) {
			x.Put(x.frame(source, layers.IPProtocolIPv6Destination, join([]byte{17, 0, 1, 4, 0, 0, 0, 0}, segment(source, message))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			parallel(t)
			r := withKea(t)
			v := r.victim()
			x := r.thrower(r.Client(2), "c0", shared)
			heard, err := capture.Start(r.Server, "s0", "ip6")
			need(t, err)
			release := v.says(dhcp6.Release)
			if name == "in fragments" { // as a message that needs them
				release = join(release, option(40000, make([]byte, 1400)...))
			}
			r.mismatched(1, func() { send(r, x, v.Source.Addr().WithZone(""), release) })
			v.unmoved()
			// It went on to the server all the same: what a relay knows of a client
			// stops no message.
			until(t, "the server hears the Release", func() bool {
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
	parallel(t)
	r := withKea(t)
	v := r.victim()
	x := r.thrower(r.Client(2), "c0", shared)
	own := r.thrower(v.node, "c0", shared)
	source := v.Source.Addr().WithZone("")
	release := join(v.says(dhcp6.Release), option(40000, make([]byte, 1400)...))
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
		v.unmoved()
	}
	// Beside fragments of the attacker that have other identifications.
	noise := join(v.says(dhcp6.Renew), option(40000, make([]byte, 1400)...))
	x.Put(parts(x, 8, noise)[0])
	for _, f := range parts(own, 9, release) {
		own.Put(f)
	}
	r.WantNoRoute(v.prefix)
}

// repeating is a server that says of the victim's prefix, also in the answer to a
// Release, that it is the client's for an hour.
func repeating(p netip.Prefix) script.Answer {
	return script.Grants{Options: script.IAPD(iaid, dhcp6.IAPrefix{Prefix: p, Preferred: 2000, Valid: 3000})}.Answer
}

// A server that repeats the IA_PD with its lifetimes in the answer to a Release:
// the client has gone, and the route with it.
func TestAnswerToAReleaseRepeatsThePrefix(t *testing.T) {
	parallel(t)
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	r.server.Become(repeating(v.prefix))
	reply, err := v.Release(patience, v.reply)
	need(t, err)
	if got := script.Delegations(reply); len(got) != 1 || got[0].Valid == 0 {
		t.Fatalf("the answer to the Release has %v, want %s: the test shows nothing", got, v.prefix)
	}
	until(t, "the repeated grant is counted", func() bool { return r.refused()["answers-release"] > 0 })
	r.WantNoRoute(v.prefix)
}

// A neighbour has heard a client's Request and sends a Release with its
// transaction-id, DUID and IPv6 source before the server answers: the answer to the
// Request grants what it says.
func TestReleaseWithACopiedTransactionID(t *testing.T) {
	parallel(t)
	r := withServer(t, nil)
	c, x := r.client(r.Client(1), duid(1)), r.thrower(r.Client(2), "c0", shared)
	asks := c.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), iapd(iaid))
	need(t, c.Send(asks))
	waits := func(message []byte) script.Request {
		q, err := r.server.Wait(patience, "a message", func(q script.Request) bool { return bytes.Equal(q.Inner, message) })
		need(t, err)
		return q
	}
	request := waits(asks)
	copied := append([]byte{byte(dhcp6.Release)}, asks[1:]...)
	x.ToRelays(x.Own, c.Source.Addr().WithZone(""), copied)
	waits(copied)
	own := append(bytes.Clone(copied), option(40000)...) // told apart at the server
	need(t, r.client(r.Client(2), duid(66)).Send(own))
	waits(own)
	p := netip.MustParsePrefix("2001:db8:1100::/56")
	for _, answer := range always(p.String())(request) {
		need(t, r.server.Send(request.From, answer))
	}
	r.WantRouteVia(p, c.Source.Addr().WithZone("").String(), shared)
	if got := r.refused()["answers-release"]; got != 0 {
		t.Errorf("%d grants were taken for the answer to a Release, want none", got)
	}
}
