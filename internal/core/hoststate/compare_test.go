package hoststate

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/links"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Two roles have a State each, with links of their own, and prefixes that both may want. Each
// asks the kernel by itself, in its own order, and others have damaged what is there. While the
// kernel is compared, all goes on changing. In the end the kernel has what either wants, and
// nothing else. A route that both want is as one of them wants it, and as the first one wants
// it once they have been compared in peace. Whatever one takes out, or a comparison does,
// the other gets again at once if it wants it, without another comparison. Who renames a link has the comparison
// begin anew.
func TestComparisonWhileThingsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKernel()
		a := &modelPart{State: New(), twin: newTwin()}
		b := &modelPart{State: New(), twin: newTwin()}
		b.twin.names = []string{"s0", "s1", "ppp1"}
		parts := modelParts{a, b}
		past := newKernel()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			parts.live(t, k)
			maps.Copy(past.routes, k.routes)
			maps.Copy(past.elements, k.elements)
		}
		parts.settle(k)
		damage(t, k)
		if rapid.Bool().Draw(t, "the past is left over") {
			k = past // it may be wanted again meanwhile
		}
		parts.compare(t, k, func() {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				parts.live(t, k)
			}
		})
		parts.settle(k)
		parts.check(t, k, "mended", 0)
		for range rapid.IntRange(0, 10).Draw(t, "steps") {
			parts.live(t, k)
		}
		parts.settle(k)
		parts.check(t, k, "without a comparison", 0)
		parts.compare(t, k, func() {})
		parts.settle(k)
		parts.check(t, k, "compared in peace", 1)
	})
}

// modelPart is what one role wants, and what it has asked the kernel for that has not come
// about yet.
type modelPart struct {
	*State
	*twin
	asked []Op
}

type modelParts []*modelPart

// live has one part change what it wants, or something come about that one has asked for.
func (parts modelParts) live(t *rapid.T, k *kernel) {
	p := rapid.SampledFrom(parts).Draw(t, "part")
	if rapid.Bool().Draw(t, "comes about") {
		n := min(rapid.IntRange(1, 5).Draw(t, "operations"), len(p.asked))
		parts.carryOut(k, p, n)
		return
	}
	ops, _ := step(t, p.State, p.twin)
	p.asked = append(p.asked, ops...)
}

// carryOut carries out the first operations that a part has asked for. Both parts are asked
// whether they want what has gone by them.
func (parts modelParts) carryOut(k *kernel, p *modelPart, n int) {
	k.apply(p.asked[:n])
	parts.again(slices.DeleteFunc(slices.Clone(p.asked[:n]), func(op Op) bool { return !op.Remove }))
	p.asked = p.asked[n:]
}

// again asks all parts what they want of what has gone, or is to go, and returns the rest.
func (parts modelParts) again(gone []Op) (rest []Op) {
	rest = gone
	for _, p := range parts {
		p.asked, rest = p.Again(p.asked, rest)
	}
	return rest
}

func (parts modelParts) settle(k *kernel) {
	for _, p := range slices.Concat(parts, parts) { // what one takes out, the other has asked for again
		parts.carryOut(k, p, len(p.asked))
	}
}

// compare compares the kernel with what both want.
func (parts modelParts) compare(t *rapid.T, k *kernel, meanwhile func()) {
	for !parts.comparedOnce(t, k, meanwhile) {
	}
}

func (parts modelParts) comparedOnce(t *rapid.T, k *kernel, meanwhile func()) (whole bool) {
	var under []*Comparison
	var renames []int
	for _, p := range parts {
		under, renames = append(under, p.Compare()), append(renames, p.twin.renames)
		parts.carryOut(k, p, len(p.asked))
		meanwhile()
	}
	r := Read(k.actual())
	meanwhile()
	for i, p := range parts {
		for done := false; !done; {
			if !p.Compares(under[i]) {
				if p.twin.renames == renames[i] {
					t.Fatal("the comparison is over before its end")
				}
				return false
			}
			var ops []Op
			ops, _, done = under[i].Next(nil, r, rapid.IntRange(1, 4).Draw(t, "limit"))
			p.asked = append(p.asked, ops...)
			meanwhile()
		}
	}
	for left := range r.LeftOver(rapid.IntRange(1, 20).Draw(t, "left over at once")) {
		left = parts.again(left)
		meanwhile()
		k.apply(left)
		parts.again(left)
		meanwhile()
	}
	return true
}

