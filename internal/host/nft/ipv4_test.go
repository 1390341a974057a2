package nft_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/wire/linkaddr"

	"golang.org/x/sys/unix"
)

// packetIPv4 is like packet, with IPv4 and without a UDP checksum (RFC 768).
func packetIPv4(src, dst, word string) []byte {
	udp := []byte{0x30, 0x39, 0, 9, 0, 0, 0, 0}
	udp = append(append(udp, "WORD:"...), word...)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 32, unix.IPPROTO_UDP, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(udp)))
	b = append(append(b, netip.MustParseAddr(src).AsSlice()...), netip.MustParseAddr(dst).AsSlice()...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return append(b, udp...)
}

// newNetworkIPv4 is a network that has IPv4 too; the client's link has 192.0.2.0/24.
func newNetworkIPv4(t *testing.T) *network {
	n := newNetwork(t)
	n.edge.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.c0.rp_filter=0")
	n.edge.run("ip addr add 192.0.2.1/24 dev c0")
	n.edge.run("ip addr add 198.51.100.1/24 dev u0")
	n.edge.run("ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:f0 dev u0 nud permanent")
	n.edge.run("ip route add 203.0.113.0/24 via 198.51.100.2 dev u0")
	return n
}

// RFC 2827 for IPv4: an address passes only from the link-layer address that it is leased to. The
// use of another client's address is counted apart from the use of nobody's. IPv6 elements in the
// same sets make no difference, nor does it matter whether IPv6 sources are checked on the link.
func TestStrictIPv4(t *testing.T) {
	n := newNetworkIPv4(t)
	const to = "203.0.113.9"
	from := func(mac, src, name string) { n.clientTap.send(mac, packetIPv4(src, to, name)) }
	from(rightMAC, "10.6.6.6", "unfiltered")
	expect(t, "before there is a filter", n.flush(), "unfiltered")
	n.apply(
		addMAC(hoststate.SourceStrict, "c0", rightMAC, "192.0.2.7/32"), add(hoststate.SourceKnown, "c0", "192.0.2.7/32"),
		addMAC(hoststate.SourceStrict, "c0", otherMAC, "192.0.2.8/32"), add(hoststate.SourceKnown, "c0", "192.0.2.8/32"),
		addMAC(hoststate.SourceStrict, "c0", rightMAC, "2001:db8:7::7/128"), add(hoststate.SourceKnown, "c0", "2001:db8:7::7/128"),
		add(hoststate.SourceLink, "c0", "192.0.2.64/28"), add(hoststate.CheckedIPv4, "c0", ""),
	)
	from(rightMAC, "192.0.2.7", "hers")
	from(otherMAC, "192.0.2.8", "his")
	from(otherMAC, "192.0.2.7", "stolen")
	from(rightMAC, "192.0.2.9", "on the link, and nobody's")
	from(rightMAC, "192.0.2.79", "permitted")
	from(rightMAC, "192.0.2.80", "beside what is permitted")
	from(rightMAC, "10.6.6.6", "invented")
	n.clientTap.send(rightMAC, packet("2001:db8:666::1", "2001:db8:cccc::1", "IPv6 unchecked"))
	expect(t, "checked", n.flush(), "hers", "his", "permitted", "IPv6 unchecked")
	if spoofed, stolen := n.counter("spoofed"), n.counter("spoofed-link-layer"); spoofed != 3 || stolen != 1 {
		t.Errorf("spoofed: %d, stolen: %d; want 3 and 1", spoofed, stolen)
	}
	last, err := n.table.Spoofed()
	if is := last["c0"]; err != nil || is.Packets != 4 || !slices.Contains([]string{"10.6.6.6", "192.0.2.9", "192.0.2.7", "192.0.2.80"}, is.Source.String()) {
		t.Errorf("what was dropped: %+v, %v", is, err)
	}
	holds(t, n.table,
		"source-strict c0 "+rightMAC+" 192.0.2.7/32", "source-strict c0 "+otherMAC+" 192.0.2.8/32", "source-strict c0 "+rightMAC+" 2001:db8:7::7/128",
		"source-known c0 192.0.2.7/32", "source-known c0 192.0.2.8/32", "source-known c0 2001:db8:7::7/128", "source-link c0 192.0.2.64/28", "checked-ipv4 c0")
	host, _ := linkaddr.Parse(rightMAC)
	ago, known, err := n.table.LastUsed("c0", host, netip.MustParsePrefix("192.0.2.7/32"))
	if err != nil || !known || ago > patience {
		t.Errorf("192.0.2.7 was last used %v ago, known: %v, %v", ago, known, err)
	}
	n.apply(remove(addMAC(hoststate.SourceStrict, "c0", rightMAC, "192.0.2.7/32")), remove(add(hoststate.SourceKnown, "c0", "192.0.2.7/32")))
	from(rightMAC, "192.0.2.7", "released")
	expect(t, "after the release", n.flush())
	n.apply(remove(add(hoststate.CheckedIPv4, "c0", "")))
	from(rightMAC, "10.6.6.6", "free")
	expect(t, "after the filter has gone", n.flush(), "free")
}

