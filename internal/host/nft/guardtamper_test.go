package nft_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// table is the guard's table, as nft names it.
var table = "inet " + hop.OwnerGuard.Table()

// Every change by hand to the table is noticed, and the next Install mends it.
func TestGuardNoticesTampering(t *testing.T) {
	p := newPair(t, "")
	open := hop.Open{Role: trust.Relay, Address: netip.MustParseAddr(else6)}
	install := func() {
		t.Helper()
		if err := p.guard.Install(threeHops(), false, open); err != nil {
			t.Fatal(err)
		}
	}
	host, peer := p.host.udp(t, host6, 547), p.other.udp(t, peer6, 547)
	install()
	whole := p.content()
	for _, script := range []string{
		"flush ruleset",
		"delete table " + table,
		"flush table " + table,
		"add table " + table + " { flags dormant; }",
		"flush chain " + table + " input",
		"flush chain " + table + " inbound",
		"flush chain " + table + " output",
		"insert rule " + table + " outbound accept",
		"insert rule " + table + " input accept",
		"add rule " + table + " input accept",
		"add chain " + table + " extra",
		"add chain " + table + " input { policy drop; }",
		"delete chain " + table + " input\nadd chain " + table + " input\nadd rule " + table + " input meta l4proto udp goto arriving\nadd rule " + table + " input meta l4proto tcp goto arriving",
		"delete chain " + table + " output\nadd chain " + table + " output { type filter hook output priority 0; }\nadd rule " + table + " output meta l4proto udp goto leaving\nadd rule " + table + " output meta l4proto tcp goto leaving",
		"flush map " + table + " in6",
		"delete element " + table + " out6 { " + peer6 + " . 547 }",
		"delete element " + table + " ports { 547 }",
		"add element " + table + " relays6 { " + host6 + " }",
		"add rule " + table + " outbound th dport { 1, 2 } accept",
		"delete chain " + table + " postrouting",
		"add set " + table + " extra { type inet_service; }",
		"delete element " + table + " in6 { " + peer6 + " . 547 }\nadd element " + table + " in6 { " + peer6 + " . 547 : \"in-four\" }",
	} {
		install()
		if !p.observe().Intact {
			t.Fatalf("before %q: not intact", script)
		}
		p.host.nft(script)
		if p.observe().Intact {
			t.Errorf("%s: intact", script)
		}
		if p.observe().Intact { // it is still reported at the second look
			t.Errorf("%s: intact at the second look", script)
		}
		install()
		o := p.observe()
		if !o.Intact {
			t.Errorf("%s: not mended", script)
		}
		if got := p.content(); got != whole {
			t.Errorf("%s: mended to\n%s\nwant\n%s", script, got, whole)
		}
		send(t, peer, address(host), plain)
		if !send(t, host, address(peer), plain) {
			t.Errorf("%s: mended, but sends in clear", script)
		}
		before := o.Hops["six"].In.Packets
		until(t, script+": counted", func() bool { return p.observe().Hops["six"].In.Packets == before+1 })
	}
	if n := waiting(t, host) + waiting(t, peer); n != 0 {
		t.Errorf("%d datagrams arrived", n)
	}
}

