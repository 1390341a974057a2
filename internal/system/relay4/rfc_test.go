package relay4_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
)

// RFC 1542 section 4.1: messages to port 68 are for clients. A relay that has clients on the
// link, or a server, passes none of them on, and counts none of them.
func TestRFC1542_4_1b_Port68(t *testing.T) {
	n := build(t)
	n.serve(peer.Kea4UDP)
	n.start()
	up, down := n.server.Record("s0", "udp port 67"), n.clients[0].Record("c0", "udp port 68 and not host 0.0.0.0")
	client, server := n.clients[0].Throw("c0", n.relay, "d1"), n.server.Throw("s0", n.relay, "u0")
	const xid = 0x68686868
	ask := discover(client.Own, xid)
	client.Put(datagram(client.Own, everybody, fromClient, netip.MustParseAddrPort("255.255.255.255:68"), ask))
	client.Put(datagram(client.Own, client.Peer, fromClient, netip.AddrPortFrom(giaddr(1), 68), ask))
	server.Put(datagram(server.Own, server.Peer, netip.MustParseAddrPort(serverAddress+":67"), netip.MustParseAddrPort(uplinkAddress+":68"),
		message(layers.DHCPOpReply, layers.DHCPMsgTypeOffer, client.Own, xid, giaddr(1))))
	for range 2 { // what waits is looked at before this exchange is over
		n.obtain(1)
	}
	up.Stop()
	down.Stop()
	const forwarded = "dhcp.id == 0x68686868"
	if a, b := up.Fields(forwarded+" && ip.src == "+uplinkAddress, "frame.number"), down.Fields(forwarded+" && ip.src == "+giaddr(1).String(), "frame.number"); len(a)+len(b) > 0 {
		t.Errorf("what was sent to port 68 was passed on: frames %v to the server, %v to the client", a, b)
	}
	if about := n.look(); about.Received["discover"] != 2 || sum(about.Drops) > 0 {
		t.Errorf("received %v, dropped %v; want what was sent to port 67 alone", about.Received, about.Drops)
	}
}

// RFC 1542 section 4.1.1: the message to the server has the host's default TTL, whatever TTL the
// client's message had, and a UDP checksum, even if the client's message had none. The same holds
// for the answers to the client, which we send as frames: each checksum in them is right.
func TestRFC1542_4_1_1m_TTLAndChecksum(t *testing.T) {
	n := build(t)
	n.relay.Sysctl("net/ipv4/ip_default_ttl", "77")
	n.serve(peer.Kea4UDP)
	n.start()
	up, down := n.server.Record("s0", "udp port 67"), n.clients[0].Record("c0", "udp port 68 and src host "+giaddr(1).String())
	x := n.clients[0].Throw("c0", n.relay, "d1")
	frame := datagram(x.Own, everybody, fromClient, toServers, discover(x.Own, 7))
	const (
		ttl      = 14 + 8 // its place in the frame
		header   = 14 + 10
		checksum = 14 + 20 + 6
	)
	frame[ttl] = 1
	binary.BigEndian.PutUint16(frame[header:], 0)
	binary.BigEndian.PutUint16(frame[header:], ^folded(frame[14:14+20]))
	binary.BigEndian.PutUint16(frame[checksum:], 0)
	x.Put(frame)
	got := up.Wait("dhcp.type == 1 && ip.src == "+uplinkAddress, "ip.ttl", "udp.checksum")[0]
	if got[0] != "77" || got[1] == "0x0000" {
		t.Errorf("the server heard a message with TTL %s and checksum %s", got[0], got[1])
	}
	n.obtain(1)
	down.Wait("dhcp.option.dhcp == 5", "frame.number") // the last answer has been recorded, and so have all before it
	down.Stop()
	answers := packets(t, down)
	if len(answers) < 3 {
		t.Fatalf("%d answers were recorded, want 3", len(answers))
	}
	for _, ip := range answers {
		pseudo := append(append([]byte{}, ip.SrcIP...), ip.DstIP...)
		pseudo = binary.BigEndian.AppendUint16(append(pseudo, 0, 17), uint16(len(ip.Payload)))
		if sum := binary.BigEndian.Uint16(ip.Payload[6:]); sum == 0 || folded(append(pseudo, ip.Payload...)) != 0xffff || folded(ip.Contents) != 0xffff {
			t.Errorf("an answer to %v has UDP checksum %04x and IP checksum %04x, which are not right", ip.DstIP, sum, ip.Checksum)
		}
	}
}

