package network

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

func addr(host byte) netip.Addr { return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: host}) }

// from is a packet from a host on a link.
func from(link int, host byte, payload ...byte) *inbound.Packet {
	return &inbound.Packet{
		Link: link, Source: netip.AddrPortFrom(addr(host), 546),
		LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, 0, host}), Payload: payload,
	}
}

// newTestClassifier has a server, which is host 4 on the uplink, a relay, which is host
// 5 on one client link, and another client link that is trusted.
func newTestClassifier(protection trust.Protection) *classifier6 {
	return &classifier6{
		peers: trust.NewSet([]trust.Peer{
			{Address: addr(4), Prefix: netip.PrefixFrom(addr(4), 128), Role: trust.Server, Interfaces: []string{"u0"}, Protection: protection, Local: addr(9)},
			{Address: addr(5), Prefix: netip.PrefixFrom(addr(5), 128), Role: trust.Relay, Interfaces: []string{"dA"}, Protection: protection, Local: addr(9)},
		}),
		links: map[int]Inlet{uplink: {Name: "u0"}, linkA: {Name: "dA", Clients: true}, linkB: {Name: "dB", Clients: true, Trusted: true}},
	}
}

// What servers answer goes first, and relays that we know, by their address or by their
// link, speak for many; anybody else is one host, whatever he sends. Who only has the
// address of a protected peer, and not its key, is such a host: his messages come as
// frames, or to the group.
func TestClassify(t *testing.T) {
	host := func(n byte) admission.Source {
		p := from(linkA, n)
		return admission.SourceOf(p.LinkLayer, p.Source.Addr())
	}
	own := func(p *inbound.Packet) *inbound.Packet { p.Dest = addr(9); return p }
	frame := func(p *inbound.Packet) *inbound.Packet {
		p.Framed, p.Dest = true, dhcp6.AllRelayAgentsAndServers
		return p
	}
	forward, reply := byte(dhcp6.RelayForward), byte(dhcp6.RelayReply)
	for what, c := range map[string]struct {
		p       *inbound.Packet
		ipsec   bool
		class   int
		source  admission.Source
		limited bool
	}{
		"client":                         {from(linkA, 1, byte(dhcp6.Solicit)), false, admission.Clients, host(1), true},
		"nothing":                        {from(linkA, 1), false, admission.Clients, host(1), true},
		"server":                         {from(uplink, 4, reply), false, admission.Answers, host(4).ForMany(), false},
		"nobody we know on the uplink":   {from(uplink, 3, reply), false, admission.Clients, host(3), false},
		"server's address from a client": {from(linkA, 4, reply), false, admission.Clients, host(4), true},
		"relay":                          {from(linkA, 5, forward), false, admission.Clients, host(5).ForMany(), true},
		"any relay on a trusted link":    {from(linkB, 2, forward), false, admission.Clients, host(2).ForMany(), true},
		"client on a trusted link":       {from(linkB, 3, byte(dhcp6.Solicit)), false, admission.Clients, host(3), true},
		"no relay of ours":               {from(linkA, 1, forward), false, admission.Clients, host(1), true},
		"protected relay":                {own(from(linkA, 5, forward)), true, admission.Clients, host(5).ForMany(), true},
		"forger of a protected relay":    {frame(from(linkA, 5, forward)), true, admission.Clients, host(5), true},
		"protected server":               {own(from(uplink, 4, reply)), true, admission.Answers, host(4).ForMany(), false},
		"forger of a protected server":   {frame(from(uplink, 4, reply)), true, admission.Clients, host(4), false},
	} {
		protection := trust.ProtectionNone
		if c.ipsec {
			protection = trust.ProtectionIPsec
		}
		got := newTestClassifier(protection).Classify(c.p)
		if got.Refused || got.Class != c.class || got.Source != c.source || got.Limited != c.limited {
			t.Errorf("%s: %+v, want class %d, source %v, limited %v", what, got, c.class, c.source, c.limited)
		}
	}
}