// content are the lines of the guard's table, without counts, sorted.
func (p *pair) content() string {
	lines := strings.Split(p.host.run("nft -s list table "+table), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// What another program does to its own tables does not matter to the guard.
func TestGuardIgnoresOtherTables(t *testing.T) {
	p := newPair(t, "")
	p.install(false, threeHops()...)
	relay := openGuard(t, p.host, hop.OwnerRelay)
	if err := relay.Install(threeHops()[:1], true); err != nil {
		t.Fatal(err)
	}
	foreign := "table ip " + hop.OwnerGuard.Table() + " {\n chain input { type filter hook input priority 0; }\n}\n"
	p.host.nft(foreign)
	if o, err := relay.Observe(); err != nil || !o.Intact || !p.observe().Intact {
		t.Errorf("relay's %+v, %v; guard's %+v; want both intact", o, err, p.observe())
	}
	if err := relay.Remove(); err != nil {
		t.Fatal(err)
	}
	if o, err := relay.Observe(); err != nil || o.Intact {
		t.Errorf("removed: %+v, %v", o, err)
	}
	if err := relay.Remove(); err != nil {
		t.Errorf("removed again: %v", err)
	}
	if !p.observe().Intact {
		t.Error("the guard's table is not intact")
	}
	if got := p.host.run("nft list tables"); strings.Count(got, "\n") != 3 {
		t.Errorf("tables that are left: %s", got)
	}
}

// Counts go on after a new Install, after the loss of the table, and in a new process.
func TestGuardCountsSurvive(t *testing.T) {
	p := newPair(t, "")
	p.install(false, threeHops()...)
	host, peer, other := p.host.udp(t, host6, 547), p.other.udp(t, peer6, 547), p.other.udp(t, else6, 547)
	wantIn, wantOut, wantStrangers := 0, 0, 0
	clear := func() {
		t.Helper()
		send(t, peer, address(host), plain)
		send(t, other, address(host), []byte{relayForward})
		send(t, host, address(peer), plain)
		wantIn, wantOut, wantStrangers = wantIn+1, wantOut+1, wantStrangers+1
		until(t, "counted", func() bool {
			in, out, strangers := totals(p.observe())
			return in == wantIn && out == wantOut && strangers == wantStrangers
		})
	}
	clear()
	p.install(false, threeHops()[:2]...)
	clear()
	p.host.nft("delete table " + table)
	without := p.observe()
	if in, out, strangers := totals(without); in != wantIn || out != wantOut || strangers != wantStrangers || without.Intact {
		t.Errorf("without the table: %+v", without)
	}
	p.install(false, threeHops()...)
	clear()
	p.host.nft("reset counters table " + table)
	if in, _, _ := totals(p.observe()); in != wantIn {
		t.Errorf("after a reset by hand: %d, want %d", in, wantIn)
	}
	p.guard = openGuard(t, p.host, hop.OwnerGuard)
	p.install(false, threeHops()...)
	p.observe()
	// What the earlier process counted is in the table of the kernel.
	wantIn, wantOut, wantStrangers = 0, 0, 0
	clear()
	p.guard = openGuard(t, p.host, hop.OwnerGuard)
	p.install(false, threeHops()...)
	clear()
	// A hop that is gone is forgotten.
	p.install(false, threeHops()[1:]...)
	if o := p.observe(); len(o.Hops) != 2 {
		t.Errorf("hops: %+v, want two", o.Hops)
	}
}

// While the table is made again and again, nothing passes in either direction.
func TestGuardIsNeverAbsent(t *testing.T) {
	const times = 200
	p := newPair(t, "")
	p.install(false, threeHops()...)
	host, peer := p.host.udp(t, host6, 547), p.other.udp(t, peer6, 547)
	toHost, toPeer := host.LocalAddr(), peer.LocalAddr()
	var stop atomic.Bool
	var sent, refused, passed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			if _, err := peer.WriteTo(plain, toHost); err == nil {
				sent.Add(1)
			}
			if _, err := host.WriteTo(plain, toPeer); err == nil {
				passed.Add(1)
			} else {
				refused.Add(1)
			}
		}
	}()
	until(t, "traffic", func() bool { return sent.Load() > 100 })
	for i := range times {
		hops := threeHops()
		p.install(i%2 == 0, hops[:1+i%3]...)
	}
	stop.Store(true)
	<-done
	if n := waiting(t, host) + waiting(t, peer); n != 0 || passed.Load() != 0 {
		t.Errorf("%d datagrams arrived, %d were let out, of %d and %d", n, passed.Load(), sent.Load(), refused.Load())
	}
	t.Logf("%d in and %d out were stopped during %d installations", sent.Load(), refused.Load(), times)
}

// With a thousand peers a packet takes no longer than with one, and the guard is quickly made.
func TestGuardThousandHops(t *testing.T) {
	const many = 1000
	p := newPair(t, "")
	var hops []hop.Hop
	for i := range many {
		h := hopTo(fmt.Sprint("peer", i), trust.Relay, host6, fmt.Sprintf("2001:db8::%x", 0x1000+i))
		h.RelayPort = uint16(2000 + i)
		hops = append(hops, h)
	}
	p.other.run("ip addr add 2001:db8::13e7/64 dev e0 nodad")
	start := time.Now()
	p.install(false, hops...)
	installed := time.Now()
	if !p.observe().Intact {
		t.Fatal("not intact")
	}
	looked := time.Now()
	p.observe()
	t.Logf("installed in %v, looked at in %v, and in %v when nothing had changed", installed.Sub(start), looked.Sub(installed), time.Since(looked))
	host, peer := p.host.udp(t, host6, 547), p.other.udp(t, "2001:db8::13e7", 547)
	send(t, peer, address(host), plain)
	until(t, "counted", func() bool { return p.observe().Hops["peer999"].In.Packets == 1 })
	p.host.nft("delete element " + table + " in6 { 2001:db8::13e7 . 2999 }")
	if p.observe().Intact {
		t.Error("one element of many is missing: intact")
	}
}

// A table that the kernel would misread is refused, and nothing changes.
func TestGuardRefusesNonsense(t *testing.T) {
	p := newPair(t, "")
	p.install(false, threeHops()...)
	h := hopTo("link", trust.Relay, hostLink, peerLink)
	h.Link = "a-name-of-16-chr"
	if err := p.guard.Install([]hop.Hop{h}, true); err == nil || !strings.Contains(err.Error(), "not an interface name") {
		t.Errorf("error %v", err)
	}
	h.Link, h.Name = "e0", strings.Repeat("n", 300)
	if err := p.guard.Install([]hop.Hop{h}, true); err == nil {
		t.Error("a name of 300 octets: no error")
	}
	if o := p.observe(); !o.Intact || len(o.Hops) != 3 {
		t.Errorf("afterwards: %+v", o)
	}
	if err := p.guard.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.guard.Observe(); err == nil {
		t.Error("closed: no error")
	}
	if err := p.guard.Install(nil, true); err == nil {
		t.Error("closed: no error")
	}
}
