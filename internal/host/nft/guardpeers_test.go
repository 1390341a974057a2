package nft_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// bootp has the parts of a DHCPv4 message that the guard reads.
func bootp(op byte, giaddr string) []byte {
	b := make([]byte, 240)
	b[0] = op
	copy(b[24:], netip.MustParseAddr(giaddr).AsSlice())
	return b
}

const (
	solicit, relayForward, relayReply = 1, 12, 13 // RFC 8415 section 7.3
	bootRequest, bootReply            = 1, 2      // RFC 2131 section 2
)

// message is a message that a stranger may or may not send.
type message struct {
	name    string
	six     bool
	payload []byte
	refused bool
}

// fromStrangers are messages, and whether RFC 8213 lets anybody send them.
var fromStrangers = []message{
	{"a client's", true, []byte{solicit, 0, 0, 7}, false},
	{"a server's to a relay", true, []byte{relayReply, 0, 0, 7}, true},
	{"a relay's", true, []byte{relayForward, 0, 0, 7}, true},
	{"a relay's in fragments", true, append([]byte{relayForward}, make([]byte, 4000)...), true},
	{"a client's in fragments", true, append([]byte{solicit}, make([]byte, 4000)...), false},
	{"of one octet", true, []byte{solicit}, false},
	{"empty", true, nil, true},
	{"a client's", false, bootp(bootRequest, "0.0.0.0"), false},
	{"a relay's", false, bootp(bootRequest, else4), true},
	{"a relay's with a giaddr of one bit", false, bootp(bootRequest, "0.0.0.1"), true},
	{"a server's", false, bootp(bootReply, "0.0.0.0"), true},
	{"of no known operation", false, bootp(3, "0.0.0.0"), true},
	{"without giaddr, cut off", false, bootp(bootRequest, "0.0.0.0")[:27], true},
	{"with giaddr and no more", false, bootp(bootRequest, "0.0.0.0")[:28], false},
	{"a relay's in fragments", false, append(bootp(bootRequest, else4), make([]byte, 4000)...), true},
	{"a client's in fragments", false, append(bootp(bootRequest, "0.0.0.0"), make([]byte, 4000)...), false},
	{"empty", false, nil, true},
}

// RFC 8213 section 3: relayed messages come in only from configured peers; messages of clients
// come in from anybody.
func TestGuardStrangers(t *testing.T) {
	p := newPair(t, "")
	host := map[bool]*net.UDPConn{true: p.host.udp(t, host6, 547), false: p.host.udp(t, host4, 67)}
	other := map[bool]*net.UDPConn{true: p.other.udp(t, else6, 5470), false: p.other.udp(t, else4, 5470)}
	for _, others := range []bool{false, true} {
		p.install(others, threeHops()...)
		for _, m := range fromStrangers {
			p.sees(t, m, other[m.six], address(host[m.six]), host[m.six], m.refused && !others)
		}
	}
}

// Peers that may be heard in clear can send what their role may send, from their address and
// link.
func TestGuardOpenPeers(t *testing.T) {
	p := newPair(t, "")
	host6Port, host4Port := p.host.udp(t, "::", 547), p.host.udp(t, host4, 67)
	other6, other4, linked := p.other.udp(t, else6, 5470), p.other.udp(t, else4, 5470), p.other.udp(t, elseLink, 5470)
	open := func(role trust.PeerRole, link string) {
		t.Helper()
		var peers []hop.Open
		for _, a := range []string{else6, else4, elseLink} {
			o := hop.Open{Role: role, Address: netip.MustParseAddr(a)}
			if a == elseLink {
				o.Link = link
			}
			peers = append(peers, o)
		}
		if err := p.guard.Install(threeHops(), false, peers...); err != nil {
			t.Fatal(err)
		}
	}
	sees := func(from *net.UDPConn, dest string, payload []byte, refused bool) {
		t.Helper()
		to := host6Port
		if from == other4 {
			to = host4Port
		}
		p.sees(t, message{name: dest, payload: payload}, from, dest, to, refused)
	}
	to6, to4, toLink := endpoint(host6, 547), endpoint(host4, 67), endpoint(hostLink, 547)
	open(trust.Relay, "e0")
	sees(other6, to6, []byte{relayForward, 0}, false)
	sees(other6, to6, []byte{relayReply, 0}, true)
	sees(linked, toLink, []byte{relayForward, 0}, false)
	sees(other4, to4, bootp(bootRequest, else4), false)
	sees(other4, to4, bootp(bootReply, "0.0.0.0"), true)
	open(trust.Server, "e9")
	sees(other6, to6, []byte{relayForward, 0}, true)
	sees(other6, to6, []byte{relayReply, 0}, false)
	sees(linked, toLink, []byte{relayReply, 0}, true)
	sees(other4, to4, bootp(bootRequest, else4), true)
	sees(other4, to4, bootp(bootReply, "0.0.0.0"), false)
}

// A relay of another program receives from servers at the port that it sends from (RFC 8357), and
// strangers are held back there too.
func TestGuardStrangersAtRelayPort(t *testing.T) {
	p := newPair(t, "")
	h := hopTo("six", trust.Server, host6, peer6)
	h.RelayPort = 1547
	p.install(false, h)
	host, other := p.host.udp(t, host6, 1547), p.other.udp(t, else6, 547)
	p.sees(t, message{name: "a reply", payload: []byte{relayReply, 0}}, other, address(host), host, true)
	p.sees(t, message{name: "no reply", payload: []byte{7, 0}}, other, address(host), host, false)
}

// sees sends a message, and checks whether it comes in, or is dropped and counted.
func (p *pair) sees(t *testing.T, m message, from *net.UDPConn, dest string, to *net.UDPConn, refused bool) {
	t.Helper()
	before := p.observe()
	send(t, from, dest, m.payload)
	if !refused {
		if got := received(t, to); !bytes.Equal(got, m.payload) {
			t.Errorf("%s: received % x, want % x", m.name, got, m.payload)
		}
		if got := p.observe().Strangers; got != before.Strangers {
			t.Errorf("%s: counted %+v, want %+v", m.name, got, before.Strangers)
		}
		return
	}
	until(t, m.name+": counted", func() bool { return p.observe().Strangers.Packets == before.Strangers.Packets+1 })
	if n := waiting(t, to); n != 0 {
		t.Errorf("%s: %d datagrams arrived", m.name, n)
	}
}
