package inject_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp6"
)

func relayOptions(u *unsent) inject.RelayOptions {
	return inject.RelayOptions{
		Server: netip.MustParseAddr("2001:db8:1::1"), Local: netip.MustParseAddr("2001:db8:1::c"),
		LinkAddress: netip.MustParseAddr("2001:db8:77::1"), InterfaceID: "port 7",
		First: 1000, Clients: 4000, Unsent: u.note,
	}
}

func openRelay(t *testing.T, d *lab.Node, o inject.RelayOptions) *inject.Relay {
	t.Helper()
	var r *inject.Relay
	need(t, d.Do(func() (err error) {
		r, err = inject.OpenRelay(o)
		return err
	}))
	t.Cleanup(r.Close)
	return r
}

// solicit is a message that foreign decoders accept.
func solicit(xid uint32) []byte {
	return dhcp6.AppendClientID(dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, xid), loadgen.DUID(xid))
}

// A foreign decoder reads what the server gets, and the server's answers reach the right client.
func TestRelay(t *testing.T) {
	c, s := cable(t)
	var u unsent
	o := relayOptions(&u)
	r := openRelay(t, c, o)
	server := listen(t, s, "[2001:db8:1::1]:547")
	const some = 100 // more than a batch
	for i := range uint32(some) {
		r.Queue(loadgen.Message{Client: 1000 + i, Number: i}, append(r.Room(), solicit(i)...))
	}
	r.Flush()
	b := make([]byte, 2000)
	for i := range uint32(some) {
		n, from, err := server.ReadFromUDPAddrPort(b)
		need(t, err)
		got, err := dhcpv6.RelayMessageFromBytes(b[:n])
		need(t, err)
		peer := netip.AddrFrom16(loadgen.LinkLocal(1000 + i))
		if from.String() != "[2001:db8:1::c]:547" || got.MessageType != dhcpv6.MessageTypeRelayForward || got.HopCount != 0 ||
			got.LinkAddr.String() != "2001:db8:77::1" || got.PeerAddr.String() != peer.String() || string(got.Options.InterfaceID()) != "port 7" {
			t.Fatalf("from %s: %s", from, got.Summary())
		}
		inner, ok := got.Options.RelayMessage().(*dhcpv6.Message)
		if !ok {
			t.Fatalf("no message inside %s", got.Summary())
		}
		if !bytes.Equal(inner.ToBytes(), solicit(i)) {
			t.Fatalf("the message inside is %s", inner.Summary())
		}
		reply, err := dhcpv6.NewRelayReplFromRelayForw(got, inner)
		need(t, err)
		octets := reply.ToBytes()
		if i == 50 { // amid the good ones
			for _, bad := range badReplies() {
				_, err = server.WriteToUDPAddrPort(bad, from)
				need(t, err)
			}
		}
		_, err = server.WriteToUDPAddrPort(octets, from)
		need(t, err)
	}
	for i, h := range hear(t, r, some) {
		if h.client != uint32(1000+i) || h.message != string(solicit(uint32(i))) {
			t.Fatalf("client %d hears %x", h.client, h.message)
		}
	}
	if r.Dropped() != 0 || len(u) != 0 {
		t.Errorf("%d dropped, %d not sent", r.Dropped(), len(u))
	}
}

// badReplies are for no client here.
func badReplies() [][]byte {
	reply := func(t dhcp6.MessageType, client uint32) []byte {
		b := dhcp6.AppendRelayHeader(nil, t, 0, netip.IPv6Unspecified(), netip.AddrFrom16(loadgen.LinkLocal(client)))
		return dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, solicit(1))
	}
	return [][]byte{
		nil,
		{13},
		solicit(1), reply(dhcp6.RelayForward, 1001), reply(dhcp6.RelayReply, 999), reply(dhcp6.RelayReply, 5000),
		reply(dhcp6.RelayReply, 1001)[:34], reply(dhcp6.RelayReply, 1001)[:40], bytes.Repeat([]byte{13}, 2049),
	}
}

// The time of arrival is the kernel's, not the time at which we look.
func TestRelayArrival(t *testing.T) {
	c, s := cable(t)
	var u unsent
	r := openRelay(t, c, relayOptions(&u))
	server := listen(t, s, "[2001:db8:1::1]:547")
	reply := dhcp6.AppendRelayHeader(nil, dhcp6.RelayReply, 0, netip.IPv6Unspecified(), netip.AddrFrom16(loadgen.LinkLocal(1001)))
	reply = dhcp6.AppendOption(reply, dhcp6.OptionRelayMessage, solicit(1))
	wantArrival(t, r, func() error {
		_, err := server.WriteToUDPAddrPort(reply, netip.MustParseAddrPort("[2001:db8:1::c]:547"))
		return err
	})
}

// Without a server, what is sent is lost, and sending does not fail.
func TestRelayWithoutServer(t *testing.T) {
	c, _ := cable(t)
	var u unsent
	r := openRelay(t, c, relayOptions(&u))
	for range 3 {
		for i := range uint32(10) {
			r.Queue(loadgen.Message{Client: 1000, Number: i}, append(r.Room(), solicit(i)...))
		}
		r.Flush()
	}
	if n := r.Receive(10, func(uint32, int64, []byte) { t.Error("an answer") }); n != 0 || len(u) != 0 {
		t.Errorf("%d answers, %d messages not sent", n, len(u))
	}
}

func TestOpenRelayRefused(t *testing.T) {
	c, _ := cable(t)
	var u unsent
	taken := relayOptions(&u)
	openRelay(t, c, taken)
	long, zone, foreign := taken, taken, taken
	long.InterfaceID = strings.Repeat("x", 256)
	zone.Server = netip.MustParseAddr("fe80::1%none0")
	foreign.Local = netip.MustParseAddr("2001:db8:1::dead")
	for name, x := range map[string]struct {
		options inject.RelayOptions
		want    string
	}{
		"port":         {taken, "UDP port 547 of 2001:db8:1::c: a relay agent or a server has this address already"},
		"interface-id": {long, "an interface-id of 256 octets: want at most 253"},
		"zone":         {zone, "server fe80::1%none0: interface none0: there is none"},
		"address":      {foreign, "bind to 2001:db8:1::dead: cannot assign requested address"},
	} {
		err := c.Do(func() error {
			r, err := inject.OpenRelay(x.options)
			if err == nil {
				r.Close()
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %s", name, err, x.want)
		}
		if name == "port" && !errors.Is(err, inject.ErrPortTaken) {
			t.Errorf("%v is not %v", err, inject.ErrPortTaken)
		}
	}
}
