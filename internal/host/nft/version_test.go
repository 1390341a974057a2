package nft_test

import (
	"encoding/binary"
	"net/netip"
	"os/exec"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/nft"
)

// opened is a table in a namespace of its own.
type opened struct {
	*node
	*nft.Table
}

func open(t *testing.T) *opened {
	t.Helper()
	n := newNode(t)
	return &opened{node: n, Table: tableOf(t, n)}
}

func (o *opened) version() nft.Version {
	o.t.Helper()
	v, err := o.Version()
	if err != nil {
		o.t.Fatal(err)
	}
	return v
}

// The table's own changes do not change the Version, whether they change much, little or nothing.
func TestVersionIgnoresOwnChanges(t *testing.T) {
	o := open(t)
	first := o.version()
	if first == (nft.Version{}) {
		t.Fatal("the zero Version")
	}
	same := func(after string) {
		t.Helper()
		if v := o.version(); v != first {
			t.Fatalf("after %s: %+v, want %+v", after, v, first)
		}
	}
	checked, six := add(hoststate.Checked, "c0", ""), add(hoststate.SourceLink, "c0", "2001:db8:100::/56")
	seven := add(hoststate.SourceLink, "c0", "2001:db8:200::/56")
	same("nothing")
	apply(t, o, checked)
	same("one element")
	apply(t, o, checked)
	same("the same again")
	apply(t, o, six)
	same("a set of a new length")
	apply(t, o, six, checked, seven, seven)
	same("some that are there, and one that is not, twice")
	apply(t, o, remove(six), six, remove(six), remove(six))
	same("in and out")
	apply(t, o, remove(six), remove(add(hoststate.SourceLink, "c9", "::/1")))
	same("removal of nothing")
	apply(t, o, remove(six), checked, remove(checked))
	same("some that are so already")
	holds(t, o, "source-link c0 2001:db8:200::/56")

	var many []hoststate.Op
	base := netip.MustParseAddr("2001:db8::").As16()
	for i := range 5000 {
		binary.BigEndian.PutUint16(base[4:], uint16(i))
		many = append(many, hoststate.Op{Element: &hoststate.Element{Set: hoststate.SourceLink, Link: "c0", Prefix: netip.PrefixFrom(netip.AddrFrom16(base), 48)}})
	}
	apply(t, o, many...)
	same("several transactions")
	apply(t, o, many...)
	same("several that change nothing")

	if mended, err := o.Mend(); mended || err != nil {
		t.Fatalf("mended %v, %v", mended, err)
	}
	if _, err := o.Dropped(); err != nil {
		t.Fatal(err)
	}
	same("looking")
	o.run("nft list ruleset")
	same("somebody looking")
}

// A change of another program changes the Version once. When the table mends it, the Version
// stays.
func TestVersionTellsOfOthers(t *testing.T) {
	o := open(t)
	const element = `inet fairlead source-link-56 { "c0" . 2001:db8:100:: }`
	wanted := []hoststate.Op{add(hoststate.Checked, "c0", ""), add(hoststate.SourceLink, "c0", "2001:db8:100::/56")}
	apply(t, o, wanted...)
	guard := openGuard(t, o.node, hop.OwnerRelay)
	for _, c := range []struct {
		name string
		deed func()
	}{
		{"an element less", func() { o.run("nft delete element " + element) }},
		{"an element more", func() { o.run(`nft add element inet fairlead source-link-56 { "c0" . 2001:db8:900:: }`) }},
		{"an element less and more again", func() { o.nft("delete element " + element + "\nadd element " + element) }},
		{"a rule more", func() { o.run("nft add rule inet fairlead permitted accept") }},
		{"a chain's rules less", func() { o.run("nft flush chain inet fairlead permitted") }},
		{"a set less", func() {
			o.nft("flush chain inet fairlead permitted\nflush chain inet fairlead longest\ndelete set inet fairlead source-link-56")
		}},
		{"no rules", func() { o.run("nft flush table inet fairlead") }},
		{"no table", func() { o.run("nft delete table inet fairlead") }},
		{"nothing at all", func() { o.run("nft flush ruleset") }},
		{"a table of somebody else", func() { o.run("nft add table inet theirs") }},
		{"a set of somebody else", func() { o.run("nft add set inet theirs banned { type ipv6_addr ; }") }},
		{"an element of somebody else", func() { o.run("nft add element inet theirs banned { 2001:db8::1 }") }},
		{"a guard", func() {
			if err := guard.Install(threeHops(), true); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		before := o.version()
		c.deed()
		after := o.version()
		if after == before {
			t.Errorf("%s: the same Version", c.name)
		}
		if _, err := o.Mend(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		apply(t, o, append(wanted, remove(add(hoststate.SourceLink, "c0", "2001:db8:900::/56")))...)
		holds(t, o, "checked c0", "source-link c0 2001:db8:100::/56")
		if v := o.version(); v != after {
			t.Errorf("%s: mended: %+v, want %+v", c.name, v, after)
		}
	}

	before := o.version()
	o.do(func() {
		if exec.Command("nft", "delete", "element", "inet", "theirs", "banned", "{ 2001:db8::2 }").Run() == nil {
			t.Error("an element that is not there was deleted")
		}
	})
	if v := o.version(); v != before {
		t.Errorf("after what failed: %+v, want %+v", v, before)
	}
}

// If a request has failed in part, the Version changes: the table has to be read.
func TestVersionTellsOfLapses(t *testing.T) {
	o := open(t)
	before := o.version()
	failed := 0
	ops := []hoststate.Op{add(hoststate.Checked, "c0", ""), add(hoststate.SourceLink, "c0", "2001:db8::1/56")}
	if err := o.Apply(ops, func(int, error) { failed++ }); err != nil || failed != 1 {
		t.Fatalf("%d failed, %v; want 1", failed, err)
	}
	after := o.version()
	if after == before {
		t.Error("one of two elements was refused: the same Version")
	}
	apply(t, o, ops[0])
	if v := o.version(); v != after {
		t.Errorf("nothing failed: %+v, want %+v", v, after)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Version(); err == nil {
		t.Error("closed: a Version")
	}
}
