package links

import (
	"iter"
	"maps"
	"slices"
)

// Prospect is what a configuration means for one link, beside what the present one does. R are a
// role's rules for links.
type Prospect[R any] struct {
	Link      string
	Now, Then *R // nil: the link has no clients of the role
	Prefixes  int
	Addresses int // live bindings of both kinds
}

// Holds reports whether the link has live bindings.
func (p *Prospect[R]) Holds() bool { return p.Prefixes+p.Addresses > 0 }

// Prospects are the Prospects, by name, of the links that there are, and of those that have
// bindings. Links without bindings that have no rule, now and then, are left out.
func Prospects[R any, L Member](there *Registry[L], bound iter.Seq[string], of func(link string) Prospect[R]) (all []Prospect[R]) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(there.byName)), bound)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if p := of(name); p.Now != nil || p.Then != nil || p.Holds() {
			all = append(all, p)
		}
	}
	return all
}
