package nft_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/fakekernel"
	"fairlead/internal/host/nft"
)

// both runs one test body with the fake kernel and with the real one.
func both(t *testing.T, body func(t *testing.T, k kernel)) {
	t.Run("fake", func(t *testing.T) { body(t, fakekernel.New()) })
	t.Run("real", func(t *testing.T) { body(t, tableOf(t, newNode(t))) })
}

// tableOf opens the table of a node, until the test ends.
func tableOf(t *testing.T, n *node) *nft.Table {
	t.Helper()
	var table *nft.Table
	var err error
	n.do(func() { table, err = nft.Open(nft.Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

type kernel interface {
	Apply(ops []hoststate.Op, failed func(i int, err error)) error
	Elements(found func(hoststate.Element)) error
}

func apply(t *testing.T, k kernel, ops ...hoststate.Op) {
	t.Helper()
	if err := k.Apply(ops, func(i int, err error) { t.Errorf("operation %d: %v", i, err) }); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, k kernel, want ...string) {
	t.Helper()
	var got []string
	if err := k.Elements(func(e hoststate.Element) { got = append(got, e.String()) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	expect(t, "elements", got, want...)
}

// Elements of each family come and go. To add one that is there, and to remove one that is not,
// is no error, also among other operations, and in a set that never was.
func TestElementLife(t *testing.T) {
	both(t, func(t *testing.T, k kernel) {
		all := []hoststate.Op{
			add(hoststate.Checked, "c0", ""), add(hoststate.Rejecting, "c0", ""), add(hoststate.Hairpin, "c0", ""),
			add(hoststate.SourceLink, "c0", "2001:db8:100::/56"), addMAC(hoststate.SourceStrict, "c0", rightMAC, "2001:db8:100::/56"),
			add(hoststate.SourceKnown, "a-name-of-15-ch", "::/0"), add(hoststate.LoopPoint, "c0", "2001:db8:100::1/128"),
			addMAC(hoststate.LoopShared, "c0", otherMAC, "2001:db8:100::/56"), add(hoststate.LoopExempt, "c0", "2001:db8:100::/57"),
			add(hoststate.SourceCovered, "c0", "2001:db8:100:ff::/64"),
		}
		want := []string{
			"checked c0", "rejecting c0", "hairpin c0", "source-link c0 2001:db8:100::/56",
			"source-strict c0 02:00:00:00:00:01 2001:db8:100::/56", "source-known a-name-of-15-ch ::/0",
			"loop-point c0 2001:db8:100::1/128", "loop-shared c0 02:00:00:00:00:02 2001:db8:100::/56",
			"loop-exempt c0 2001:db8:100::/57", "source-covered c0 2001:db8:100:ff::/64",
		}
		holds(t, k)
		apply(t, k, all...)
		holds(t, k, want...)
		apply(t, k, all...)
		holds(t, k, want...)
		apply(
			t, k, remove(add(hoststate.SourceLink, "c1", "2001:db8:100::/56")), remove(all[0]),
			remove(add(hoststate.LoopPoint, "c0", "2001:db8::/33")), add(hoststate.SourceLink, "c2", "2001:db8:100::/56"),
		)
		holds(t, k, append(want[1:], "source-link c2 2001:db8:100::/56")...)
		apply(t, k, all[0], remove(all[0]), add(hoststate.SourceLink, "c3", "2001:db8::/32"), remove(add(hoststate.SourceLink, "c3", "2001:db8::/32")), remove(all[1]), all[1])
		holds(t, k, append(want[1:], "source-link c2 2001:db8:100::/56")...)
		var none []hoststate.Op
		for _, o := range append(all, add(hoststate.SourceLink, "c2", "2001:db8:100::/56")) {
			none = append(none, remove(o))
		}
		apply(t, k, none...)
		holds(t, k)
	})
}

// An element that no set can hold fails alone.
func TestElementThatCannotBe(t *testing.T) {
	n := newNode(t)
	table := tableOf(t, n)
	unmasked := add(hoststate.SourceLink, "c0", "2001:db8::1/56")
	ops := []hoststate.Op{
		add(hoststate.SourceLink, "c0", "2001:db8:100::/56"), unmasked, add(hoststate.SourceLink, "", "2001:db8::/56"),
		add(hoststate.SourceLink, "a-name-of-16-chr", "2001:db8::/56"), add(hoststate.SourceLink, "c0", "::ffff:192.0.2.0/120"),
		add(hoststate.SourceStrict, "c0", "2001:db8::/56"), add(hoststate.SourceLink, "c0", ""),
		{Element: &hoststate.Element{Link: "c0"}},
		{Route: &hoststate.Route{}},
		add(hoststate.Checked, "c0", ""),
	}
	var failed []int
	if err := table.Apply(ops, func(i int, _ error) { failed = append(failed, i) }); err != nil {
		t.Fatal(err)
	}
	if want := []int{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(failed, want) {
		t.Errorf("failed %v, want %v", failed, want)
	}
	holds(t, table, "source-link c0 2001:db8:100::/56", "checked c0")
}

// Very many elements go in, are read back, and go out.
func TestTwentyThousandElements(t *testing.T) {
	const many = 20_000
	n := newNode(t)
	table := tableOf(t, n)
	ops := make([]hoststate.Op, many)
	base := netip.MustParseAddr("2001:db8::").As16()
	for i := range ops {
		binary.BigEndian.PutUint16(base[4:], uint16(i))
		ops[i] = hoststate.Op{Element: &hoststate.Element{Set: hoststate.SourceLink, Link: "c0", Prefix: netip.PrefixFrom(netip.AddrFrom16(base), 48)}}
	}
	apply(t, table, ops...)
	var es []hoststate.Element
	err := table.Elements(func(e hoststate.Element) { es = append(es, e) })
	if err != nil || len(es) != many {
		t.Fatalf("read back: %d, %v, want %d", len(es), err, many)
	}
	seen := map[hoststate.Element]bool{}
	for _, e := range es {
		seen[e] = true
	}
	for i := range ops {
		if !seen[*ops[i].Element] {
			t.Fatalf("element %d (%v) is not there", i, ops[i].Element)
		}
		ops[i].Remove = true
	}
	n.run("nft delete element inet fairlead source-link-48 { \"c0\" . 2001:db8:7:: }")
	apply(t, table, ops...)
	holds(t, table)
}

// An interface that is deleted and made again is filtered from its first packet on, although its
// index is another one.
func TestInterfaceMadeAnew(t *testing.T) {
	n := checked(t)
	n.apply(add(hoststate.LoopPoint, "c0", "2001:db8:100::/56"), add(hoststate.Hairpin, "c0", ""))
	n.edge.run("ip link del c0")
	n.edge.run("ip link add filler type veth peer name filler2")
	n.makeClientLink()
	n.clientTap.send(rightMAC, packet("2001:db8:666::1", "2001:db8:cccc::1", "spoofed"))
	n.clientTap.send(rightMAC, packet("2001:db8:100::1", "2001:db8:cccc::1", "good"))
	n.clientTap.send(rightMAC, packet("2001:db8:100::1", "2001:db8:100:1::1", "looping"))
	expect(t, "passed", n.flush(), "good")
	expect(t, "came back", n.backWords())
	if spoofed, looped := n.counter("spoofed"), n.counter("looped"); spoofed != 1 || looped != 1 {
		t.Errorf("spoofed %d, looped %d, want 1 and 1", spoofed, looped)
	}
}

// A table that is adopted keeps its elements and counters. While it is adopted again and again,
// mended, and given sets of new lengths, no spoofed packet passes and no good one is lost.
func TestNoGapWhileChanging(t *testing.T) {
	n := checked(t)
	n.clientTap.send(rightMAC, packet("2001:db8:666::1", "2001:db8:cccc::1", "spoofed"))
	n.flush()
	if got := n.counter("spoofed"); got != 1 {
		t.Fatalf("spoofed: %d, want 1", got)
	}

	changes := make(chan error, 1)
	go func() { changes <- n.changeAll(40) }()
	sent, good := 0, 0
	for done := false; !done; {
		select {
		case err := <-changes:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
		// Few at a time, so that no queue on the way is full.
		for range 32 {
			n.clientTap.send(rightMAC, packet("2001:db8:666::1", "2001:db8:cccc::1", "spoofed"))
			n.clientTap.send(rightMAC, packet("2001:db8:100::1", "2001:db8:cccc::1", "good"))
			sent++
		}
		for _, w := range n.flush() {
			if w != "good" {
				t.Fatalf("%s packet got through", w)
			}
			good++
		}
	}
	if good != sent {
		t.Errorf("of %d good packets %d arrived", sent, good)
	}
	if got := n.counter("spoofed"); got != sent+1 {
		t.Errorf("spoofed: %d, want %d: the counter of an adopted table goes on", got, sent+1)
	}
}

// changeAll changes the table in every way in which it is changed in its life, many times.
func (n *network) changeAll(times int) error {
	for i := range times {
		var err error
		n.edge.do(func() {
			_ = n.table.Close()
			if n.table, err = nft.Open(nft.Options{}); err != nil {
				return
			}
			err = n.table.Apply([]hoststate.Op{
				add(hoststate.SourceLink, "c0", fmt.Sprintf("2001:db8:300::/%d", 57+i)), add(hoststate.LoopPoint, "c0", fmt.Sprintf("2001:db8:300::/%d", 57+i)),
				add(hoststate.SourceLink, "c0", "2001:db8:100::/56"),
			}, func(_ int, e error) { err = e })
			if err == nil {
				err = exec.Command("nft", "add", "rule", "inet", "fairlead", "layout-3", "counter").Run()
			}
			mended := false
			if err == nil {
				mended, err = n.table.Mend()
			}
			if err == nil && !mended {
				err = errors.New("a foreign rule was not found")
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A table of another layout is replaced as a whole.
func TestOtherLayout(t *testing.T) {
	n := newNode(t)
	n.run("nft add table inet fairlead")
	n.run("nft add set inet fairlead checked { type ipv6_addr ; }")
	n.run("nft add table inet theirs")
	table := tableOf(t, n)
	apply(t, table, add(hoststate.Checked, "c0", ""))
	holds(t, table, "checked c0")
	if err := table.Purge(); err != nil {
		t.Fatal(err)
	}
	if err := table.Purge(); err != nil {
		t.Errorf("purge of nothing: %v", err)
	}
	expect(t, "tables", strings.Split(strings.TrimSpace(n.run("nft list tables")), "\n"), "table inet theirs")
}

// A table that is too broken to be adopted is replaced as a whole too.
func TestRuinedTable(t *testing.T) {
	n := newNode(t)
	n.run("nft add table inet fairlead")
	n.run("nft add chain inet fairlead layout-3")
	n.run("nft add set inet fairlead checked { type ipv6_addr ; }")
	n.run("nft add set inet fairlead source-link-56 { type ifname ; }")
	table := tableOf(t, n)
	apply(t, table, add(hoststate.Checked, "c0", ""), add(hoststate.SourceLink, "c0", "2001:db8:100::/56"))
	holds(t, table, "checked c0", "source-link c0 2001:db8:100::/56")
}

// What an operator has broken is found and mended: an element, a rule, a set, the whole table.
func TestComparisonMendsFilter(t *testing.T) {
	n := newNetwork(t)
	s := hoststate.New()
	ops := s.SetPolicy(nil, "c0", &hoststate.Policy{Filter: hoststate.FilterLink, Loop: hoststate.LoopDrop, Reuse: hoststate.ReuseNever, Permit: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}})
	ops = s.Put(ops, hoststate.Delegation{Link: "c0", Prefix: netip.MustParsePrefix("2001:db8:100::/56")})
	n.apply(ops...)
	spoof := func() {
		t.Helper()
		n.clientTap.send(rightMAC, packet("2001:db8:666::1", "2001:db8:cccc::1", "spoofed"))
		n.clientTap.send(rightMAC, packet("2001:db8:100::1", "2001:db8:cccc::1", "good"))
		expect(t, "passed", n.flush(), "good")
	}
	comparison := func() (found []string) {
		t.Helper()
		if mended, err := n.table.Mend(); err != nil {
			t.Fatal(err)
		} else if mended {
			found = append(found, "rules")
		}
		var es []hoststate.Element
		if err := n.table.Elements(func(e hoststate.Element) { es = append(es, e) }); err != nil {
			t.Fatal(err)
		}
		ops, fs := s.CompareAll(nil, hoststate.Actual{Elements: es})
		for _, f := range fs {
			if f.Element != nil {
				found = append(found, f.String())
			}
		}
		n.apply(slices.DeleteFunc(ops, func(o hoststate.Op) bool { return o.Route != nil })...)
		return found
	}
	spoof()
	expect(t, "nothing broken", comparison())

	n.edge.run(`nft delete element inet fairlead source-link-56 { "c0" . 2001:db8:100:: }`)
	n.edge.run(`nft add element inet fairlead source-link-56 { "c0" . 2001:db8:600:: }`)
	n.edge.run(`nft delete element inet fairlead checked { "c0" }`)
	expect(t, "elements", comparison(), "missing element checked c0", "missing element source-link c0 2001:db8:100::/56", "left over element source-link c0 2001:db8:600::/56")
	spoof()

	n.edge.run("nft flush chain inet fairlead prerouting")
	expect(t, "rules", comparison(), "rules")
	spoof()

	n.edge.run("nft flush chain inet fairlead permitted")
	n.edge.run("nft flush chain inet fairlead longest")
	n.edge.run("nft delete set inet fairlead source-link-56")
	expect(t, "set", comparison(), "rules", "missing element source-link c0 2001:db8:100::/56")
	spoof()

	n.edge.run("nft delete table inet fairlead")
	if found := comparison(); len(found) != 6 || found[0] != "rules" {
		t.Errorf("after deletion of the table: %q", found)
	}
	spoof()

	// There was no comparison: the next change finds that the table is gone.
	n.edge.run("nft delete table inet fairlead")
	n.apply(add(hoststate.SourceLink, "c0", "2001:db8:700::/56"))
	n.edge.run("nft delete table inet fairlead")
	n.apply(remove(add(hoststate.SourceLink, "c0", "2001:db8:700::/56")))
	comparison()
	spoof()
}
