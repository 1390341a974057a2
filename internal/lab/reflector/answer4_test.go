package reflector_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"fairlead/internal/lab"
	"fairlead/internal/lab/reflector"
	"fairlead/internal/wire/dhcp4"
)

var (
	giaddr4 = netip.MustParseAddr("127.0.0.9")
	server4 = netip.MustParseAddr("127.0.0.1")
	mac4    = []byte{2, 0xfa, 1, 2, 3, 4}
)

// relayed4 is a client's message as a relay agent forwards it, with an option 82.
func relayed4(t dhcp4.MessageType, information ...byte) []byte {
	b := dhcp4.AppendHeader(nil, dhcp4.Header{Op: dhcp4.BOOTRequest, HType: 1, XID: xid, Hops: 1, Flags: dhcp4.FlagBroadcast, GIAddr: giaddr4, CHAddr: mac4})
	b = dhcp4.AppendMessageType(b, t)
	if len(information) > 0 {
		b = dhcp4.AppendOption(b, dhcp4.OptionAgentInformation, information)
	}
	return dhcp4.AppendEnd(b, 0)
}

// read4 returns, in one line, what another codec reads in an answer.
func read4(t *testing.T, b []byte) string {
	t.Helper()
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		t.Fatalf("the other codec: %v in %x", err, b)
	}
	if m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != (dhcpv4.TransactionID{0, 0x0a, 0x0b, 0x0c}) || !bytes.Equal(m.ClientHWAddr, mac4) ||
		!m.IsBroadcast() || m.GatewayIPAddr.String() != giaddr4.String() || m.ServerIdentifier().String() != server4.String() {
		t.Errorf("answer %s", m.Summary())
	}
	return fmt.Sprintf("%s %s for %s, option 82: %x", m.MessageType(), m.YourIPAddr, m.IPAddressLeaseTime(0), m.Options.Get(dhcpv4.OptionRelayAgentInformation))
}

func TestAnswers4(t *testing.T) {
	s := reflector.Server4{Address: server4}
	for name, c := range map[string]struct {
		ask  []byte
		want string
	}{
		// The client's number is 01:02:03:04, of which three octets are used.
		"Discover":  {relayed4(dhcp4.Discover), "OFFER 10.2.3.5 for 2h0m0s, option 82: "},
		"Request":   {relayed4(dhcp4.Request), "ACK 10.2.3.5 for 2h0m0s, option 82: "},
		"Inform":    {relayed4(dhcp4.Inform), "ACK 0.0.0.0 for 0s, option 82: "},
		"option 82": {relayed4(dhcp4.Discover, 1, 2, 'd', '0'), "OFFER 10.2.3.5 for 2h0m0s, option 82: 01026430"},
	} {
		got, ok := s.Append([]byte("before"), c.ask)
		if !ok {
			t.Errorf("%s: no answer", name)
			continue
		}
		if got := read4(t, got[len("before"):]); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A message that is not from a relay agent, or that has not passed a relay agent that adds what
// the server needs, is not answered.
func TestSilence4(t *testing.T) {
	both := reflector.Server4{Address: server4, Needs: []dhcp4.SubOptionCode{dhcp4.SubOptionCircuitID, dhcp4.SubOptionRelayID}}
	plain := relayed4(dhcp4.Discover, 1, 1, 'a', 12, 1, 'b')
	changed := func(at int, v byte) []byte {
		b := slices.Clone(plain)
		b[at] = v
		return b
	}
	noGIAddr := slices.Clone(plain)
	copy(noGIAddr[24:28], make([]byte, 4))
	for name, ask := range map[string][]byte{
		"an answer":          changed(0, 2),
		"no relay agent":     noGIAddr,
		"no Ethernet":        changed(2, 8),
		"an Offer":           relayed4(dhcp4.Offer, 1, 1, 'a', 12, 1, 'b'),
		"a Release":          relayed4(dhcp4.Release, 1, 1, 'a', 12, 1, 'b'),
		"no option 82":       relayed4(dhcp4.Discover),
		"circuit-id alone":   relayed4(dhcp4.Discover, 1, 1, 'a'),
		"relay-id alone":     relayed4(dhcp4.Discover, 12, 1, 'b'),
		"a sub-option's cut": relayed4(dhcp4.Discover, 1, 1, 'a', 12, 9, 'b'),
		"cut":                plain[:239],
		"empty":              nil,
	} {
		before := []byte("kept")
		if got, ok := both.Append(before, ask); ok || !bytes.Equal(got, before) {
			t.Errorf("%s: answer %x, %v, want none", name, got, ok)
		}
	}
	if _, ok := both.Append(nil, plain); !ok {
		t.Error("no answer to a message with all that is needed")
	}
}

func TestAppendAllocatesNothing4(t *testing.T) {
	s := reflector.Server4{Address: server4, Needs: []dhcp4.SubOptionCode{dhcp4.SubOptionCircuitID}}
	ask, out := relayed4(dhcp4.Request, 1, 1, 'a'), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { s.Append(out, ask) }); n != 0 {
		t.Errorf("%v allocations for one answer, want none", n)
	}
}

// The server answers each message of a burst that is larger than a batch, to giaddr.
func TestServe4(t *testing.T) {
	d, err := lab.ForTest(t).Node("s")
	if err != nil {
		t.Fatal(err)
	}
	var (
		s         *reflector.Server
		ask, hear *net.UDPConn
	)
	err = d.Do(func() (err error) {
		if s, err = reflector.Listen4(&reflector.Server4{Address: server4}); err != nil {
			return err
		}
		if hear, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(giaddr4, 67))); err != nil {
			return err
		}
		ask, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(server4, 67)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	const burst = 100 // a socket has room for so many
	for i := range burst {
		if _, err := ask.Write(relayed4(dhcp4.Discover, 1, 1, byte(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := hear.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for b := make([]byte, 2048); len(seen) < burst; {
		size, err := hear.Read(b)
		if err != nil {
			t.Fatalf("after %d answers: %v", len(seen), err)
		}
		seen[read4(t, b[:size])] = true
	}
	s.Close()
	if err := <-done; err != nil {
		t.Errorf("after Close: %v", err)
	}
}
