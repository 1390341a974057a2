package attack_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// spare is a prefix that nobody holds.
var spare = netip.MustParsePrefix("2001:db8:1200::/56")

// place is where an attacker stands: a node, its interface, and the relay's.
type place struct{ node, end, link string }

var (
	onShared = place{"c2", "c0", shared}
	onOther  = place{"c9", "c0", other}
	onPath   = place{"x", "x0", uplink}
	onAside  = place{"w", "w0", aside}
)

// at is the node of a place.
func (r *network) at(p place) *rig.Host {
	return map[string]*rig.Host{"c2": r.Client(2), "c9": r.far, "x": r.path, "w": r.aside}[p.node]
}

// throwAt prepares packets from there.
func (r *network) throwAt(p place) *labtest.Thrower {
	r.T.Helper()
	return r.at(p).Throw(p.end, r.Relay, p.link)
}

// replies are Relay-replies that would harm the victim, or serve the attacker at
// a link-local address, if the server had sent them.
func replies(v *rig.Victim, attacker netip.Addr) [][]byte {
	grant := func(p netip.Prefix, valid dhcp6.Lifetime) []byte {
		return v.Message(dhcp6.Reply, serverID(v.Reply), script.IAPD(iaid, dhcp6.IAPrefix{Prefix: p, Preferred: valid, Valid: valid}))
	}
	own := v.Own()
	return [][]byte{
		wrapped(attacker, grant(spare, 3000)),   // something for the attacker
		wrapped(attacker, grant(v.Prefix, 900)), // the victim's prefix for the attacker
		wrapped(own, grant(v.Prefix, 0)),        // nothing for the victim
		wrapped(own, v.Message(dhcp6.Advertise, serverID(v.Reply))),
		wrapped(own, v.Message(dhcp6.Reconfigure, serverID(v.Reply), script.Option(19, 5))),
	}
}

// wrapped is a message for somebody on the shared link in a Relay-reply.
func wrapped(to netip.Addr, message []byte) []byte {
	return slices.Concat(
		dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, lab.LinkAddress(1), to),
		script.Option(dhcp6.OptionInterfaceID, []byte(shared)...), script.Option(dhcp6.OptionRelayMessage, message...))
}

// A forged Relay-reply from client links, from a link that is neither, and from a
// host on the uplink's path with a source that is not the server's.
func TestForgedRelayReply(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	attacker := r.Client(2).LinkLocal("c0")
	forged := replies(v, attacker)
	served := r.Fairlead.Counts(shared).Delivered

	onLink := map[place]netip.Addr{
		onShared: netip.MustParseAddr("2001:db8:1::66"), onOther: netip.MustParseAddr("2001:db8:9::66"), onPath: pathAddress, onAside: asideAddress,
	}
	near := map[place]netip.Addr{
		onShared: lab.LinkAddress(1), onOther: lab.LinkAddress(9), onPath: lab.RelayAddress, onAside: nearAsideAddress,
	}
	throw := func(x *labtest.Thrower, source, dest netip.Addr) {
		for _, m := range forged {
			x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ServerPort), netip.AddrPortFrom(dest, dhcp6.ServerPort), m)
		}
	}
	for _, at := range []place{onShared, onOther} {
		x := r.throwAt(at)
		own := r.at(at).LinkLocal(at.end)
		r.dropped(at.link, "reply-from-client-link", 4*len(forged), func() {
			throw(x, own, r.Relay.LinkLocal(at.link))
			throw(x, onLink[at], near[at])
			throw(x, onLink[at], lab.RelayAddress)
			for _, m := range forged {
				x.ToRelays(x.Own, own, m)
			}
		})
		r.asServer(at, 3*len(forged), len(forged), "reply-from-client-link", func() {
			throw(x, lab.ServerAddress, near[at])
			throw(x, lab.ServerAddress, lab.RelayAddress)
			for _, m := range forged {
				x.ToRelays(x.Own, lab.ServerAddress, m)
			}
		})
	}
	x := r.throwAt(onAside)
	r.dropped(aside, "untrusted-server", 3*len(forged), func() {
		throw(x, asideAddress, nearAsideAddress)
		throw(x, lab.ServerAddress, nearAsideAddress)
		throw(x, lab.ServerAddress, lab.RelayAddress)
	})
	x = r.throwAt(onPath)
	r.dropped(uplink, "untrusted-server", 3*len(forged), func() {
		throw(x, pathAddress, lab.RelayAddress)
		throw(x, r.path.LinkLocal("x0"), r.Relay.LinkLocal(uplink))
		throw(x, lab.CoreAddress, lab.RelayAddress)
	})

	if got := r.Fairlead.Counts(shared).Delivered; !maps.Equal(got, served) {
		t.Errorf("delivered on the victim's link: %v, before the attack %v", got, served)
	}
	v.Unmoved()
	if got := r.RouteOf(spare); len(got) != 0 {
		t.Errorf("a forged Relay-reply made a route: %+v", got)
	}
	// The server itself may say so: nothing else was wrong with it.
	r.Played.Send(rig.ToRelay, forged[0])
	r.WantRouteVia(spare, attacker.String(), shared)
}

