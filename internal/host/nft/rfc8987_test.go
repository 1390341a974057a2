package nft_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/nft"
)

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// checked is a network with the filter of a link with one client.
func checked(t *testing.T) *network {
	n := newNetwork(t)
	n.apply(
		add(hoststate.SourceLink, "c0", "2001:db8:1::/64"), add(hoststate.SourceLink, "c0", "2001:db8:100::/56"),
		add(hoststate.Checked, "c0", ""),
	)
	return n
}

// RFC 8987 R-3: sources that are delegated, on-link or permitted pass, and others do not. The
// prefix length is exactly that of the delegation. Links that are not client-facing are not
// filtered.
func TestR3SourceFilter(t *testing.T) { r3SourceFilter(t, newNetwork(t)) }

func r3SourceFilter(t *testing.T, n *network) {
	to := "2001:db8:cccc::1"
	from := func(src, name string) { n.clientTap.send(rightMAC, packet(src, to, name)) }

	from("2001:db8:666::1", "unfiltered")
	expect(t, "before there is a filter", n.flush(), "unfiltered")

	n.apply(
		add(hoststate.SourceLink, "c0", "2001:db8:1::/64"), add(hoststate.SourceLink, "c0", "2001:db8:100::/56"),
		add(hoststate.SourceLink, "c0", "2001:db8:5::/64"), add(hoststate.SourceLink, "c0", "2001:db8:7::7/128"),
		add(hoststate.SourceLink, "c9", "2001:db8:9::/64"), add(hoststate.Checked, "c0", ""),
	)
	for _, src := range []string{
		"2001:db8:100::1", "2001:db8:100:ff:ffff::", // delegated: in the first and in the last /64
		"2001:db8:100:100::1", "2001:db8:ff:ffff::1", // just outside the delegation
		"2001:db8:1::77", "2001:db8:5::1", // on-link, permitted
		"2001:db8:7::7", "2001:db8:7::8", // an assigned address, and the one next to it
		"2001:db8:666::1", "2001:db8:9::1", // nobody's, and one on another link
	} {
		from(src, src)
	}
	expect(
		t, "checked", n.flush(),
		"2001:db8:100::1", "2001:db8:100:ff:ffff::", "2001:db8:1::77", "2001:db8:5::1", "2001:db8:7::7",
	)
	if got := n.counter("spoofed"); got != 5 {
		t.Errorf("spoofed: %d, want 5", got)
	}

	n.apply(remove(add(hoststate.SourceLink, "c0", "2001:db8:100::/56")))
	from("2001:db8:100::1", "released")
	expect(t, "after release", n.flush())
	if got := n.counter("spoofed"); got != 6 {
		t.Errorf("spoofed: %d, want 6", got)
	}
	n.apply(remove(add(hoststate.Checked, "c0", "")))
	from("2001:db8:666::1", "free")
	expect(t, "after the filter has gone", n.flush(), "free")
}

// A source in something that a delegation covers passes only if the longest prefix that contains
// it lets it pass: the link's own prefix, or a lease in it. Sets of prefix lengths that are added
// later take their places. After the table was opened again, or made again, everything is as
// before.
func TestR3LongestPrefixDecides(t *testing.T) {
	n := checked(t)
	from := func(src string) { n.clientTap.send(rightMAC, packet(src, "2001:db8:cccc::1", src)) }
	const delegated, onLink, between, within, lease, foreign = "2001:db8:100:1::1", "2001:db8:100:ff::1", "2001:db8:100:f1::1", "2001:db8:100:f8::1", "2001:db8:100:f2::7", "2001:db8:100:e0::1"
	check := func(when string, want ...string) {
		t.Helper()
		for _, src := range []string{delegated, onLink, between, within, lease, foreign} {
			from(src)
		}
		expect(t, when, n.flush(), want...)
	}
	check("delegated", delegated, onLink, between, within, lease, foreign)
	n.apply(add(hoststate.SourceCovered, "c0", "2001:db8:100:f0::/60"), add(hoststate.SourceCovered, "c0", "2001:db8:100:e0::/64"))
	check("covered", delegated)
	n.apply(add(hoststate.SourceLink, "c0", "2001:db8:100:ff::/64"), addMAC(hoststate.SourceStrict, "c0", rightMAC, "2001:db8:100:f8::/62"), add(hoststate.SourceKnown, "c0", "2001:db8:100:f8::/62"))
	check("on the link, and leased", delegated, onLink, within)
	n.apply(add(hoststate.SourceLink, "c0", "2001:db8:100:f2::7/128"), add(hoststate.SourceCovered, "c0", "2001:db8:100:ff::/64"))
	check("an address, and as long as the link's", delegated, onLink, within, lease)
	if err := n.table.Close(); err != nil {
		t.Fatal(err)
	}
	n.open()
	check("opened anew", delegated, onLink, within, lease)
	n.apply(remove(add(hoststate.SourceCovered, "c0", "2001:db8:100:f0::/60")), remove(add(hoststate.SourceCovered, "c0", "2001:db8:100:e0::/64")))
	check("no longer covered", delegated, onLink, between, within, lease, foreign)
	if got := n.counter("spoofed"); got != 5+3+2+2 {
		t.Errorf("spoofed: %d, want %d", got, 5+3+2+2)
	}
}