// A message of a relay agent that we know waits for the turn of the client that the relay agent
// nearest to it has told. Of anybody else, nothing is believed.
func TestClassifyBehindRelays(t *testing.T) {
	message := dhcp6.AppendMessageHeader(nil, dhcp6.Request, 1)
	wrap := func(inner []byte, peers ...byte) []byte {
		for hops, peer := range peers {
			b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, uint8(hops), netip.IPv6Unspecified(), addr(peer))
			b = dhcp6.AppendInterfaceID(b, []byte("p"))
			inner = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, inner)
		}
		return inner
	}
	client := admission.SourceOf(linkaddr.Addr{}, addr(7))
	empty := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, netip.IPv6Unspecified(), addr(7))
	for what, c := range map[string]struct {
		p     *inbound.Packet
		known bool
	}{
		"relay":                       {from(linkA, 5, wrap(message, 7)...), true},
		"relay behind relays":         {from(linkA, 5, wrap(message, 7, 8, 9)...), true},
		"any relay on a trusted link": {from(linkB, 2, wrap(message, 7)...), true},
		"no relay of ours":            {from(linkA, 1, wrap(message, 7)...), false},
		"client":                      {from(linkA, 1, message...), false},
		"relay without a message":     {from(linkA, 5, empty...), false},
		"relay with an empty message": {from(linkA, 5, wrap(nil, 7)...), false},
		"relay, cut off":              {from(linkA, 5, wrap(message, 7)[:40]...), false},
		"too many relays":             {from(linkA, 5, wrap(message, slices.Repeat([]byte{7}, dhcp6.MaxRelayLayers+1)...)...), false},
	} {
		classifier := newTestClassifier(trust.ProtectionNone)
		got := classifier.Classify(c.p)
		if known := got.Client == client && bytes.Equal(got.ClientMessage, message); known != c.known || !known && (got.Client != admission.Source{} || got.ClientMessage != nil) {
			t.Errorf("%s: client %v, message %x; known: %v, want %v", what, got.Client, got.ClientMessage, known, c.known)
		}
	}
	in := newTestClassifier(trust.ProtectionNone)
	p := from(linkA, 5, wrap(message, 7, 8)...)
	if n := testing.AllocsPerRun(100, func() { in.Classify(p) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// What a peer is not protected for is not believed, and no client's matter.
func TestClassifierBelievesNoUnprotectedPeer(t *testing.T) {
	in := newTestClassifier(trust.ProtectionIPsec)
	in.may = func(local, remote netip.Addr) bool {
		return local != netip.MustParseAddr("2001:db8:1::1") || remote != netip.MustParseAddr("2001:db8::9")
	}
	for _, c := range []struct {
		name     string
		first    byte
		local    string
		framed   bool
		admitted bool
	}{
		{"Relay-reply", 13, "2001:db8:1::1", false, false},
		{"Relay-forward", 12, "2001:db8:1::1", false, false},
		{"a client's message", 1, "2001:db8:1::1", false, true},
		{"by a packet socket, which the core refuses", 13, "2001:db8:1::1", true, true},
		{"of a pair that is open", 13, "2001:db8:1::2", false, true},
	} {
		got := in.Classify(&inbound.Packet{
			Link: 3, Framed: c.framed, Source: netip.MustParseAddrPort("[2001:db8::9]:547"), Dest: netip.MustParseAddr(c.local), Payload: []byte{c.first, 0, 0, 0},
		})
		if got.Refused == c.admitted || got.Refused && got.Drop != effect.DropUnprotected {
			t.Errorf("%s: %+v, want admitted: %v", c.name, got, c.admitted)
		}
	}
}

func TestAsksForChange(t *testing.T) {
	relayed := func(layers int, message []byte) []byte {
		for hops := range layers {
			b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, uint8(hops), netip.IPv6Unspecified(), addr(1))
			b = dhcp6.AppendInterfaceID(b, []byte("p"))
			message = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, message)
		}
		return message
	}
	plain := func(m dhcp6.MessageType) []byte { return dhcp6.AppendMessageHeader(nil, m, 1) }
	for _, c := range []struct {
		what    string
		message []byte
		want    bool
	}{
		{"nothing", nil, false},
		{"Solicit", plain(dhcp6.Solicit), false},
		{"Request", plain(dhcp6.Request), true},
		{"Confirm", plain(dhcp6.Confirm), false},
		{"Renew", plain(dhcp6.Renew), true},
		{"Rebind", plain(dhcp6.Rebind), true},
		{"Release", plain(dhcp6.Release), true},
		{"Decline", plain(dhcp6.Decline), true},
		{"Information-request", plain(dhcp6.InformationRequest), false},
		{"unknown", plain(200), false},
		{"relayed Solicit", relayed(1, plain(dhcp6.Solicit)), false},
		{"relayed Renew", relayed(1, plain(dhcp6.Renew)), true},
		{"Renew from far", relayed(dhcp6.MaxRelayLayers, plain(dhcp6.Renew)), true},
		{"Renew from too far", relayed(dhcp6.MaxRelayLayers+1, plain(dhcp6.Renew)), false},
		{"relayed nothing", relayed(1, nil), false},
		{"cut short", relayed(1, plain(dhcp6.Renew))[:20], false},
	} {
		if got := (*classifier6)(nil).AsksForChange(c.message); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