// folded returns the one's complement sum of octets in pairs (RFC 1071).
func folded(b []byte) uint16 {
	sum := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// RFC 3046 section 2.1: packets with AH or ESP that our host routes, from a client to the server
// or the other way round, leave it unchanged, whatever they contain.
func TestRFC3046_2_1k_IPsecInTransit(t *testing.T) {
	n := build(t)
	n.relay.Sysctl("net/ipv4/ip_forward", "1")
	n.start("agent-information: add", "trusted: true")
	n.clients[0].IP("addr add %s/24 dev c0", giaddr(1).Next())
	x := n.clients[0].Throw("c0", n.relay, "d1")
	out := n.server.Record("s0", "proto 50 or proto 51 or udp port 67")
	// Without the keys, this content looks like a Discover.
	inside := datagram(x.Own, x.Peer, fromClient, toServers, discover(x.Own, 50))[14+20:]
	var sent [][]byte
	for _, protocol := range []layers.IPProtocol{layers.IPProtocolESP, layers.IPProtocolAH} {
		rest := append([]byte{0, 0, 0x10, 1, 0, 0, 0, 1}, inside...) // SPI and sequence number
		if protocol == layers.IPProtocolAH {
			rest = append([]byte{byte(layers.IPProtocolUDP), 4, 0, 0}, append(rest[:8:8], append(make([]byte, 12), inside...)...)...)
		}
		x.Put(serialized(ethernet(x.Own, x.Peer), &layers.IPv4{
			Version: 4, TTL: 64, Protocol: protocol, SrcIP: giaddr(1).Next().AsSlice(), DstIP: netip.MustParseAddr(serverAddress).AsSlice(),
		}, gopacket.Payload(rest)))
		sent = append(sent, rest)
	}
	n.Until("both have passed", func() bool { return len(packets(t, out)) >= 2 })
	n.discover(1)
	out.Wait("dhcp", "frame.number")
	got := packets(t, out)
	if len(got) != 3 {
		t.Fatalf("%d packets came to the server, want the 2 that were routed, and a Discover", len(got))
	}
	for i, want := range sent {
		if got[i].TTL != 63 || !bytes.Equal(got[i].Payload, want) {
			t.Errorf("with TTL %d came\n%x\nwant TTL 63 and\n%x", got[i].TTL, got[i].Payload, want)
		}
	}
	if about := n.look(); sum(about.Received) != 1 || sum(about.Drops) > 0 {
		t.Errorf("received %v, dropped %v; want one Discover alone", about.Received, about.Drops)
	}
}

// RFC 6925 section 5: the relay-id is on disk, and is the same after a crash. Another relay has
// another one. Administrators see it in the log, and by commands.
func TestRFC6925_5_StableAndVisible(t *testing.T) {
	n := build(t)
	n.start("agent-information: add")
	first := n.look().RelayID.String()
	if first == "" {
		t.Fatal("there is no relay-id")
	}
	n.fairlead.Logged("msg=relay-id", "relay_id="+first)
	if said := n.fairlead.CLI("relay4"); !strings.Contains(said, first) {
		t.Errorf("the relay-id %s is not in\n%s", first, said)
	}
	n.fairlead.Restart()
	if again := n.look().RelayID.String(); again != first {
		t.Errorf("after a crash the relay-id is %s, before it was %s", again, first)
	}
	n.fairlead = n.server.Fairlead(fairlead.Config{Text: n.config("agent-information: add")})
	n.fairlead.Start()
	if other := n.look().RelayID.String(); other == first {
		t.Errorf("two relays have the relay-id %s", first)
	}
}