// RFC 8987 R-3: the unspecified address and link-local addresses always pass as sources; else no
// client could ask for anything. Both reach the edge itself.
func TestR3NeighbourDiscoveryPasses(t *testing.T) {
	n := checked(t)
	n.client.run("ip addr add fe80::77/64 dev c0 nodad")
	n.edge.run("ip addr add fe80::a/64 dev c0 nodad")
	n.client.run("ping -6 -n -c 1 -w 20 -I c0 fe80::a%c0")
	if got := n.counter("spoofed"); got != 0 {
		t.Errorf("spoofed: %d, want 0", got)
	}
	n.edge.run("nft add table inet eyes")
	n.edge.run("nft add chain inet eyes in { type filter hook input priority 0 ; }")
	n.edge.run("nft add rule inet eyes in ip6 saddr :: udp dport 9 counter")
	n.clientTap.send(rightMAC, packet("::", "2001:db8:1::1", "from nowhere"))
	n.flush()
	if list := n.edge.run("nft list table inet eyes"); !strings.Contains(list, "counter packets 1 ") {
		t.Errorf("packet from :: was not seen in the input hook:\n%s", list)
	}
}

// RFC 8987 R-3, strict: a delegated source passes only from its client's link-layer address. The
// use of another client's source is counted apart from the use of nobody's.
func TestR3Strict(t *testing.T) {
	n := newNetwork(t)
	n.apply(
		add(hoststate.SourceLink, "c0", "2001:db8:1::/64"),
		addMAC(hoststate.SourceStrict, "c0", rightMAC, "2001:db8:100::/56"), add(hoststate.SourceKnown, "c0", "2001:db8:100::/56"),
		addMAC(hoststate.SourceStrict, "c0", otherMAC, "2001:db8:200::/60"), add(hoststate.SourceKnown, "c0", "2001:db8:200::/60"),
		add(hoststate.Checked, "c0", ""),
	)
	for _, p := range []struct{ mac, src string }{
		{rightMAC, "2001:db8:100::1"},
		{otherMAC, "2001:db8:100::2"},
		{otherMAC, "2001:db8:200::1"},
		{rightMAC, "2001:db8:200::2"},
		{otherMAC, "2001:db8:1::5"},
		{rightMAC, "2001:db8:666::1"},
	} {
		n.clientTap.send(p.mac, packet(p.src, "2001:db8:cccc::1", p.src))
	}
	expect(t, "passed", n.flush(), "2001:db8:100::1", "2001:db8:200::1", "2001:db8:1::5")
	if stolen, spoofed := n.counter("spoofed-link-layer"), n.counter("spoofed"); stolen != 2 || spoofed != 1 {
		t.Errorf("with the wrong link-layer address %d, want 2; spoofed %d, want 1", stolen, spoofed)
	}
	got, err := n.table.Dropped()
	if want := map[string]uint64{"spoofed": 1, "spoofed-link-layer": 2, "looped": 0, "looped-rejected": 0, "past-relay": 0}; err != nil || !maps.Equal(got, want) {
		t.Errorf("our own reading: %v, %v, want %v", got, err, want)
	}
}

// RFC 8987 R-5: on a link with one client, a packet that came from the link and would leave by it
// again, towards a prefix that is delegated there, is dropped the first time. A packet to another
// destination does loop, and packets from elsewhere are delivered.
func TestR5OneClient(t *testing.T) { r5OneClient(t, newNetwork(t)) }