// check fails where the kernel does not have what the parts want. Of a route that several want,
// it has what one of the first of them wants; 0: any of them.
func (parts modelParts) check(t *rapid.T, k *kernel, when string, first int) {
	want, elements := map[string][]string{}, map[string]bool{}
	for _, p := range parts {
		for _, r := range p.twin.routes() {
			want[routeName(r)] = append(want[routeName(r)], r.String())
		}
		for name := range p.twin.wanted() {
			if e, ok := strings.CutPrefix(name, "element "); ok {
				elements[e] = true
			}
		}
	}
	for name, r := range k.routes {
		choice := want[name]
		if first > 0 {
			choice = choice[:min(first, len(choice))]
		}
		if !slices.Contains(choice, r.String()) {
			t.Fatalf("%s: route %s, want one of %q", when, r, choice)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Fatalf("%s: routes that are wanted are not there: %q", when, want)
	}
	has := map[string]bool{}
	for name := range k.elements {
		has[name] = true
	}
	if diff := cmp.Diff(elements, has); diff != "" {
		t.Fatalf("%s: elements, -want +got:\n%s", when, diff)
	}
}

// What is asked for while the kernel is compared is on its way, and no finding: that a delegation
// ends, and what is asked for again because another State has taken it out.
func TestWhatIsOnItsWayIsNoFinding(t *testing.T) {
	s := New()
	s.SetLink(nil, &links.Link{Index: 1, Name: "c0", Up: true})
	k := newKernel()
	k.apply(s.SetPolicy(nil, "c0", &Policy{Filter: FilterLink}))
	for _, p := range somePrefixes[:2] {
		k.apply(s.Put(nil, Delegation{Link: "c0", Prefix: p, NextHop: someHops[1]}))
	}
	gone := slices.DeleteFunc(fromNothing(s), func(op Op) bool { return op.Route != nil && op.Route.Prefix == somePrefixes[0] })
	c, r := s.Compare(), Read(Actual{Routes: k.actual().Routes, Elements: k.actual().Elements[:0]})
	s.Delete(nil, "c0", somePrefixes[0])
	ops, rest := s.Again(nil, append(gone, Op{Element: &Element{Set: Checked, Link: "c1"}}))
	if len(ops) != 3 || len(rest) != 2 {
		t.Fatalf("asked for again: %v, not wanted: %v; want three, and two", ops, rest)
	}
	ops, found, done := c.Next(nil, r, 100)
	if len(ops)+len(found) > 0 || !done {
		t.Errorf("findings %v", found)
	}
	for left := range r.LeftOver(100) {
		t.Errorf("left over: %v", LeftOvers(left))
	}
}

// A part is no longer than was asked for, however much one link has.
func TestComparisonInParts(t *testing.T) {
	const delegations, limit = 1000, 64
	s := New()
	s.SetLink(nil, &links.Link{Index: 1, Name: "c0", Up: true})
	s.SetPolicy(nil, "c0", &Policy{Filter: FilterStrict, Loop: LoopDrop, Shared: true})
	for i := range delegations {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, byte(i >> 8), byte(i)})
		s.Put(nil, Delegation{Link: "c0", Prefix: netip.PrefixFrom(a, 56), NextHop: someHops[1], LinkLayer: someMACs[1]})
	}
	c, r := s.Compare(), Read(Actual{})
	total, parts := 0, 0
	for done := false; !done; parts++ {
		var ops []Op
		ops, _, done = c.Next(nil, r, limit)
		if len(ops) > limit+4 {
			t.Fatalf("part %d: %d operations, want %d at most", parts, len(ops), limit+4)
		}
		total += len(ops)
	}
	// Each delegation has a route and three elements; the link has two gates.
	if want := 4*delegations + 2; total != want || parts < want/(limit+4) {
		t.Errorf("%d operations in %d parts, want %d in %d at least", total, parts, want, want/(limit+4))
	}
}

