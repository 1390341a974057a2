package kernel

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
)

// model is a kernel, and two parts of it whose Changes come about after a while. Their links are
// not the same, but for x0, which goes from the one to the other and is both's for a time; and
// any prefix may be delegated by both.
type model struct {
	*rapid.T
	holds map[string]hoststate.Op // by what the kernel tells things apart by
	parts []*modelPart
	gone  [][]hoststate.Op // what was taken out and nobody was asked about
	left  int              // things that may still happen during a comparison
	*comparer
}

// modelPart is the part of one role. What its role wants is kept twice: as the role has it, and
// plainly.
type modelPart struct {
	*model
	state    *hoststate.State
	ledger   *ledger.Ledger
	links    []string
	asked    []effect.Change
	policies map[string]bool
	has      map[delegated]bool
}

type delegated struct {
	link   string
	prefix netip.Prefix
}

var modelLinks = []string{"d0", "d1", "s0", "s1", "x0"}

func newModel(t *rapid.T) *model {
	m := &model{T: t, holds: map[string]hoststate.Op{}}
	for _, names := range [][]string{{"d0", "d1", "x0"}, {"s0", "s1", "x0"}} {
		p := &modelPart{model: m, state: hoststate.New(), links: names, policies: map[string]bool{}, has: map[delegated]bool{}}
		p.ledger = ledger.New(nil, p.state, ledger.Core{}, "", "boot")
		for i, name := range modelLinks {
			p.state.SetLink(nil, &links.Link{Index: i + 1, Name: name, Up: true})
		}
		m.parts = append(m.parts, p)
	}
	return m
}

// Kernel, Call, Installed and Panics are of compared.
func (p *modelPart) Kernel() ledger.Kernel { return p.ledger.Kernel() }

func (p *modelPart) Call(_ context.Context, f func(instant.Now, *effect.Effects)) error {
	p.meanwhile()
	p.do(f)
	p.meanwhile()
	return nil
}

func (p *modelPart) Installed(_ context.Context, f func()) error {
	f()
	for len(p.asked) > 0 {
		p.comesAbout(p)
	}
	p.meanwhile()
	return nil
}

func (p *modelPart) Panics() uint64 { return 0 }

// do has the part decide.
func (p *modelPart) do(f func(instant.Now, *effect.Effects)) {
	var eff effect.Effects
	f(instant.Now{}, &eff)
	p.asked = append(p.asked, eff.Changes...)
}

// comesAbout carries out the oldest Change of a part.
func (m *model) comesAbout(p *modelPart) {
	if len(p.asked) == 0 {
		return
	}
	c := p.asked[0]
	p.asked = p.asked[1:]
	m.carryOut(c.Host)
	if gone := slices.DeleteFunc(slices.Clone(c.Host), func(op hoststate.Op) bool { return !op.Remove }); len(gone) > 0 {
		m.gone = append(m.gone, gone)
	}
	p.ledger.Settle(instant.Now{}, effect.Outcome{ID: c.ID}, new(effect.Effects))
}

func (m *model) carryOut(ops []hoststate.Op) {
	for _, op := range ops {
		if m.holds[nameOf(op)] = op; op.Remove {
			delete(m.holds, nameOf(op))
		}
	}
}

func nameOf(op hoststate.Op) string {
	if op.Route != nil {
		return fmt.Sprint("route ", op.Route.Prefix)
	}
	return op.Element.String()
}

// askOthers asks about what was taken out first.
func (m *model) askOthers() {
	if len(m.gone) > 0 {
		gone := m.gone[0]
		m.gone = m.gone[1:]
		if _, err := m.again(m.Context(), gone); err != nil {
			m.Fatal(err)
		}
	}
}

// meanwhile has some things happen.
func (m *model) meanwhile() {
	for n := min(m.left, rapid.IntRange(0, 4).Draw(m.T, "meanwhile")); n > 0; n-- {
		m.left--
		m.happens()
	}
}