func r5OneClient(t *testing.T, n *network) {
	loop := func(dst, name string) { n.clientTap.send(rightMAC, packet("2001:db8:100::1", dst, name)) }
	loop("2001:db8:100:1::1", "before")
	n.flush()
	expect(t, "without the rule", n.backWords(), "before")

	n.apply(add(hoststate.LoopPoint, "c0", "2001:db8:100::/56"), add(hoststate.Hairpin, "c0", ""))
	loop("2001:db8:100:1::1", "dropped")
	loop("2001:db8:200::1", "not delegated there")
	n.flush()
	expect(t, "with the rule", n.backWords(), "not delegated there")
	if looped, rejected := n.counter("looped"), n.counter("looped-rejected"); looped != 1 || rejected != 0 {
		t.Errorf("looped %d, want 1; rejected %d, want 0", looped, rejected)
	}

	n.farSend(packet("2001:db8:cccc::1", "2001:db8:100:1::1", "from outside"))
	for len(n.backWords()) == 0 { // if it never comes, the test fails
		n.flush()
	}

	n.apply(add(hoststate.LoopExempt, "c0", "2001:db8:100:7::/64"))
	loop("2001:db8:100:7::1", "exempt destination")
	loop("2001:db8:100:8::1", "its neighbour")
	n.flush()
	expect(t, "with an exempt destination", n.backWords(), "exempt destination")

	n.apply(remove(add(hoststate.LoopPoint, "c0", "2001:db8:100::/56")))
	loop("2001:db8:100:8::1", "exempt client")
	n.flush()
	expect(t, "without the client's element", n.backWords(), "exempt client")
}

// RFC 8987 R-5: on a multi-access link, only a packet from the next hop's own link-layer address
// loops: two clients of one link may send packets to each other.
func TestR5MultiAccess(t *testing.T) { r5MultiAccess(t, newNetwork(t)) }

func r5MultiAccess(t *testing.T, n *network) {
	n.apply(addMAC(hoststate.LoopShared, "c0", rightMAC, "2001:db8:100::/56"), add(hoststate.Hairpin, "c0", ""))
	n.clientTap.send(rightMAC, packet("2001:db8:100::1", "2001:db8:100:1::1", "from the next hop"))
	n.clientTap.send(otherMAC, packet("2001:db8:200::1", "2001:db8:100:1::1", "from its neighbour"))
	n.flush()
	expect(t, "came back", n.backWords(), "from its neighbour")
	if looped := n.counter("looped"); looped != 1 {
		t.Errorf("looped %d, want 1", looped)
	}
}

// RFC 8987 R-5 and RFC 4443 section 3.1: if so configured, a looping packet is answered with type
// 1 code 6.
func TestR5Reject(t *testing.T) { r5Reject(t, newNetwork(t)) }

// A packet of the Internet that a client sends back has a source that belongs to no client on the
// link. It is a loop and is answered as one, although the source filter sees it first. If its
// destination is exempt, or is not delegated on the link, it is spoofed. The number of answers
// for each link is bounded.
func TestR5RejectBesideTheSourceFilter(t *testing.T) { r5RejectFiltered(t, newNetwork(t)) }

