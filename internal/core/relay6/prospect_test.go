package relay6_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
)

// What another configuration would mean for each link is said before it holds,
// with the number of delegations, and nothing changes by asking.
func TestProspects(t *testing.T) {
	w := newWorld(t)
	carol := client{lan1Index, "\x00\x03\x00\x01carol", "fe80::c", mac("02:00:5e:00:53:0c")}
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, prefix("2001:db8:200::/56", 600)))
	w.lease(carol, iaPD(1, prefix("2001:db8:300::/56", 600)))
	other := func(change func(*relay6.Config)) *relay6.Config {
		c := baseConfig()
		change(c)
		return c
	}
	say := func(all []links.Prospect[relay6.LinkRule]) []string {
		var lines []string
		for i := range all {
			p := &all[i]
			lines = append(lines, fmt.Sprintf("%s %v->%v %d+%d %v", p.Link, p.Now != nil, p.Then != nil, p.Prefixes, p.Addresses, p.Holds()))
		}
		return lines
	}
	before := fmt.Sprint(w.kernel.Routes, w.kernel.Elements)
	for _, c := range []struct {
		name string
		cfg  *relay6.Config
		want []string
	}{
		{"the same", baseConfig(), []string{"lan0 true->true 2+0 true", "lan1 true->true 1+0 true"}},
		{"a misspelt glob", other(func(c *relay6.Config) { c.Links[0].Match = []string{"lam*"} }), []string{"lan0 true->false 2+0 true", "lan1 true->false 1+0 true"}},
		{"one of two", other(func(c *relay6.Config) { c.Links[0].Match = []string{"lan1"} }), []string{"lan0 true->false 2+0 true", "lan1 true->true 1+0 true"}},
		{"it becomes an uplink", other(func(c *relay6.Config) { c.Peers[0].Interfaces = []string{"up0", "lan1"} }), []string{"lan0 true->true 2+0 true", "lan1 true->false 1+0 true"}},
	} {
		if diff := cmp.Diff(c.want, say(w.core.Prospects(c.cfg))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
	if after := fmt.Sprint(w.kernel.Routes, w.kernel.Elements); after != before {
		t.Errorf("asking has changed the kernel\nfrom\n%s\nto\n%s", before, after)
	}
	if got := w.core.Unmatched(); len(got) != 0 {
		t.Errorf("unmatched under the rules that hold: %v", say(got))
	}

	// A link that is gone is asked about all the same.
	w.removeLink("lan0")
	w.core.Reconfigure(other(func(c *relay6.Config) { c.Links[0].Match = []string{"lan1"} }), &w.eff)
	w.carryOut()
	if diff := cmp.Diff([]string{"lan0 false->false 2+0 true"}, say(w.core.Unmatched())); diff != "" {
		t.Errorf("unmatched (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"lan0 false->true 2+0 true", "lan1 true->true 1+0 true"}, say(w.core.Prospects(baseConfig()))); diff != "" {
		t.Errorf("back (-want +got)\n%s", diff)
	}
}