// A client without an address asks for one from 0.0.0.0: that source always passes.
func TestUnspecifiedIPv4Passes(t *testing.T) {
	n := newNetworkIPv4(t)
	n.apply(add(hoststate.CheckedIPv4, "c0", ""))
	n.edge.run("nft add table inet eyes")
	n.edge.run("nft add chain inet eyes in { type filter hook input priority 0 ; }")
	n.edge.run("nft add rule inet eyes in ip saddr 0.0.0.0 udp dport 9 counter")
	n.clientTap.sendTo("ff:ff:ff:ff:ff:ff", rightMAC, packetIPv4("0.0.0.0", "255.255.255.255", "from nowhere"))
	n.flush()
	if list := n.edge.run("nft list table inet eyes"); !strings.Contains(list, "counter packets 1 ") {
		t.Errorf("a packet from 0.0.0.0 was not seen in the input hook:\n%s", list)
	}
	if got := n.counter("spoofed"); got != 0 {
		t.Errorf("spoofed: %d, want 0", got)
	}
}

// What a client sends to the port of DHCP reaches the host whatever its source is, and is not
// forwarded: neither its own renewals past the relay, nor messages in another client's name.
func TestDHCPv4IsForTheRelay(t *testing.T) {
	n := newNetworkIPv4(t)
	n.apply(
		addMAC(hoststate.SourceStrict, "c0", rightMAC, "192.0.2.7/32"), add(hoststate.SourceKnown, "c0", "192.0.2.7/32"),
		add(hoststate.CheckedIPv4, "c0", ""),
	)
	n.edge.run("nft add table inet eyes")
	n.edge.run("nft add chain inet eyes in { type filter hook input priority 0 ; }")
	n.edge.run("nft add rule inet eyes in udp dport 67 counter")
	toDHCP := func(src, dst, name string) {
		b := packetIPv4(src, dst, name)
		binary.BigEndian.PutUint16(b[22:], 67)
		n.clientTap.send(rightMAC, b)
	}
	toDHCP("192.0.2.9", "192.0.2.1", "of a client that is not known")
	toDHCP("192.0.2.7", "203.0.113.9", "past the relay")
	toDHCP("192.0.2.9", "203.0.113.9", "in another's name")
	n.clientTap.send(rightMAC, packetIPv4("192.0.2.7", "203.0.113.9", "to another port"))
	expect(t, "checked", n.flush(), "to another port")
	if list := n.edge.run("nft list table inet eyes"); !strings.Contains(list, "counter packets 1 ") {
		t.Errorf("the host itself heard other than one datagram:\n%s", list)
	}
	if past, spoofed := n.counter("past-relay"), n.counter("spoofed"); past != 2 || spoofed != 0 {
		t.Errorf("past the relay: %d, spoofed: %d; want 2 and 0", past, spoofed)
	}
	n.apply(remove(add(hoststate.CheckedIPv4, "c0", "")))
	toDHCP("192.0.2.9", "203.0.113.9", "free")
	expect(t, "after the filter has gone", n.flush(), "free")
}
