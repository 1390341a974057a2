package server6_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// attacked is a network whose relay node is the server of the clients on a switch: the victim, an
// attacker and a neighbour. On the uplink it hears one relay agent, which is the core, and speaks for
// the clients of link 2. The server node, behind the core, is no relay agent that it hears.
type attacked struct {
	*rig.Rig
	*rig.Victim
	attacker *rig.Host
}

// attack starts such a network with more keys of the link, and subnet is what subnet 1 has.
func attack(t *testing.T, subnet1 string, linkKeys ...string) *attacked {
	t.Helper()
	r := rig.Build(t, lab.Plan{Clients: 3, Access: lab.Switch})
	text := strings.Replace(central(0, lab.CoreAddress), "s0", "u0", 1)
	text = strings.Replace(text, "  subnets:\n", "  links:\n    - match: br0\n      filter: strict\n"+keys(linkKeys)+"  subnets:\n", 1)
	r.Prepare(text + subnet1 + subnet(2))
	r.Fairlead.Start()
	return &attacked{r, r.Victim("br0", "leases"), r.Client(2)}
}

func keys(all []string) (text string) {
	for _, k := range all {
		text += "      " + k + "\n"
	}
	return text
}

// shown is the server at a glance.
func (r *attacked) shown() (s api.Server6) {
	r.T.Helper()
	r.Fairlead.Show(&s, "server6")
	return s
}

// refuses is Rises for what the server refuses for a reason.
func (r *attacked) refuses(reason string, by int, do func()) {
	r.T.Helper()
	r.Rises(func() int { return int(refused(r.Fairlead, reason)) }, reason, by, do)
}

// drops is Rises for the drops on a link.
func (r *attacked) drops(link, reason string, by int, do func()) {
	r.T.Helper()
	r.Rises(func() int {
		for _, l := range r.shown().Links {
			if l.Name == link {
				return int(l.Drops[reason])
			}
		}
		return 0
	}, reason+" on "+link, by, do)
}

// says is a message of a client to the server, with an IA_PD or another option.
func (r *attacked) says(duid dhcp6.DUID, kind dhcp6.MessageType, options ...[]byte) []byte {
	server, _ := r.Reply.ServerID()
	m := dhcp6.AppendMessageHeader(nil, kind, binary.BigEndian.Uint32(duid[len(duid)-4:])&0xffffff)
	return slices.Concat(dhcp6.AppendClientID(m, duid), script.ServerID(server), slices.Concat(options...))
}

// address has the victim get an address as well, and returns its IA.
func (r *attacked) address() (a netip.Addr, ia []byte) {
	r.T.Helper()
	reply := r.Exchange(r.says(rig.DUID(1), dhcp6.Request, script.IANA(2)))
	all := script.Leases(reply)
	if len(all) != 1 || all[0].Valid == 0 {
		r.T.Fatalf("the victim got the addresses %v, want one", all)
	}
	ia, mark := dhcp6.BeginIA(nil, dhcp6.OptionIANA, 2, 0, 0)
	ia, err := dhcp6.EndOption(dhcp6.AppendIAAddr(ia, all[0]), mark)
	r.Need(err)
	return all[0].Address, ia
}

// wantAddress fails unless the server has given one address, and nothing was declined.
func (r *attacked) wantAddress(a netip.Addr) {
	r.T.Helper()
	if addresses, _ := leases(r.Fairlead); len(addresses) != 1 || addresses[0].Addr() != a {
		r.T.Errorf("addresses %v, want %v", addresses, a)
	}
	if n := r.shown().Declined; n != 0 {
		r.T.Errorf("%d declined addresses, want none", n)
	}
}

// A Release and a Decline in the victim's name end nothing and put nothing into quarantine: from the
// attacker's own address, from the victim's, and by a way that does not show who has sent them.
func TestSpoofedReleaseAndDecline(t *testing.T) {
	r := attack(t, subnet(1))
	a, ia := r.address()
	x := r.attacker.Throw("c0", r.Relay, "br0")
	own := r.attacker.LinkLocal("c0")
	release := slices.Concat(r.Says(dhcp6.Release), ia)
	decline := r.says(rig.DUID(1), dhcp6.Decline, ia)
	r.refuses("release-mismatch", 2*(2+1), func() {
		for _, source := range []netip.Addr{own, r.Own()} {
			x.ToRelays(x.Own, source, release)
			x.ToRelays(x.Own, source, decline)
		}
	})
	r.drops("br0", "unicast", 2, func() {
		for _, m := range [][]byte{release, decline} {
			x.Datagram(x.Own, x.Peer, netip.AddrPortFrom(own, dhcp6.ClientPort), netip.AddrPortFrom(r.Relay.LinkLocal("br0"), dhcp6.ServerPort), m)
		}
	})
	r.wantAddress(a)
	r.Unmoved()
	// The victim's own count: the messages were no nonsense.
	r.Exchange(decline)
	if addresses, _ := leases(r.Fairlead); len(addresses) != 0 || r.shown().Declined != 1 {
		t.Errorf("the victim declines %v: addresses %v, %d declined", a, addresses, r.shown().Declined)
	}
	r.Release(r.Reply)
	r.WantNoRoute(r.Prefix)
}

