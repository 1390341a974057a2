package relay6_test

import (
	"fmt"
	"testing"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// A server renumbers a client that is at a limit, in one Reply. What ends makes room
// for what is new, in whatever order they stand: Kea writes the new prefix first.
func TestRenumberingAtALimit(t *testing.T) {
	for name, tc := range map[string]struct {
		prefixes int
		change   func(*relay6.LinkRule)
	}{
		"client":           {1, func(r *relay6.LinkRule) { r.Delegations.ClientLimit = 1 }},
		"client's default": {8, func(*relay6.LinkRule) {}},
		"link":             {3, func(r *relay6.LinkRule) { r.Delegations.LinkLimit = 3 }},
		"host": {2, func(r *relay6.LinkRule) {
			r.Shared, r.Delegations.HostLimit = true, 2
		}},
		"link, replaceable": {2, func(r *relay6.LinkRule) {
			r.Delegations.LinkLimit, r.Delegations.OnLimit = 2, delegation.LimitReplaceUnreachable
		}},
	} {
		for _, oldFirst := range []bool{false, true} {
			w := newWorld(t, rule(tc.change))
			var ias, renumbered []option
			var want []string
			for i := range tc.prefixes {
				before, after := fmt.Sprintf("2001:db8:1%02x::/56", i), fmt.Sprintf("2001:db8:2%02x::/56", i)
				ias = append(ias, iaPD(uint32(i), prefix(before, 600)))
				both := []option{prefix(after, 600), prefix(before, 0)}
				if oldFirst {
					both[0], both[1] = both[1], both[0]
				}
				renumbered = append(renumbered, iaPD(uint32(i), both...))
				want = append(want, "lan0 "+after+" via fe80::a for 10m0s")
			}
			w.lease(alice, ias...)
			if got := w.exchange(alice, dhcp6.Renew, renumbered...); len(got) != 1 || len(w.probes) != 0 {
				t.Errorf("%s, old first %v: %d datagrams and %d probes, want the Reply at once", name, oldFirst, len(got), len(w.probes))
			}
			w.wants(want...)
			if got := w.noted(effect.NoteDelegation); len(got) != 0 {
				t.Errorf("%s, old first %v: refused %q", name, oldFirst, got)
			}
			w.restart()
			w.wants(want...)
		}
	}
}

// What one Reply gives is learned as far as the limits go, however much it is, and
// what is above them is refused, counted and told.
func TestVeryManyPrefixesInAReply(t *testing.T) {
	const many = 1500
	var all, none []option
	for i := range many {
		p := fmt.Sprintf("2001:db8:1%03x::/56", i)
		all, none = append(all, prefix(p, 600)), append(none, prefix(p, 0))
	}
	for _, limit := range []int{8, 1000, many} {
		w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = limit }))
		if got := w.exchange(alice, dhcp6.Request, iaPD(1, all...)); len(got) != 1 {
			t.Fatalf("limit %d: %d datagrams, want the Reply", limit, len(got))
		}
		refused := len(w.noted(effect.NoteDelegation))
		if learned := len(w.delegations()); learned != limit || refused != many-limit || w.counts("lan0").Refused != uint64(refused) {
			t.Errorf("limit %d: learned %d, told of %d refusals, counted %d", limit, learned, refused, w.counts("lan0").Refused)
		}
		w.exchange(alice, dhcp6.Renew, iaPD(1, none...))
		w.wants()
		w.restart()
		w.wants()
	}
}
