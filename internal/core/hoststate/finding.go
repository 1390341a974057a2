package hoststate

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Counts are sizes, for display.
type Counts struct {
	Links       int // interfaces that are there
	Delegations int
	Routes      int // wanted, aggregates included
	StandIns    int // of these, unreachable in place of a delegation's own
	Elements    int // wanted
	Refused     int // delegations whose route the kernel did not take
	Unproved    int // delegations on point-to-point interfaces that may lead to somebody else by now
	Orphans     int // beside the delegations
}

// Counts costs nothing.
func (s *State) Counts() Counts { return s.counts }

// Actual is what was read back from the kernel: our routes in all tables, and
// the elements of all our sets.
type Actual struct {
	Routes   []Route
	Elements []Element
}

// FindingKind says what a comparison found.
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

// LeftOvers are the findings of what Reading.LeftOver yields.
func LeftOvers(ops []Op) []Finding {
	found := make([]Finding, len(ops))
	for i, op := range ops {
		found[i] = Finding{Kind: LeftOver, Route: op.Route, Element: op.Element}
	}
	return found
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
	case r.Link == Throw:
		fmt.Fprintf(&b, "throw %s", r.Prefix)
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
	return bytes.Compare(a.LinkLayer.Append(nil), b.LinkLayer.Append(nil))
}

func comparePrefixes(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func sortedIDs[V any](m map[routeID]V) []routeID {
	return slices.SortedFunc(maps.Keys(m), compareIDs)
}

func compareIDs(a, b routeID) int {
	return cmp.Or(cmp.Compare(a.table, b.table), a.prefix.compare(b.prefix), cmp.Compare(a.metric, b.metric))
}
