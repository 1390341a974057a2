package hoststate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Counts are sizes, for display.
type Counts struct {
	Links    int // interfaces that are there
	Leases   int
	Routes   int // wanted, aggregates included
	StandIns int // of these, unreachable in place of a lease's own
	Elements int // wanted
	Refused  int // leases whose route the kernel did not take
}

// Counts costs nothing.
func (s *State) Counts() Counts { return s.counts }

// Actual is what was read back from the kernel: our routes in all tables, and
// the elements of all our sets.
type Actual struct {
	Routes   []Route
	Elements []Element
}

// FindingKind says what an audit found.
type FindingKind uint8

// Missing is wanted and not there; Changed is there with another value, or more
// than once; LeftOver is there and not wanted.
const (
	Missing FindingKind = iota + 1
	Changed
	LeftOver
)

func (k FindingKind) String() string { return [...]string{"", "missing", "changed", "left over"}[k] }

// Finding is one difference between what is wanted and what is there. Exactly
// one of Route and Element is set: what is wanted, or what is left over.
type Finding struct {
	Kind    FindingKind
	Route   *Route
	Element *Element
}

func (f Finding) String() string {
	if f.Route != nil {
		return f.Kind.String() + " route " + f.Route.String()
	}
	return f.Kind.String() + " element " + f.Element.String()
}

// String is close to what ip -6 route prints.
func (r Route) String() string {
	var b strings.Builder
	switch {
	case r.Link == 0:
		fmt.Fprintf(&b, "unreachable %s", r.Prefix)
	case r.Link == OtherKind:
		fmt.Fprintf(&b, "%s of another kind", r.Prefix)
	default:
		b.WriteString(r.Prefix.String())
		if r.Gateway.IsValid() {
			fmt.Fprintf(&b, " via %s", r.Gateway)
		}
		fmt.Fprintf(&b, " dev %d", r.Link)
	}
	fmt.Fprintf(&b, " table %d metric %d", r.Table, r.Metric)
	return b.String()
}

func (e Element) String() string {
	s := e.Set.String() + " " + e.Link
	if e.LinkLayer.IsValid() {
		s += " " + e.LinkLayer.String()
	}
	if e.Prefix.IsValid() {
		s += " " + e.Prefix.String()
	}
	return s
}

// Wanted appends the operations that make everything from nothing, guards first:
// at no time is a source let through that is not known to be right.
func (s *State) Wanted(ops []Op) []Op {
	names := slices.Sorted(maps.Keys(s.links))
	for _, n := range names {
		for _, e := range sortedElements(s.links[n].gates) {
			ops = append(ops, Op{Element: &e})
		}
	}
	for _, n := range names {
		for e := range s.links[n].elements {
			ops = append(ops, Op{Element: &e})
		}
	}
	for _, id := range sortedIDs(s.routes) {
		r := s.routes[id].now
		ops = append(ops, Op{Route: &r})
	}
	return ops
}

// elements yields every element of a link once, but its gates, in order.
func (rec *link) elements(yield func(Element) bool) {
	for _, e := range sortedElements(rec.static) {
		if !yield(e) {
			return
		}
	}
	var a [4]Element
	for _, p := range sortedPrefixes(rec.leases) {
		for _, e := range rec.leases[p].holds.elements(a[:0], rec.Name, p) {
			if !rec.static[e] && !yield(e) {
				return
			}
		}
	}
}

// Audit compares what is wanted with what is there, and appends what mends the
// difference. What it says of the kernel is right only if nothing was asked of
// the kernel since actual was read. The state itself does not change.
func (s *State) Audit(ops []Op, actual Actual) ([]Op, []Finding) {
	ops, found := s.auditElements(ops, nil, actual.Elements)
	return s.auditRoutes(ops, found, actual.Routes)
}

func (s *State) auditElements(ops []Op, found []Finding, actual []Element) ([]Op, []Finding) {
	there := make(map[Element]bool, len(actual))
	for _, e := range actual {
		there[e] = true
	}
	want := func(e Element) bool {
		if there[e] {
			delete(there, e)
			return true
		}
		ops = append(ops, Op{Element: &e})
		found = append(found, Finding{Kind: Missing, Element: &e})
		return true
	}
	for _, n := range slices.Sorted(maps.Keys(s.links)) {
		rec := s.links[n]
		for _, e := range sortedElements(rec.gates) {
			want(e)
		}
		rec.elements(want)
	}
	for _, e := range sortedElements(there) {
		ops = append(ops, Op{Remove: true, Element: &e})
		found = append(found, Finding{Kind: LeftOver, Element: &e})
	}
	return ops, found
}

func (s *State) auditRoutes(ops []Op, found []Finding, actual []Route) ([]Op, []Finding) {
	there := make(map[routeID][]Route, len(actual))
	for _, r := range actual {
		there[r.id()] = append(there[r.id()], r)
	}
	for _, id := range sortedIDs(s.routes) {
		r := s.routes[id].now
		is := there[id]
		delete(there, id)
		if len(is) == 1 && is[0] == r {
			continue
		}
		kind := Missing
		if len(is) > 0 {
			kind = Changed
		}
		// Of several copies one replacement mends only one.
		for i := 1; i < len(is); i++ {
			ops = append(ops, Op{Remove: true, Route: &is[i]})
		}
		ops = append(ops, Op{Route: &r})
		found = append(found, Finding{Kind: kind, Route: &r})
	}
	for _, id := range sortedIDs(there) {
		for _, r := range there[id] {
			ops = append(ops, Op{Remove: true, Route: &r})
			found = append(found, Finding{Kind: LeftOver, Route: &r})
		}
	}
	return ops, found
}

func sortedElements[V any](m map[Element]V) []Element {
	return slices.SortedFunc(maps.Keys(m), compareElements)
}

func compareElements(a, b Element) int {
	if a.Set != b.Set {
		return int(a.Set) - int(b.Set)
	}
	if c := strings.Compare(a.Link, b.Link); c != 0 {
		return c
	}
	if c := comparePrefixes(a.Prefix, b.Prefix); c != 0 {
		return c
	}
	return strings.Compare(a.LinkLayer.String(), b.LinkLayer.String())
}

func sortedPrefixes[V any](m map[netip.Prefix]V) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(m), comparePrefixes)
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func sortedIDs[V any](m map[routeID]V) []routeID {
	return slices.SortedFunc(maps.Keys(m), func(a, b routeID) int {
		if a.table != b.table {
			return int(int64(a.table) - int64(b.table))
		}
		if c := comparePrefixes(a.prefix, b.prefix); c != 0 {
			return c
		}
		return int(int64(a.metric) - int64(b.metric))
	})
}
