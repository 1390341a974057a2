package hoststate

import (
	"testing"

	"fairlead/internal/wire/linkaddr"
)

// Only what is granted anew was certainly not used yet. An element of a delegation that was
// there before counts as used now, whatever the reason why it is made.
func TestElementsOfADelegationThatWasThere(t *testing.T) {
	off, link, strict := filtered, filtered, filtered
	off.Filter, strict.Filter = FilterOff, FilterStrict
	link.Holders = true
	anew, unknown := granted, granted
	anew.New = true
	unknown.LinkLayer = linkaddr.Addr{}
	policy := func(p *Policy) func(*State) []Op {
		return func(s *State) []Op { return s.SetPolicy(nil, "c0", p) }
	}
	put := func(l Delegation) func(*State) []Op { return func(s *State) []Op { return s.Put(nil, l) } }
	for _, c := range []struct {
		name        string
		before      Policy
		delegations []Delegation
		change      func(*State) []Op
		again       bool
	}{
		{"a grant", link, nil, put(anew), false},
		{"a grant, strict", strict, nil, put(anew), false},
		{"a grant that was taken back gives the delegation back", link, nil, put(granted), true},
		{"the filter goes on", off, []Delegation{anew}, policy(&link), true},
		{"the filter goes on, strict", off, []Delegation{anew}, policy(&strict), true},
		{"the filter becomes strict", link, []Delegation{anew}, policy(&strict), true},
		{"the use is asked for from now on", filtered, []Delegation{anew}, policy(&link), true},
		{"the link-layer address is known now", link, []Delegation{unknown}, put(granted), true},
	} {
		s, _ := with(t, eth, c.before, c.delegations...)
		n := 0
		for _, op := range c.change(s) {
			if op.Element == nil || op.Remove || !op.Element.Set.IsTimed() {
				continue
			}
			if n++; op.Again != c.again {
				t.Errorf("%s: %v counts as used now: %v, want %v", c.name, op.Element, op.Again, c.again)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d timed elements, want 1", c.name, n)
		}
	}
}
