package hoststate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/links"
	"fairlead/internal/wire/linkaddr"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// kernel is what a list of operations makes of nothing.
type kernel struct {
	routes   map[string]Route
	elements map[string]Element
}

func newKernel() *kernel {
	return &kernel{routes: map[string]Route{}, elements: map[string]Element{}}
}

func routeName(r Route) string { return fmt.Sprint(r.Table, " ", r.Prefix, " ", r.Metric) }

// apply returns what was pointless about ops: an operation that changes nothing,
// or an element that goes and comes back.
func (k *kernel) apply(ops []Op) (complaints []string) {
	removed := map[string]bool{}
	for _, op := range ops {
		switch {
		case op.Route != nil && op.Element != nil, op.Route == nil && op.Element == nil:
			complaints = append(complaints, "operation on not exactly one thing")
		case op.Route != nil:
			name := routeName(*op.Route)
			was, there := k.routes[name]
			if there != op.Remove && (op.Remove || was == *op.Route) {
				complaints = append(complaints, "idle operation on route "+op.Route.String())
			}
			if op.Remove {
				removed[name] = true
				delete(k.routes, name)
				continue
			}
			if removed[name] {
				complaints = append(complaints, "withdrawal of route "+op.Route.String())
			}
			k.routes[name] = *op.Route
		default:
			name := op.Element.String()
			if _, there := k.elements[name]; there != op.Remove {
				complaints = append(complaints, "idle operation on element "+name)
			}
			if op.Remove {
				removed[name] = true
				delete(k.elements, name)
				continue
			}
			if removed[name] {
				complaints = append(complaints, "gap in element "+name)
			}
			k.elements[name] = *op.Element
		}
	}
	return complaints
}

func (k *kernel) holds() map[string]bool {
	h := map[string]bool{}
	for _, r := range k.routes {
		h["route "+r.String()] = true
	}
	for name := range k.elements {
		h["element "+name] = true
	}
	return h
}

func (k *kernel) actual() (a Actual) {
	for _, r := range k.routes {
		a.Routes = append(a.Routes, r)
	}
	for _, e := range k.elements {
		a.Elements = append(a.Elements, e)
	}
	return a
}

