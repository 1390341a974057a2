package reflector_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/lab"
	"fairlead/internal/lab/reflector"
	"fairlead/internal/wire/dhcp6"
)

const (
	xid  = 0x0a0b0c
	iaid = 7
)

var (
	linkAddress = netip.MustParseAddr("2001:db8:1::1")
	peerAddress = netip.MustParseAddr("fe80::fa:1ff:fe02:304")
	client      = dhcp6.DUID{0, 3, 0, 1, 2, 0xfa, 1, 2, 3, 4}
)

// message is a client's message with one IA_PD and further options.
func message(t dhcp6.MessageType, more ...byte) []byte {
	b := dhcp6.AppendMessageHeader(nil, t, xid)
	b = dhcp6.AppendClientID(b, client)
	b = dhcp6.AppendIA(b, dhcp6.OptionIAPD, dhcp6.IA{IAID: iaid})
	return append(b, more...)
}

func forward(message []byte, options ...byte) []byte {
	b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 3, linkAddress, peerAddress)
	b = append(b, options...)
	return dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, message)
}

// answer is what another codec reads in a Relay-reply.
type answer struct {
	Type        string
	XID         uint32
	Client      string
	Server      string
	Prefix      string
	Lifetimes   [4]time.Duration // T1, T2, preferred, valid
	Rapid       bool
	Status      string
	InterfaceID string
	Hops        uint8
	Link, Peer  string
}

func read(t *testing.T, b []byte) (a answer) {
	t.Helper()
	decoded, err := dhcpv6.FromBytes(b)
	if err != nil {
		t.Fatalf("the other codec: %v in %x", err, b)
	}
	layer := decoded.(*dhcpv6.RelayMessage)
	if layer.MessageType != dhcpv6.MessageTypeRelayReply {
		t.Fatalf("%v, want a Relay-reply", layer.MessageType)
	}
	m, err := layer.GetInnerMessage()
	if err != nil {
		t.Fatal(err)
	}
	a.InterfaceID, a.Hops = string(layer.Options.InterfaceID()), layer.HopCount
	a.Link, a.Peer = layer.LinkAddr.String(), layer.PeerAddr.String()
	a.Type, a.XID = m.MessageType.String(), uint32(m.TransactionID[0])<<16|uint32(m.TransactionID[1])<<8|uint32(m.TransactionID[2])
	a.Client, a.Server = string(m.Options.ClientID().ToBytes()), string(m.Options.ServerID().ToBytes())
	a.Rapid = m.GetOneOption(dhcpv6.OptionRapidCommit) != nil
	if s := m.Options.Status(); s != nil {
		a.Status = s.StatusCode.String()
	}
	for _, pd := range m.Options.IAPD() {
		p := pd.Options.Prefixes()[0]
		if id := binary.BigEndian.Uint32(pd.IaId[:]); id != iaid {
			t.Errorf("IAID %d, want %d", id, iaid)
		}
		a.Prefix += p.Prefix.String()
		a.Lifetimes = [4]time.Duration{pd.T1, pd.T2, p.PreferredLifetime, p.ValidLifetime}
	}
	return a
}