func r5RejectFiltered(t *testing.T, n *network) {
	n.apply(
		add(hoststate.LoopPoint, "c0", "2001:db8:100::/56"), add(hoststate.Hairpin, "c0", ""), add(hoststate.Rejecting, "c0", ""),
		add(hoststate.Checked, "c0", ""), add(hoststate.SourceLink, "c0", "2001:db8:100::/56"), add(hoststate.SourceLink, "c0", "2001:db8:1::/64"),
		add(hoststate.LoopExempt, "c0", "2001:db8:100:7::/64"),
	)
	n.clientTap.send(rightMAC, packet("2001:db8:cccc::1", "2001:db8:100:1::1", "sent back"))
	n.clientTap.send(rightMAC, packet("2001:db8:cccc::1", "2001:db8:100:7::1", "to an exempt destination"))
	n.clientTap.send(rightMAC, packet("2001:db8:cccc::1", "2001:db8:200::1", "to a destination that is not delegated here"))
	n.flush()
	for name, want := range map[string]int{"looped": 0, "looped-rejected": 1, "spoofed": 2} {
		if got := n.counter(name); got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
	const many = 2000
	begin := time.Now()
	for range many {
		n.clientTap.send(rightMAC, packet("2001:db8:cccc::1", "2001:db8:100:1::1", "again"))
	}
	n.flush()
	looped, rejected := n.counter("looped"), n.counter("looped-rejected")
	atMost := 1 + 51 + 51*int(1+time.Since(begin)/time.Second) // the first one, a burst, and 50 a second
	if looped+rejected != many+1 || rejected < 50 || rejected > atMost {
		t.Errorf("of %d looped packets %d were answered and %d not, want 50 to %d answered", many+1, rejected, looped, atMost)
	}
}

func r5Reject(t *testing.T, n *network) {
	n.apply(
		add(hoststate.LoopPoint, "c0", "2001:db8:100::/56"), add(hoststate.Hairpin, "c0", ""), add(hoststate.Rejecting, "c0", ""),
	)
	n.clientTap.send(rightMAC, packet("2001:db8:100::1", "2001:db8:100:1::1", "looping"))
	n.flush()
	var codes []string
	for _, f := range n.back() {
		const icmp, unreachable = 58, 1
		if p := f[14:]; p[6] == icmp && p[40] == unreachable {
			codes = append(codes, string(rune('0'+p[41]))+" about "+word(f))
		}
	}
	expect(t, "unreachable messages by code", codes, "6 about looping")
	if looped, rejected := n.counter("looped"), n.counter("looped-rejected"); looped != 0 || rejected != 1 {
		t.Errorf("looped %d, want 0; rejected %d, want 1", looped, rejected)
	}
}

// What is dropped for its source is counted for its link, and the last source is kept with its
// link-layer address. A flood of forged sources does not fill the set, and packets for whose
// source there is no room are dropped and counted all the same.
func TestR3SpoofedIsNoted(t *testing.T) {
	n := newNetwork(t)
	n.apply(
		add(hoststate.SourceLink, "c0", "2001:db8:1::/64"), add(hoststate.Checked, "c0", ""),
		addMAC(hoststate.SourceStrict, "c0", rightMAC, "2001:db8:100::/56"), add(hoststate.SourceKnown, "c0", "2001:db8:100::/56"),
	)
	look := func() nft.Spoofed {
		t.Helper()
		all, err := n.table.Spoofed()
		if err != nil {
			t.Fatal(err)
		}
		return all["c0"]
	}
	if got := look(); got.Packets != 0 || got.Source.IsValid() {
		t.Errorf("nothing was dropped: %+v", got)
	}
	begin := time.Now()
	n.clientTap.send(rightMAC, packet("2001:db8:666::1", "2001:db8:cccc::1", "foreign"))
	n.flush()
	got := look()
	if got.Packets != 1 || got.Source != netip.MustParseAddr("2001:db8:666::1") || got.LinkLayer.String() != rightMAC || got.Ago < 0 || got.Ago > time.Minute {
		t.Errorf("after a foreign source from %s: %+v", rightMAC, got)
	}
	for look().Ago < 20*time.Millisecond { // the kernel's timers are coarse; the second source must be seen to be later
		continue
	}
	n.clientTap.send(otherMAC, packet("2001:db8:100::1", "2001:db8:cccc::1", "stolen"))
	n.flush()
	if got := look(); got.Packets != 2 || got.Source != netip.MustParseAddr("2001:db8:100::1") || got.LinkLayer.String() != otherMAC {
		t.Errorf("after a stolen source from %s: %+v", otherMAC, got)
	}
	const many = 300
	for i := range many {
		n.clientTap.send(rightMAC, packet(fmt.Sprintf("2001:db8:666::%x", i+2), "2001:db8:cccc::1", "flood"))
	}
	expect(t, "passed", n.flush())
	if got := look(); got.Packets != many+2 {
		t.Errorf("%d packets dropped on the link, want %d", got.Packets, many+2)
	}
	atMost := 11 + int(time.Since(begin)/(10*time.Second))
	if noted := strings.Count(n.edge.run("nft list set inet fairlead spoofed-sources"), "2001:db8:"); noted < 10 || noted > atMost {
		t.Errorf("%d sources noted of %d, want those of a burst, and one in ten seconds", noted, many+2)
	}
	if total := n.counter("spoofed") + n.counter("spoofed-link-layer"); total != many+2 {
		t.Errorf("%d packets dropped, want %d", total, many+2)
	}
}