var (
	someNames    = []string{"c0", "c1", "ppp0"}
	somePrefixes = []netip.Prefix{
		netip.MustParsePrefix("2001:db8:100::/56"), netip.MustParsePrefix("2001:db8:200::/56"),
		netip.MustParsePrefix("2001:db8:200::/60"), netip.MustParsePrefix("2001:db8:300::/64"),
		netip.MustParsePrefix("2001:db8:1::5/128"), netip.MustParsePrefix("2001:db8:9::5/128"),
	}
	someAddrs = []netip.Prefix{
		netip.MustParsePrefix("fe80::a/64"), netip.MustParsePrefix("2001:db8:1::1/64"),
		netip.MustParsePrefix("2001:db8:300::1/64"), netip.MustParsePrefix("2001:db8:9::5/128"),
	}
	someMACs = []linkaddr.Addr{
		{}, linkaddr.From([]byte{2, 0, 0, 0, 0, 1}), linkaddr.From([]byte{2, 0, 0, 0, 0, 2}),
	}
	someHops = []netip.Addr{{}, netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")}
)

func drawPolicy(t *rapid.T) *Policy {
	if rapid.IntRange(0, 4).Draw(t, "no policy") == 0 {
		return nil
	}
	return &Policy{
		Filter:     FilterMode(rapid.IntRange(0, 2).Draw(t, "filter")),
		Permit:     rapid.SliceOfNDistinct(rapid.SampledFrom(somePrefixes), 0, 2, rapid.ID).Draw(t, "permit"),
		Routed:     rapid.Bool().Draw(t, "routed"),
		Loop:       LoopMode(rapid.IntRange(0, 2).Draw(t, "loop")),
		Table:      rapid.SampledFrom([]uint32{0, 254, 100}).Draw(t, "table"),
		Metric:     rapid.SampledFrom([]uint32{0, 1024, 4096}).Draw(t, "metric"),
		LoopExempt: rapid.SliceOfNDistinct(rapid.SampledFrom(somePrefixes), 0, 1, rapid.ID).Draw(t, "exempt"),
		Shared:     rapid.Bool().Draw(t, "shared"),
		Reuse:      Reuse(rapid.IntRange(0, 2).Draw(t, "reuse")),
		Holders:    rapid.Bool().Draw(t, "holders"),
	}
}

// step makes one random change to both, and returns a way to make it again.
func step(t *rapid.T, s *State, w *twin) (ops []Op, again func() []Op) {
	name := rapid.SampledFrom(w.names).Draw(t, "link")
	prefix := rapid.SampledFrom(somePrefixes).Draw(t, "prefix")
	w.isNew = false
	switch rapid.IntRange(0, 12).Draw(t, "what") {
	case 0, 1:
		l := links.Link{
			Index: rapid.IntRange(1, 3).Draw(t, "index"), Name: name, Up: rapid.Bool().Draw(t, "up"),
			Running: rapid.Bool().Draw(t, "running"), PointToPoint: rapid.Bool().Draw(t, "point to point"),
			Table: rapid.SampledFrom([]uint32{254, 10}).Draw(t, "table"),
			Addrs: rapid.SliceOfNDistinct(rapid.SampledFrom(someAddrs), 0, 3, rapid.ID).Draw(t, "addrs"),
			Peers: rapid.SliceOfNDistinct(rapid.SampledFrom(someHops[1:]), 0, 1, rapid.ID).Draw(t, "peers"),

			CarrierDowns: uint32(rapid.IntRange(0, 1).Draw(t, "carrier lost")),
		}
		w.setLink(l)
		again = func() []Op { return s.SetLink(nil, &l) }
	case 2:
		w.removeLink(name)
		again = func() []Op { return s.RemoveLink(nil, name) }
	case 3, 4:
		p := drawPolicy(t)
		w.setPolicy(name, p)
		again = func() []Op { return s.SetPolicy(nil, name, p) }
	case 5, 6:
		l := Delegation{
			Link: name, Prefix: prefix, NextHop: rapid.SampledFrom(someHops).Draw(t, "next hop"),
			LinkLayer: rapid.SampledFrom(someMACs).Draw(t, "mac"), LoopExempt: rapid.Bool().Draw(t, "exempt"),
			New: rapid.Bool().Draw(t, "new"),
		}
		if rapid.Bool().Draw(t, "proved") {
			l.Line = s.Line(name)
		}
		w.put(l)
		again = func() []Op { return s.Put(nil, l) }
	case 7:
		w.remove(name, prefix)
		again = func() []Op { return s.Delete(nil, name, prefix) }
	case 10:
		var covered []Covered
		for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(somePrefixes), 0, 2, rapid.ID).Draw(t, "covered") {
			covered = append(covered, Covered{p, rapid.Bool().Draw(t, "reserved")})
		}
		again = func() []Op { return s.SetCovered(nil, name, covered) }
		if _, known := s.links[name]; known {
			w.covered[name] = covered
		}
	case 11:
		routed := rapid.SliceOfNDistinct(rapid.SampledFrom(somePrefixes), 0, 2, rapid.ID).Draw(t, "routed")
		again = func() []Op { return s.SetRouted(nil, name, routed) }
		if w.links[name].Up {
			w.routed[name] = routed
		}
	case 8:
		to := rapid.SampledFrom(w.names).Draw(t, "name")
		// Who has had the name is gone, and what both have ends, before it is renamed.
		if _, there := w.links[to]; there && to != name {
			w.removeLink(to)
			again = func() []Op { return s.RemoveLink(nil, to) }
			break
		}
		if p, both := w.shared(name, to); both {
			w.remove(to, p)
			again = func() []Op { return s.Delete(nil, to, p) }
			break
		}
		w.rename(name, to)
		again = func() []Op { return s.Rename(nil, name, to) }
	case 9:
		rs := w.routes()
		if len(rs) == 0 {
			return nil, func() []Op { return nil }
		}
		slices.SortFunc(rs, func(a, b Route) int { return slices.Compare([]byte(routeName(a)), []byte(routeName(b))) })
		r := rapid.SampledFrom(rs).Draw(t, "refused")
		w.refuse(r)
		again = func() []Op { return s.Refused(nil, r) }
	default:
		var as []Aggregate
		for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(somePrefixes), 0, 2, rapid.ID).Draw(t, "aggregates") {
			as = append(as, Aggregate{Prefix: p, Metric: rapid.SampledFrom([]uint32{0, 1024}).Draw(t, "metric")})
		}
		w.aggregates = as
		again = func() []Op { return s.SetAggregates(nil, as) }
	}
	w.forget()
	return again(), again
}

