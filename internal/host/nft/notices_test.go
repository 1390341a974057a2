package nft_test

import (
	"testing"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/nft"
)

// Changes of other programs in the filter table are reported, whether of an element, a set or the
// whole rule set. Our own changes are not, nor are changes in other tables.
func TestFilterNotices(t *testing.T) {
	n := newNetwork(t)
	var heard *nft.Notices
	var err error
	n.edge.do(func() { heard, err = n.table.OpenNotices() })
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	heard.Read()
	for _, c := range []struct {
		what string
		deed func()
		want bool
	}{
		{"our own element", func() {
			n.apply(add(hoststate.SourceLink, "c0", "2001:db8:100::/56"), add(hoststate.SourceLink, "c0", "2001:db8:200::/56"))
		}, false},
		{"a table of theirs", func() { n.edge.run("nft add table inet theirs") }, false},
		{"an element that is deleted", func() {
			n.edge.run(`nft delete element inet fairlead source-link-56 { "c0" . 2001:db8:100:: }`)
		}, true},
		{"an element that is added", func() {
			n.edge.run(`nft add element inet fairlead source-link-56 { "c0" . 2001:db8:300:: }`)
		}, true},
		{"a set that is emptied", func() { n.edge.run("nft flush set inet fairlead source-link-56") }, true},
		{"nothing", func() {}, false},
		{"a rule set that is flushed", func() { n.edge.run("nft flush ruleset") }, true},
	} {
		c.deed()
		if got := heard.Read(); got != c.want {
			t.Errorf("%s: told %v, want %v", c.what, got, c.want)
		}
	}
}