// A newer comparison, or more changes than can be remembered, end one.
func TestComparisonEnds(t *testing.T) {
	s := New()
	first := s.Compare()
	second := s.Compare()
	if s.Compares(first) || !s.Compares(second) {
		t.Errorf("valid: first %v, second %v; want the second alone", s.Compares(first), s.Compares(second))
	}
	s.SetLink(nil, &links.Link{Index: 1, Name: "c0", Up: true})
	s.SetPolicy(nil, "c0", &Policy{Filter: FilterLink})
	for i := 0; s.Compares(second) && i <= maxTouched; i++ {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)})
		s.Put(nil, Delegation{Link: "c0", Prefix: netip.PrefixFrom(a, 64), NextHop: someHops[1]})
	}
	if s.Compares(second) {
		t.Error("a comparison that cannot remember what was touched goes on")
	}
	if ops, found, done := second.Next(nil, Read(Actual{}), 10); len(ops)+len(found) > 0 || !done {
		t.Errorf("a comparison that is over: %d operations, %d findings, done %v; want none, and done", len(ops), len(found), done)
	}
}

// What is put silently is wanted all the same: a comparison asks for it.
func TestPutSilentlyIsFoundMissing(t *testing.T) {
	s := New()
	s.SetLink(nil, &links.Link{Index: 1, Name: "c0", Up: true})
	s.SetPolicy(nil, "c0", &Policy{Filter: FilterLink})
	s.PutSilently(Delegation{Link: "c0", Prefix: somePrefixes[0], NextHop: someHops[1]})
	ops, found := s.CompareAll(nil, Actual{Elements: []Element{{Set: Checked, Link: "c0"}}})
	k := newKernel()
	if c := k.apply(ops); len(c) > 0 || len(found) != 2 {
		t.Fatalf("findings %v, complaints %q; want a route and an element", found, c)
	}
	want := map[string]bool{
		"element source-link c0 2001:db8:100::/56":                        true,
		"route 2001:db8:100::/56 via fe80::1 dev 1 table 254 metric 1024": true,
	}
	if diff := cmp.Diff(want, k.holds()); diff != "" {
		t.Errorf("kernel, -want +got:\n%s", diff)
	}
}

// Where the elements are known, routes alone are compared: nothing is said of
// elements, whatever there is.
func TestComparisonOfRoutes(t *testing.T) {
	prefix := func(n byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, n}), 56)
	}
	s, k := New(), newKernel()
	ops := s.SetLink(nil, &links.Link{Index: 1, Name: "c0", Up: true})
	ops = s.SetPolicy(ops, "c0", &Policy{Filter: FilterStrict, Loop: LoopDrop, Shared: true, Permit: []netip.Prefix{prefix(100)}})
	ops = s.Put(ops, Delegation{Link: "c0", Prefix: prefix(1), NextHop: someHops[1], LinkLayer: someMACs[1]})
	ops = s.Put(ops, Delegation{Link: "c0", Prefix: prefix(2), NextHop: someHops[1], LinkLayer: someMACs[1]})
	k.apply(ops)
	routes := k.actual().Routes
	if len(routes) != 2 || len(k.elements) == 0 {
		t.Fatalf("%d routes, %d elements: want two, and some", len(routes), len(k.elements))
	}
	found := func(routes ...Route) (words []string) {
		c, r := s.Compare(), OfRoutes(routes)
		for done := false; !done; {
			var ops []Op
			var fs []Finding
			ops, fs, done = c.Next(nil, r, 1)
			if len(ops) != len(fs) {
				t.Errorf("%d operations for %d findings", len(ops), len(fs))
			}
			for _, f := range fs {
				words = append(words, f.String())
			}
		}
		for left := range r.LeftOver(1) {
			for _, f := range LeftOvers(left) {
				words = append(words, f.String())
			}
		}
		return words
	}
	if got := found(routes...); len(got) != 0 {
		t.Errorf("nothing was changed: %q", got)
	}
	stray := Route{Table: MainTable, Prefix: prefix(9), Metric: 1}
	want := []string{"missing route " + routes[0].String(), "left over route " + stray.String()}
	if diff := cmp.Diff(want, found(routes[1], stray)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