// happens has one thing happen.
func (m *model) happens() {
	p := rapid.SampledFrom(m.parts).Draw(m.T, "part")
	link := rapid.SampledFrom(p.links).Draw(m.T, "link")
	d := delegated{link, strayRoute(rapid.IntRange(1, 2).Draw(m.T, "prefix")).Prefix}
	switch rapid.IntRange(0, 6).Draw(m.T, "what") {
	case 0, 1, 2:
		m.comesAbout(p)
	case 3:
		m.askOthers()
	case 4:
		var policy *hoststate.Policy
		if p.policies[link] {
			delete(p.policies, link)
		} else {
			p.policies[link], policy = true, &hoststate.Policy{Filter: hoststate.FilterLink}
		}
		p.do(func(_ instant.Now, eff *effect.Effects) { p.ledger.Install(p.state.SetPolicy(nil, link, policy), eff) })
	case 5:
		p.has[d] = true
		p.do(func(_ instant.Now, eff *effect.Effects) {
			p.ledger.Install(p.state.Put(nil, hoststate.Delegation{Link: link, Prefix: d.prefix, NextHop: netip.MustParseAddr("fe80::1")}), eff)
		})
	case 6:
		delete(p.has, d)
		p.do(func(_ instant.Now, eff *effect.Effects) { p.ledger.Install(p.state.Delete(nil, link, d.prefix), eff) })
	}
}

// allComesAbout has everything happen that is on its way.
func (m *model) allComesAbout() {
	m.left = 0
	for more := true; more; {
		more = len(m.gone) > 0
		for _, p := range m.parts {
			for ; len(p.asked) > 0; more = true {
				m.comesAbout(p)
			}
		}
		m.askOthers()
	}
}

// check fails where the kernel does not have what the roles want, and nothing else. A route that
// several delegations want leads to one of them.
func (m *model) check(when string) {
	wanted := map[string][]int{} // with the links that routes may lead to
	for _, p := range m.parts {
		for link := range p.policies {
			wanted["checked "+link] = nil
		}
		for d := range p.has {
			if p.policies[d.link] {
				route := fmt.Sprint("route ", d.prefix)
				wanted[route] = append(wanted[route], slices.Index(modelLinks, d.link)+1)
				wanted[fmt.Sprint("source-link ", d.link, " ", d.prefix)] = nil
			}
		}
	}
	for name, op := range m.holds {
		if leads, ok := wanted[name]; !ok || op.Route != nil && !slices.Contains(leads, op.Route.Link) {
			m.Fatalf("%s: the kernel has %s, %v; wanted: %v", when, name, op.Route, wanted)
		}
	}
	for name := range wanted {
		if _, there := m.holds[name]; !there {
			m.Fatalf("%s: %s is not there", when, name)
		}
	}
}

func (m *model) read() (*hoststate.Reading, error) {
	m.meanwhile()
	r := hoststate.NewReading()
	for _, op := range m.holds {
		if op.Route != nil {
			r.AddRoute(*op.Route)
		} else {
			r.AddElement(*op.Element)
		}
	}
	m.meanwhile()
	return r, nil
}

// Two roles of one family go on while the kernel is compared, which others have damaged, or which
// has what an earlier process has left. In the end it has what either wants, and nothing
// else; and that stays so without another comparison, whatever the two take out.
func TestTwoPartsOfOneFamily(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		b, _ := newComparerBench(t, m.read)
		b.parts = nil
		for _, p := range m.parts {
			b.parts = append(b.parts, p)
		}
		b.takeOut = func(gone []hoststate.Op) error { m.carryOut(gone); return nil }
		m.comparer = b.comparer
		past := map[string]hoststate.Op{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			m.happens()
			maps.Copy(past, m.holds)
		}
		m.allComesAbout()
		m.check("before anything was damaged")
		if rapid.Bool().Draw(t, "the past is left over") {
			m.holds = past
		} else {
			for _, name := range slices.Sorted(maps.Keys(m.holds)) {
				if rapid.Bool().Draw(t, "lost") {
					delete(m.holds, name)
				}
			}
		}
		m.left = rapid.IntRange(0, 30).Draw(t, "meanwhile, in all")
		if _, err := m.once(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		m.allComesAbout()
		m.check("compared")
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			m.happens()
		}
		m.allComesAbout()
		m.check("after that")
	})
}