// Many DUIDs from one link-layer address: the host gets its share, by address and by prefix, and its
// neighbours get theirs.
func TestOneHostAsksForAll(t *testing.T) {
	r := attack(t, subnet(1), "limits: {client: 2, link: 8, per-mac: 4}")
	thief := r.attacker.Play(rig.DUID(66))
	for _, option := range [][]byte{script.IAPD(1), script.IANA(1)} {
		given := 0
		r.refuses("limit-host", 20-4, func() {
			for i := range 20 {
				thief.Send(r.says(rig.DUID(100+i), dhcp6.Request, option))
				reply, err := dhcp6.ParseMessage(thief.Receive().Data)
				r.Need(err)
				given += len(rig.Held(reply)) + len(script.Leases(reply))
			}
		})
		if given != 4 {
			t.Errorf("the host got %d, want 4, which is its limit", given)
		}
	}
	r.Unmoved()
	if got := rig.Held(r.Play(3, rig.DUID(3)).Obtain(1, 2)); len(got) != 2 {
		t.Errorf("its neighbour got %v, want two prefixes", got)
	}
}

// The same with as many link-layer addresses as DUIDs: the limit of the link holds, or the pool runs dry.
// In either case whoever has something keeps it, and renews it. The clients of other links get what they ask
// for.
func TestManyHostsAskForAll(t *testing.T) {
	few := strings.Replace(subnet(1), lab.Delegable(1).String(), netip.PrefixFrom(lab.Delegable(1).Addr(), 53).String(), 1)
	for name, c := range map[string]struct {
		subnet, limits, reason string
	}{
		"link": {subnet(1), "limits: {client: 2, link: 8, per-mac: 4}", "limit-link"},
		"pool": {few, "limits: {client: 2, link: 4096, per-mac: 4}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := attack(t, c.subnet, c.limits)
			x := r.attacker.Throw("c0", r.Relay, "br0")
			ask := func() {
				for i := range 40 {
					source := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: 1, 15: byte(i)})
					x.ToRelays(net.HardwareAddr{2, 0x66, 0, 0, 0, byte(i)}, source, r.says(rig.DUID(100+i), dhcp6.Request, script.IAPD(1)))
				}
			}
			if c.reason != "" {
				r.refuses(c.reason, 40-7, ask)
			} else {
				answered := func() int { return int(r.shown().Sent["Reply"]) }
				r.Rises(answered, "answers", 40, ask)
			}
			if _, prefixes := leases(r.Fairlead); len(prefixes) != 8 {
				t.Errorf("%d prefixes are given, want 8", len(prefixes))
			}
			r.Unmoved()
			late := r.Play(3, rig.DUID(3))
			if got := rig.Held(late.Exchange(r.says(rig.DUID(3), dhcp6.Request, script.IAPD(1)))); len(got) != 0 {
				t.Errorf("a newcomer got %v", got)
			}
			relay := r.Core.UDP(netip.AddrPortFrom(lab.CoreAddress, dhcp6.ServerPort))
			reply := r.relayed(relay, r.forward(lab.LinkAddress(2), r.says(rig.DUID(4), dhcp6.Request, script.IAPD(1))))
			if got := rig.Held(reply); len(got) != 1 || !lab.Delegable(2).Contains(got[0].Addr()) {
				t.Errorf("a client of another link got %v, want one of %v", got, lab.Delegable(2))
			}
		})
	}
}

// forward is a Relay-forward of a relay agent on a link, with the victim's link-layer address.
func (r *attacked) forward(link netip.Addr, message []byte) []byte {
	mac := r.Node.Interface("c0").HardwareAddr
	return slices.Concat(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, link, r.Own()),
		script.Option(dhcp6.OptionClientLinkLayer, append([]byte{0, 1}, mac...)...), script.Option(dhcp6.OptionRelayMessage, message...))
}