// Random inputs give what the twin says, by operations of which none is idle,
// none opens a gap, and none comes when nothing changed. An element counts as never used
// only if its delegation is new.
func TestStateIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w, k := New(), newTwin(), newKernel()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			ops, again := step(t, s, w)
			if c := k.apply(ops); len(c) > 0 {
				t.Fatalf("operations: %q", c)
			}
			for _, op := range ops {
				want := op.Element != nil && !op.Remove && op.Element.Set.IsTimed() && !w.isNew
				if op.Again != want {
					t.Fatalf("%v: counts as used now %v, want %v", op.Element, op.Again, want)
				}
			}
			if diff := cmp.Diff(w.wanted(), k.holds()); diff != "" {
				t.Fatalf("kernel, -want +got:\n%s", diff)
			}
			if ops := again(); len(ops) > 0 {
				t.Fatalf("the same again: %d operations, want none", len(ops))
			}
		}
		checkWhole(t, s, w, k)
	})
}

// fromNothing makes everything from nothing: what links have without delegations first, as it
// was asked for when they were told of.
func fromNothing(s *State) (ops []Op) {
	for _, rec := range s.links {
		for _, e := range slices.Concat(sortedElements(rec.gates), sortedElements(rec.static)) {
			ops = append(ops, again(e))
		}
	}
	for id, c := range s.routes {
		if c.by == 0 {
			r := c.route(id)
			ops = append(ops, Op{Route: &r})
		}
	}
	return slices.AppendSeq(ops, s.Delegated)
}

// checkWhole looks at what does not come step by step.
func checkWhole(t *rapid.T, s *State, w *twin, k *kernel) {
	fresh := newKernel()
	if c := fresh.apply(fromNothing(s)); len(c) > 0 {
		t.Fatalf("wanted: %q", c)
	}
	if diff := cmp.Diff(w.wanted(), fresh.holds()); diff != "" {
		t.Fatalf("wanted from nothing, -want +got:\n%s", diff)
	}
	standIns := 0
	delegated := map[string]bool{}
	for key := range w.delegations {
		delegated[key.prefix.String()] = true
	}
	for _, r := range k.routes {
		aggregate := slices.ContainsFunc(w.aggregates, func(a Aggregate) bool { return a.Prefix == r.Prefix })
		for _, covered := range w.covered {
			aggregate = aggregate || slices.ContainsFunc(covered, func(x Covered) bool { return x.Prefix == r.Prefix })
		}
		if r.Link == 0 && delegated[r.Prefix.String()] && !aggregate {
			standIns++
		}
	}
	got := s.Counts()
	if len(w.aggregates) == 0 && len(w.covered) == 0 && got.StandIns != standIns {
		t.Fatalf("stand-ins: got %d, want %d", got.StandIns, standIns)
	}
	want := Counts{
		Links: len(w.links), Delegations: len(w.delegations), Routes: len(k.routes), StandIns: got.StandIns,
		Elements: len(k.elements), Refused: len(w.refused), Unproved: w.unproved(),
	}
	if got != want {
		t.Fatalf("counts: got %+v, want %+v", got, want)
	}
	if ops, found := s.CompareAll(nil, k.actual()); len(ops)+len(found) > 0 {
		t.Fatalf("comparison of what is right: %d operations, findings %v", len(ops), found)
	}
	damages := damage(t, k)
	ops, found := s.CompareAll(nil, k.actual())
	if len(found) != damages {
		t.Fatalf("comparison: findings %v, want %d", found, damages)
	}
	if c := k.apply(ops); len(c) > 0 {
		t.Fatalf("comparison: %q", c)
	}
	if diff := cmp.Diff(w.wanted(), k.holds()); diff != "" {
		t.Fatalf("mended, -want +got:\n%s", diff)
	}
}

// damage does to the kernel what an operator might, and counts it.
func damage(t *rapid.T, k *kernel) (n int) {
	for _, name := range slices.Sorted(maps.Keys(k.routes)) {
		r := k.routes[name]
		switch rapid.IntRange(0, 3).Draw(t, "damage") {
		case 0:
			delete(k.routes, name)
			n++
		case 1:
			r.Link = OtherKind
			k.routes[name] = r
			n++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.elements)) {
		if rapid.IntRange(0, 3).Draw(t, "damage") == 0 {
			delete(k.elements, name)
			n++
		}
	}
	if rapid.Bool().Draw(t, "left over") {
		r := Route{Table: 77, Prefix: somePrefixes[0], Metric: 5}
		e := Element{Set: SourceLink, Link: "left", Prefix: somePrefixes[0]}
		k.routes[routeName(r)], k.elements[e.String()] = r, e
		n += 2
	}
	return n
}