// asServer carries out an attack with the server's address as source: the filter
// counts each packet. The relay is shown multicast before the filter, and so has
// a counter for these too; but a kernel whose bridges filter (br_netfilter) does
// not show it what comes by one.
func (r *network) asServer(at place, packets, multicast int, reason string, attack func()) {
	r.T.Helper()
	spoofed := func() { r.Rises(func() int { return r.Counter("spoofed") }, "spoofed", packets, attack) }
	if at == onShared {
		spoofed()
		return
	}
	r.dropped(at.link, reason, multicast, spoofed)
}

// What only servers say, and leasequeries, end at the relay if they come from a
// client link.
func TestServerMessagesAndLeasequeriesOfClients(t *testing.T) {
	for _, c := range []struct {
		reason string
		types  []dhcp6.MessageType
	}{
		{"server-message", []dhcp6.MessageType{dhcp6.Advertise, dhcp6.Reply, dhcp6.Reconfigure}},
		{"leasequery", []dhcp6.MessageType{14, 22, 23}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			r := withServer(t, always("2001:db8:1100::/56"))
			v := r.victim()
			asked := len(r.Played.Received())
			for _, at := range []place{onShared, onOther} {
				x := r.throwAt(at)
				own := r.at(at).Play(rig.DUID(1))
				r.dropped(at.link, c.reason, 2*len(c.types), func() {
					for _, mt := range c.types {
						own.Send(v.Says(mt))
						own.SendTo(r.Relay.LinkLocal(at.link), v.Says(mt))
					}
				})
				r.asServer(at, len(c.types), len(c.types), c.reason, func() {
					for _, mt := range c.types {
						x.ToRelays(x.Own, lab.ServerAddress, v.Says(mt))
					}
				})
				own.Passed()
			}
			for _, q := range r.Played.Received()[asked:] {
				if slices.Contains(c.types, q.Message.Type()) {
					t.Errorf("the server was given a %v of a client", q.Message.Type())
				}
			}
			v.Unmoved()
		})
	}
}

// A host that makes itself a relay: a Relay-forward with the victim's interface-id
// and link-layer address, from where no relay is trusted.
func TestForgedRelayForward(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	asked := len(r.Played.Received())
	solicit := v.Says(dhcp6.Solicit)
	layer := func(link, peer netip.Addr, message []byte) []byte {
		return slices.Concat(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, link, peer),
			script.Option(dhcp6.OptionInterfaceID, []byte(shared)...), script.Option(dhcp6.OptionClientLinkLayer, 0, 1, 2, 0, 0, 0, 0xc0, 1),
			script.Option(dhcp6.OptionRelayMessage, message...))
	}
	own := v.Own()
	forged := [][]byte{
		layer(lab.LinkAddress(1), own, solicit),
		layer(netip.IPv6Unspecified(), own, v.Says(dhcp6.Release)), // as a lightweight relay
		layer(lab.LinkAddress(9), lab.LinkAddress(1), layer(lab.LinkAddress(1), own, solicit)),
	}
	ways := map[string]int{shared: 3, other: 2, aside: 1, uplink: 1}
	for at, source := range map[place]netip.Addr{
		onShared: r.Client(2).LinkLocal("c0"), onOther: r.far.LinkLocal("c0"), onAside: asideAddress, onPath: pathAddress,
	} {
		x := r.throwAt(at)
		r.dropped(at.link, "untrusted-relay", len(forged)*ways[at.link], func() {
			for _, m := range forged {
				to := r.Relay.LinkLocal(at.link)
				if at.link == aside || at.link == uplink {
					to = lab.RelayAddress
				}
				x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ServerPort), netip.AddrPortFrom(to, dhcp6.ServerPort), m)
				if at.link == shared || at.link == other {
					x.ToRelays(x.Own, source, m)
				}
				if at.link == shared {
					x.ToRelays(x.Own, own, m) // and with the victim's source
				}
			}
		})
	}
	v.Unmoved()
	for _, q := range r.Played.Received()[asked:] {
		if string(q.Inner) == string(solicit) || len(q.Relays) != 1 {
			t.Errorf("the server was given what a forged relay said: %d layers, %v", len(q.Relays), q.Message.Type())
		}
	}
}

// Nobody is served where no client is: not on the uplink, and not on a link that
// is neither.
func TestClientsWhereThereAreNone(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	asked := len(r.Played.Received())
	for at, source := range map[place]netip.Addr{onAside: asideAddress, onPath: pathAddress} {
		x := r.throwAt(at)
		r.dropped(at.link, "not-client-link", 2, func() {
			for _, mt := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Release} {
				x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(source, dhcp6.ClientPort), rig.ToRelay, v.Says(mt))
			}
		})
		x.ToRelays(x.Own, r.at(at).LinkLocal(at.end), v.Says(dhcp6.Solicit)) // which it does not even listen for
	}
	v.Unmoved()
	if got := r.Played.Received()[asked:]; slices.ContainsFunc(got, func(q script.Request) bool { return q.Message.Type() != dhcp6.Renew }) {
		t.Errorf("the server was given %d messages, want the victim's renewal alone", len(got))
	}
}
