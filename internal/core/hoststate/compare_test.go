package hoststate

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/links"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// While the kernel is compared part by part, links, policies and delegations go on
// changing. In the end the kernel is what is wanted, whatever was damaged
// before. Who renames a link begins anew.
func TestComparisonWhileThingsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w, k := New(), newTwin(), newKernel()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			ops, _ := step(t, s, w)
			k.apply(ops)
		}
		damage(t, k)
		c, renames := s.Compare(), w.renames
		change := func() {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				ops, _ := step(t, s, w)
				k.apply(ops)
			}
		}
		change()
		r := Read(k.actual())
		change()
		for done := false; !done; {
			var ops []Op
			if !s.Compares(c) {
				if w.renames == renames {
					t.Fatal("the comparison is over before its end")
				}
				renames, c, r = w.renames, s.Compare(), Read(k.actual())
			}
			ops, _, done = c.Next(nil, r, rapid.IntRange(1, 4).Draw(t, "limit"))
			if complaints := k.apply(ops); len(complaints) > 0 {
				t.Fatalf("mending: %q", complaints)
			}
			change()
		}
		if diff := cmp.Diff(w.wanted(), k.holds()); diff != "" {
			t.Fatalf("mended, -want +got:\n%s", diff)
		}
	})
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
