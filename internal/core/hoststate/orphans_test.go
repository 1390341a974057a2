package hoststate

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/links"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// adopted is a State that knows links and policies, and has adopted what a kernel
// holds.
func adopted(k *kernel, there []links.Link, policies map[string]*Policy, delegations ...Delegation) (s *State, ops []Op) {
	s = New()
	for _, l := range there {
		ops = s.SetLink(ops, &l)
		ops = s.SetPolicy(ops, l.Name, policies[l.Name])
	}
	for _, l := range delegations {
		s.PutSilently(l)
	}
	k.apply(ops)
	s.AdoptLeftOver()
	ops, _ = s.CompareAll(nil, k.actual())
	return s, ops
}

func everyOrphan(string, netip.Prefix) bool { return true }

// Orphans are in nobody's way: what the rest wants comes about whatever there are,
// by operations that leave no gap, and once they have ended nothing of them is left.
func TestOrphansAreInNobodysWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, unused, k := New(), newTwin(), newKernel()
		for range rapid.IntRange(1, 30).Draw(t, "steps of the past") {
			ops, _ := step(t, before, unused)
			k.apply(ops)
		}
		s, w := New(), newTwin()
		var ops []Op
		for _, name := range someNames {
			l, there := unused.links[name]
			if !there {
				continue
			}
			w.setLink(l)
			ops = s.SetLink(ops, &l)
			if p, ok := unused.policies[name]; ok {
				w.setPolicy(name, &p)
				ops = s.SetPolicy(ops, name, &p)
			}
		}
		k.apply(ops)
		s.AdoptLeftOver()
		ops, _ = s.CompareAll(nil, k.actual())
		k.apply(ops)
		for range rapid.IntRange(0, 15).Draw(t, "steps") {
			past := orphansOf(s)
			ops, _ := step(t, s, w)
			// An orphan ends first of all where its link changes. What it had may be what
			// the link has by itself from now on.
			c := slices.DeleteFunc(k.apply(ops), func(text string) bool {
				return strings.HasPrefix(text, "gap in element ") &&
					slices.ContainsFunc(past, func(l Delegation) bool { return strings.HasSuffix(text, " "+l.Prefix.String()) })
			})
			if len(c) > 0 {
				t.Fatalf("operations: %q", c)
			}
			wants, holds := w.wanted(), k.holds()
			for name := range wants {
				if !holds[name] && !hasOrphansRoute(s, name, holds) {
					t.Fatalf("%s is wanted and not there", name)
				}
			}
			if ops, found := s.CompareAll(nil, k.actual()); len(ops)+len(found) > 0 {
				t.Fatalf("comparison of what is right: findings %v", found)
			}
			counts := s.Counts()
			if counts.Delegations != len(w.delegations) || counts.Orphans != len(orphansOf(s)) {
				t.Fatalf("counts %+v with %d delegations", counts, len(w.delegations))
			}
		}
		ops, _ = s.EndOrphans(nil, -1, everyOrphan)
		if c := k.apply(ops); len(c) > 0 {
			t.Fatalf("the end of orphans: %q", c)
		}
		if diff := cmp.Diff(w.wanted(), k.holds()); diff != "" {
			t.Fatalf("without orphans, -want +got:\n%s", diff)
		}
	})
}

// hasOrphansRoute reports whether an aggregate that is wanted is not there because the
// route of an orphan is in its place, as that of a delegation would be.
func hasOrphansRoute(s *State, wanted string, holds map[string]bool) bool {
	for _, l := range s.Orphans {
		rest, ok := strings.CutPrefix(wanted, "route unreachable "+l.Prefix.String()+" ")
		if !ok {
			continue
		}
		for name := range holds {
			if strings.HasPrefix(name, "route "+l.Prefix.String()+" ") && strings.HasSuffix(name, " "+rest) {
				return true
			}
		}
	}
	return false
}

// What is adopted, and what is not.
func TestAdoptLeftOver(t *testing.T) {
	there := []links.Link{
		{Index: 1, Name: "c0", Up: true, Running: true, Table: MainTable},
		{Index: 2, Name: "ppp0", Up: true, Running: true, PointToPoint: true, Table: MainTable},
		{Index: 3, Name: "u0", Up: true, Running: true, Table: MainTable},
	}
	strict := &Policy{Filter: FilterStrict, Loop: LoopDrop, Shared: true}
	policies := map[string]*Policy{"c0": strict, "ppp0": strict}
	hop, other := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	p := netip.MustParsePrefix
	mine := Delegation{Link: "c0", Prefix: p("2001:db8:100::/56"), NextHop: hop, LinkLayer: someMACs[1]}
	onPPP := Delegation{Link: "ppp0", Prefix: p("2001:db8:200::/56"), NextHop: hop}
	known := Delegation{Link: "c0", Prefix: p("2001:db8:300::/56"), NextHop: hop}
	inside := Delegation{Link: "c0", Prefix: p("2001:db8:300:80::/60"), NextHop: other}

	old, k := New(), newKernel()
	var ops []Op
	for _, l := range there {
		ops = old.SetPolicy(old.SetLink(ops, &l), l.Name, policies[l.Name])
	}
	for _, l := range []Delegation{mine, onPPP, known, inside} {
		ops = old.Put(ops, l)
	}
	k.apply(ops)
	k.routes["uplink"] = Route{Table: MainTable, Prefix: p("2001:db8:400::/56"), Metric: DefaultMetric, Link: 3, Gateway: hop}
	k.routes["stand-in"] = Route{Table: MainTable, Prefix: p("2001:db8:500::/56"), Metric: DefaultMetric}

	s, ops := adopted(k, there, policies, known)
	if got := orphansOf(s); !slices.Equal(got, []Delegation{mine}) {
		t.Fatalf("orphans %v, want %v alone", got, mine)
	}
	for _, op := range ops {
		if !op.Remove || op.Route != nil && op.Route.Prefix == mine.Prefix || op.Element != nil && op.Element.Prefix == mine.Prefix {
			t.Errorf("an operation on what is adopted, or one that adds: %+v", op)
		}
	}
	if again, _ := adopted(k, there, policies, known, mine); again.Counts().Orphans != 0 {
		t.Errorf("of what is known %d are orphans", again.Counts().Orphans)
	}
	if s.AdoptLeftOver(); s.Counts().Orphans != 1 {
		t.Error("an orphan has gone")
	}
}

