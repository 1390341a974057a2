package relay4

import (
	"net/netip"
	"testing"

	"fairlead/internal/app/network"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// Indexes of links.
const (
	uplink = iota + 1
	linkA
	linkB
)

func addr(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

// header is the fixed part of a message (RFC 2131 section 2) with what the classifier looks at.
func header(op dhcp4.Op, giaddr byte, client byte) []byte {
	b := make([]byte, 300)
	b[0], b[1], b[2], b[28] = byte(op), byte(dhcp4.HardwareEthernet), 6, client
	if giaddr != 0 {
		copy(b[24:], addr(giaddr).AsSlice())
	}
	return b
}

// from is a datagram to our address 9.
func from(link int, source byte, payload []byte) *inbound.Packet {
	return &inbound.Packet{Link: link, Source: netip.AddrPortFrom(addr(source), dhcp4.ServerPort), Dest: addr(9), Payload: payload}
}

// framed is the same as a frame from a client of that hardware address.
func framed(link int, source byte, payload []byte) *inbound.Packet {
	p := from(link, source, payload)
	p.Framed, p.LinkLayer, p.Dest = true, linkaddr.From([]byte{2, 0, 0, 0, 0, source}), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	return p
}

func newTestClassifier(protection trust.Protection) *classifier {
	peer := func(n byte, role trust.PeerRole, link string) trust.Peer {
		return trust.Peer{Address: addr(n), Prefix: netip.PrefixFrom(addr(n), 32), Role: role, Interfaces: []string{link}, Protection: protection, Local: addr(9)}
	}
	return &classifier{
		peers: trust.NewSet([]trust.Peer{peer(4, trust.Server, "u0"), peer(5, trust.Relay, "dA")}),
		links: map[int]network.Inlet{uplink: {Name: "u0"}, linkA: {Name: "dA", Clients: true}, linkB: {Name: "dB", Clients: true, Trusted: true}},
	}
}

// What servers answer goes first, and relay agents that we know, by their address or by
// their link, speak for many; anybody else is one host, whatever he sends and whichever
// client he says that he is. Who has only the address of a protected peer, and not its key,
// is such a host: his messages come as frames.
func TestClassify(t *testing.T) {
	ask, relayed, answer := header(dhcp4.BOOTRequest, 0, 1), header(dhcp4.BOOTRequest, 7, 1), header(dhcp4.BOOTReply, 7, 1)
	for what, c := range map[string]struct {
		p       *inbound.Packet
		ipsec   bool
		class   int
		many    bool
		limited bool
	}{
		"client":                         {framed(linkA, 1, ask), false, admission.Clients, false, true},
		"nothing":                        {framed(linkA, 1, nil), false, admission.Clients, false, true},
		"cut short before giaddr":        {framed(linkB, 1, relayed[:27]), false, admission.Clients, false, true},
		"server":                         {from(uplink, 4, answer), false, admission.Answers, true, false},
		"nobody we know on the uplink":   {from(uplink, 3, answer), false, admission.Clients, false, false},
		"server's address from a client": {from(linkA, 4, answer), false, admission.Clients, false, true},
		"relay":                          {from(linkA, 5, relayed), false, admission.Clients, true, true},
		"the same by its address alone":  {from(linkA, 5, ask), false, admission.Clients, false, true},
		"any relay on a trusted link":    {from(linkB, 2, relayed), false, admission.Clients, true, true},
		"client on a trusted link":       {framed(linkB, 3, ask), false, admission.Clients, false, true},
		"no relay of ours":               {from(linkA, 1, relayed), false, admission.Clients, false, true},
		"protected relay":                {from(linkA, 5, relayed), true, admission.Clients, true, true},
		"forger of a protected relay":    {framed(linkA, 5, relayed), true, admission.Clients, false, true},
		"protected server":               {from(uplink, 4, answer), true, admission.Answers, true, false},
		"forger of a protected server":   {framed(uplink, 4, answer), true, admission.Clients, false, false},
	} {
		protection := trust.ProtectionNone
		if c.ipsec {
			protection = trust.ProtectionIPsec
		}
		source := admission.SourceOf(c.p.LinkLayer, c.p.Source.Addr())
		if c.many {
			source = source.ForMany()
		}
		got := newTestClassifier(protection).Classify(c.p)
		if got.Refused || got.Class != c.class || got.Source != source || got.Limited != c.limited {
			t.Errorf("%s: %+v, want class %d, source %v, limited %v", what, got, c.class, source, c.limited)
		}
	}
}

// What a peer is not protected for is not believed, and no client's matter.
func TestClassifierBelievesNoUnprotectedPeer(t *testing.T) {
	in := newTestClassifier(trust.ProtectionIPsec)
	in.may = func(local, remote netip.Addr) bool { return local != addr(9) || remote != addr(8) }
	elsewhere := from(linkA, 8, header(dhcp4.BOOTReply, 7, 1))
	elsewhere.Dest = addr(10)
	for what, c := range map[string]struct {
		p        *inbound.Packet
		admitted bool
	}{
		"answer":                  {from(linkA, 8, header(dhcp4.BOOTReply, 7, 1)), false},
		"relayed":                 {from(linkA, 8, header(dhcp4.BOOTRequest, 7, 1)), false},
		"a client's message":      {from(linkA, 8, header(dhcp4.BOOTRequest, 0, 1)), true},
		"frame, the core refuses": {framed(linkA, 8, header(dhcp4.BOOTReply, 7, 1)), true},
		"of a pair that is open":  {elsewhere, true},
	} {
		if got := in.Classify(c.p); got.Refused == c.admitted || got.Refused && got.Drop != effect.DropUnprotected {
			t.Errorf("%s: %+v, want admitted: %v", what, got, c.admitted)
		}
	}
}

// A client's answers that make the core panic mute that client on the uplink. What comes
// from a link with clients is that link's fault, whichever client a message names: whoever
// sends such could name another one each time.
func TestSuspect(t *testing.T) {
	suspect := (*relay)(nil).Suspect
	if a, b := suspect(header(dhcp4.BOOTReply, 7, 1)), suspect(header(dhcp4.BOOTReply, 7, 2)); a == b {
		t.Errorf("the answers to two clients have one suspect, %x", a)
	}
	for what, b := range map[string][]byte{
		"request": header(dhcp4.BOOTRequest, 0, 1), "relayed": header(dhcp4.BOOTRequest, 7, 1), "cut short": header(dhcp4.BOOTReply, 7, 1)[:20], "empty": nil,
	} {
		if got := suspect(b); got != [16]byte{} {
			t.Errorf("%s: the suspect is %x, want the link", what, got)
		}
	}
}

// While the disk or the kernel is behind, only those wait whose answers wait for them: clients
// that ask for a lease, where the kernel is to know of it.
func TestAsksForChange(t *testing.T) {
	typed := func(op dhcp4.Op, kind dhcp4.MessageType) []byte {
		return append(header(op, 0, 1)[:236], 99, 130, 83, 99, byte(dhcp4.OptionMessageType), 1, byte(kind), byte(dhcp4.OptionEnd))
	}
	for _, c := range []struct {
		what  string
		waits bool
		p     []byte
		want  bool
	}{
		{"request", true, typed(dhcp4.BOOTRequest, dhcp4.Request), true},
		{"request where nothing waits", false, typed(dhcp4.BOOTRequest, dhcp4.Request), false},
		{"discover", true, typed(dhcp4.BOOTRequest, dhcp4.Discover), false},
		{"answer", true, typed(dhcp4.BOOTReply, dhcp4.ACK), false},
		{"cut short", true, []byte{1}, false},
		{"empty", true, nil, false},
	} {
		if got := (&classifier{waits: c.waits}).AsksForChange(c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