func TestAnswers(t *testing.T) {
	plain := answer{
		XID: xid, Client: string(client), Server: string(reflector.ServerID),
		Hops: 3, Link: "2001:db8:1::1", Peer: "fe80::fa:1ff:fe02:304",
	}
	// The client's number is 01:02:03:04, and the pool's prefix ends after the third octet.
	granted := plain
	granted.Prefix = "fd0f:e01:203:400::/56"
	granted.Lifetimes = [4]time.Duration{1500 * time.Second, 2400 * time.Second, 3000 * time.Second, 7200 * time.Second}
	with := func(a answer, f func(*answer)) answer { f(&a); return a }
	rapid := dhcp6.AppendOption(nil, dhcp6.OptionRapidCommit, nil)
	for name, c := range map[string]struct {
		ask  []byte
		want answer
	}{
		"Solicit":             {forward(message(dhcp6.Solicit)), with(granted, func(a *answer) { a.Type = "ADVERTISE" })},
		"rapid commit":        {forward(message(dhcp6.Solicit, rapid...)), with(granted, func(a *answer) { a.Type, a.Rapid = "REPLY", true })},
		"Request":             {forward(message(dhcp6.Request)), with(granted, func(a *answer) { a.Type = "REPLY" })},
		"Renew":               {forward(message(dhcp6.Renew)), with(granted, func(a *answer) { a.Type = "REPLY" })},
		"Rebind":              {forward(message(dhcp6.Rebind)), with(granted, func(a *answer) { a.Type = "REPLY" })},
		"Release":             {forward(message(dhcp6.Release)), with(plain, func(a *answer) { a.Type, a.Status = "REPLY", "Success" })},
		"Decline":             {forward(message(dhcp6.Decline)), with(plain, func(a *answer) { a.Type, a.Status = "REPLY", "Success" })},
		"Information-request": {forward(message(dhcp6.InformationRequest)), with(plain, func(a *answer) { a.Type = "REPLY" })},
		"interface-id": {
			forward(message(dhcp6.Request), dhcp6.AppendInterfaceID(nil, []byte("d0"))...),
			with(granted, func(a *answer) { a.Type, a.InterfaceID = "REPLY", "d0" }),
		},
	} {
		got, ok := reflector.Append(nil, c.ask)
		if !ok {
			t.Errorf("%s: no answer", name)
			continue
		}
		if diff := cmp.Diff(c.want, read(t, got)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func TestSilence(t *testing.T) {
	whole := forward(message(dhcp6.Solicit))
	cases := map[string][]byte{
		"a Relay-reply":     append([]byte{byte(dhcp6.RelayReply)}, whole[1:]...),
		"no relay layer":    message(dhcp6.Solicit),
		"two relay layers":  forward(whole),
		"nothing inside":    dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, linkAddress, peerAddress),
		"an Advertise":      forward(message(dhcp6.Advertise)),
		"a message cut off": forward(whole[len(whole)-9 : len(whole)-7]),
	}
	for n := range whole {
		cases["cut to "+time.Duration(n).String()] = whole[:n]
	}
	for name, ask := range cases {
		before := []byte("kept")
		if got, ok := reflector.Append(before, ask); ok || !bytes.Equal(got, before) {
			t.Errorf("%s: answer %x, %v, want none", name, got, ok)
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	ask, out := forward(message(dhcp6.Request), dhcp6.AppendInterfaceID(nil, []byte("d0"))...), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { reflector.Append(out, ask) }); n != 0 {
		t.Errorf("%v allocations for one answer, want none", n)
	}
}

// The server answers each message of a burst that is larger than a batch, to where it came from.
func TestServe(t *testing.T) {
	n := lab.ForTest(t)
	d, err := n.Node("s")
	if err != nil {
		t.Fatal(err)
	}
	var (
		s    *reflector.Server
		conn *net.UDPConn
	)
	err = d.Do(func() (err error) {
		if s, err = reflector.Listen(netip.IPv6Loopback()); err != nil {
			return err
		}
		conn, err = net.DialUDP("udp6", nil, &net.UDPAddr{IP: net.IPv6loopback, Port: dhcp6.ServerPort})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	const burst = 200
	for i := range burst {
		ask := forward(message(dhcp6.Solicit), dhcp6.AppendInterfaceID(nil, []byte{byte(i)})...)
		if _, err := conn.Write(ask); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for b := make([]byte, 2048); len(seen) < burst; {
		size, err := conn.Read(b)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(seen), err)
		}
		seen[read(t, b[:size]).InterfaceID] = true
	}
	s.Close()
	if err := <-done; err != nil {
		t.Errorf("after Close: %v", err)
	}
}