// What ends an orphan takes its filter element away first, and its route after.
// What takes its place changes nothing where nothing has changed.
func TestEndsOfOrphans(t *testing.T) {
	link := links.Link{Index: 1, Name: "c0", Up: true, Running: true, Table: MainTable}
	second := links.Link{Index: 2, Name: "c1", Up: true, Running: true, Table: MainTable}
	policy := &Policy{Filter: FilterStrict, Loop: LoopDrop}
	policies := map[string]*Policy{"c0": policy, "c1": policy}
	hop := netip.MustParseAddr("fe80::1")
	mine := Delegation{Link: "c0", Prefix: netip.MustParsePrefix("2001:db8:100::/56"), NextHop: hop, LinkLayer: someMACs[1]}
	for name, tt := range map[string]struct {
		end  func(s *State) []Op
		ends bool
	}{
		"its delegation": {func(s *State) []Op { return s.Put(nil, mine) }, false},
		"a delegation beside it": {func(s *State) []Op {
			return s.Put(nil, Delegation{Link: "c0", Prefix: netip.MustParsePrefix("2001:db8:200::/56"), NextHop: hop})
		}, false},
		"its prefix on another link": {func(s *State) []Op { l := mine; l.Link = "c1"; return s.Put(nil, l) }, true},
		"a part of it": {func(s *State) []Op {
			l := mine
			l.Prefix = netip.MustParsePrefix("2001:db8:100:80::/60")
			return s.Put(nil, l)
		}, true},
		"what it is a part of": {func(s *State) []Op {
			l := mine
			l.Prefix = netip.MustParsePrefix("2001:db8:100::/48")
			return s.Put(nil, l)
		}, true},
		"its interface vanishes":     {func(s *State) []Op { return s.RemoveLink(nil, "c0") }, true},
		"another interface":          {func(s *State) []Op { l := link; l.Index = 7; return s.SetLink(nil, &l) }, true},
		"point to point":             {func(s *State) []Op { l := link; l.PointToPoint = true; return s.SetLink(nil, &l) }, true},
		"another VRF":                {func(s *State) []Op { l := link; l.VRF, l.Table = "red", 10; return s.SetLink(nil, &l) }, true},
		"no clients there any more":  {func(s *State) []Op { return s.SetPolicy(nil, "c0", nil) }, true},
		"another interface vanishes": {func(s *State) []Op { return s.RemoveLink(nil, "c1") }, false},
		"its interface goes down":    {func(s *State) []Op { l := link; l.Up = false; return s.SetLink(nil, &l) }, false},
		"the word of an operator":    {func(s *State) []Op { ops, _ := s.EndOrphans(nil, 1, everyOrphan); return ops }, true},
		"a word about something else": {func(s *State) []Op {
			ops, _ := s.EndOrphans(nil, 1, func(string, netip.Prefix) bool { return false })
			return ops
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			old, k := New(), newKernel()
			there := []links.Link{link, second}
			var ops []Op
			for _, l := range there {
				ops = old.SetPolicy(old.SetLink(ops, &l), l.Name, policy)
			}
			k.apply(old.Put(ops, mine))
			s, ops := adopted(k, there, policies)
			if len(ops) > 0 || s.Counts().Orphans != 1 {
				t.Fatalf("to adopt takes %v and makes %d orphans", ops, s.Counts().Orphans)
			}
			ops = tt.end(s)
			if got := s.Counts().Orphans == 0; got != tt.ends && name != "its delegation" {
				t.Errorf("the orphan ends: %v, want %v", got, tt.ends)
			}
			switch name {
			case "its delegation":
				if len(ops) > 0 || s.Counts().Orphans != 0 || s.Counts().Delegations != 1 {
					t.Errorf("its delegation costs %v; counts %+v", ops, s.Counts())
				}
				return
			case "its prefix on another link": // the route goes over, it is not taken away
				i := slices.IndexFunc(ops, func(op Op) bool { return op.Element != nil && op.Remove })
				if j := slices.IndexFunc(ops, func(op Op) bool { return !op.Remove }); i < 0 || j < i {
					t.Errorf("the orphan's element does not go first: %v", ops)
				}
			}
			if !tt.ends {
				return
			}
			route := slices.IndexFunc(ops, func(op Op) bool { return op.Route != nil && op.Route.Prefix == mine.Prefix })
			if withdrawn := route >= 0 && ops[route].Remove; withdrawn == (name == "its prefix on another link") {
				t.Errorf("the route is withdrawn: %v; %v", withdrawn, ops)
			}
			element := slices.IndexFunc(ops, func(op Op) bool { return op.Remove && op.Element != nil && op.Element.Prefix == mine.Prefix })
			if element < 0 || route < 0 || element > route {
				t.Errorf("element at %d, route at %d, want the element to go first: %v", element, route, ops)
			}
		})
	}
}

// orphansOf are the orphans now.
func orphansOf(s *State) (all []Delegation) {
	for _, o := range s.Orphans {
		all = append(all, o)
	}
	return all
}