// relayed has a relay agent send a message to the server, and returns the answer in the Relay-reply.
func (r *attacked) relayed(by *net.UDPConn, message []byte) dhcp6.Message {
	r.T.Helper()
	_, err := by.WriteToUDPAddrPort(message, netip.AddrPortFrom(lab.RelayAddress, dhcp6.ServerPort))
	r.Need(err)
	r.Need(by.SetReadDeadline(time.Now().Add(labtest.Patience)))
	b := make([]byte, 2048)
	n, err := by.Read(b)
	r.Need(err)
	m, err := dhcp6.ParseRelay(b[:n])
	r.Need(err)
	inner, _ := m.Inner()
	answer, err := dhcp6.ParseMessage(inner)
	r.Need(err)
	return answer
}

// A host that makes itself a relay agent, on the victim's link and on the uplink: what it says is not heard, by
// whatever way, in whoever's name.
func TestForgedRelayForward(t *testing.T) {
	r := attack(t, subnet(1))
	a, ia := r.address()
	var forged [][]byte
	for _, link := range []netip.Addr{lab.LinkAddress(1), lab.LinkAddress(2), netip.IPv6Unspecified()} {
		for _, m := range [][]byte{r.Says(dhcp6.Release), r.says(rig.DUID(1), dhcp6.Decline, ia), r.Says(dhcp6.Renew), r.says(rig.DUID(66), dhcp6.Request, script.IAPD(1))} {
			forged = append(forged, r.forward(link, m))
		}
	}
	_, before := leases(r.Fairlead)
	near := r.attacker.Throw("c0", r.Relay, "br0")
	port := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, dhcp6.ServerPort) }
	throw := func(source, to netip.Addr) {
		for _, m := range forged {
			near.Datagram(near.Own, near.Peer, port(source), port(to), m)
		}
	}
	own := r.attacker.LinkLocal("c0")
	r.drops("br0", "untrusted-relay", 3*len(forged), func() {
		for _, m := range forged {
			near.ToRelays(near.Own, own, m)
			near.ToRelays(near.Own, r.Own(), m) // with the victim's source
		}
		throw(own, r.Relay.LinkLocal("br0"))
	})
	// The relay agent's own address is none that a client may send from.
	r.Rises(func() int { return r.Counter("spoofed") }, "spoofed", 2*len(forged), func() {
		throw(lab.CoreAddress, lab.RelayAddress)
		throw(lab.CoreAddress, lab.LinkAddress(1))
	})
	// On the uplink a host that is not on the list of peers.
	stranger := r.Server.UDP(port(lab.ServerAddress))
	r.drops("u0", "untrusted-relay", len(forged), func() {
		for _, m := range forged {
			_, err := stranger.WriteToUDPAddrPort(m, port(lab.RelayAddress))
			r.Need(err)
		}
	})
	// And one that is, but speaks of a link that is not its own: the server knows the clients of its own
	// links apart from those behind relay agents.
	relay := r.Core.UDP(port(lab.CoreAddress))
	for _, m := range [][]byte{r.Says(dhcp6.Release), r.says(rig.DUID(1), dhcp6.Decline, ia)} {
		if got := r.relayed(relay, r.forward(lab.LinkAddress(1), m)); got.Type() != dhcp6.Reply {
			t.Errorf("the relay agent is answered by %v", got.Type())
		}
	}
	for _, d := range script.Delegations(r.relayed(relay, r.forward(lab.LinkAddress(1), r.Says(dhcp6.Renew)))) {
		if d.Prefix == r.Prefix && d.Valid > 0 {
			t.Errorf("the relay agent renews the victim's prefix: %+v", d)
		}
	}
	r.wantAddress(a)
	r.Unmoved()
	if _, now := leases(r.Fairlead); !slices.Contains(now, r.Prefix) || len(now) > len(before)+1 {
		t.Errorf("prefixes %v, before %v", now, before)
	}
	// The relay agent itself is heard: nothing else was wrong with the messages.
	reply := r.relayed(relay, r.forward(lab.LinkAddress(2), r.says(rig.DUID(7), dhcp6.Request, script.IAPD(1))))
	if got := rig.Held(reply); len(got) != 1 || !lab.Delegable(2).Contains(got[0].Addr()) {
		t.Errorf("a client behind the relay agent got %v", got)
	}
}
