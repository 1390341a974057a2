package hoststate

import (
	"fmt"
	"net/netip"
	"slices"

	"fairlead/internal/core/links"
)

// twin is the slow and obvious form of State: it keeps what it was told and
// recomputes everything that is wanted each time it is asked.
type twin struct {
	names       []string              // that links may have
	links       map[string]links.Link // those that are there
	last        map[string]links.Link // as last seen, for those that are gone
	policies    map[string]Policy
	delegations map[twinKey]twinDelegation
	refused     map[twinKey]bool
	lines       map[string]int // which one a name is
	aggregates  []Aggregate
	covered     map[string][]Covered
	routed      map[string][]netip.Prefix
	clock       int
	isNew       bool // the last step was the grant of a new delegation
	line        int  // the newest
	renames     int
}

type twinKey struct {
	link   string
	prefix netip.Prefix
}

type twinDelegation struct {
	Delegation
	when int
	line int // on which it was proved; -1: on none
}

func newTwin() *twin {
	return &twin{
		names: someNames,
		links: map[string]links.Link{}, last: map[string]links.Link{}, policies: map[string]Policy{},
		delegations: map[twinKey]twinDelegation{}, refused: map[twinKey]bool{}, lines: map[string]int{},
		covered: map[string][]Covered{}, routed: map[string][]netip.Prefix{},
	}
}

func (t *twin) setLink(l links.Link) {
	was, there := t.links[l.Name]
	if !there || was.Index != l.Index || was.PointToPoint != l.PointToPoint || was.CarrierDowns != l.CarrierDowns ||
		(was.Up && was.Running) != (l.Up && l.Running) {
		t.newLine(l.Name)
	}
	if !l.Up || was.Index != l.Index || was.Table != l.Table {
		delete(t.routed, l.Name)
	}
	t.links[l.Name], t.last[l.Name] = l, l
	t.forgive(l.Name)
}

func (t *twin) removeLink(name string) {
	if _, ok := t.links[name]; ok {
		delete(t.links, name)
		delete(t.routed, name)
		t.newLine(name)
		t.forgive(name)
	}
}

func (t *twin) newLine(name string) {
	t.line++
	t.lines[name] = t.line
}

// rename gives a link another name. What was left there is its own, but for what it
// has itself.
func (t *twin) rename(old, name string) {
	l, there := t.links[old]
	if !there || old == name {
		return
	}
	t.renames++
	t.removeLink(name)
	t.forgive(name)
	l.Name = name
	t.links[name], t.last[name], t.lines[name] = l, l, t.lines[old]
	delete(t.links, old)
	delete(t.last, old)
	for _, x := range t.covered[old] {
		i := slices.IndexFunc(t.covered[name], func(y Covered) bool { return x.Prefix == y.Prefix })
		if i < 0 {
			t.covered[name] = append(slices.Clip(t.covered[name]), x)
		} else if x.Reserved {
			t.covered[name] = slices.Clone(t.covered[name])
			t.covered[name][i].Reserved = true
		}
	}
	delete(t.covered, old)
	t.routed[name] = t.routed[old]
	delete(t.routed, old)
	t.setPolicy(name, nil)
	if p, ok := t.policies[old]; ok {
		t.policies[name] = p
		delete(t.policies, old)
	}
	for k, delegation := range t.delegations {
		if k.link == old {
			to := twinKey{name, k.prefix}
			t.delegations[to] = delegation
			delete(t.delegations, k)
		}
	}
	t.forgive(old) // it is an event of the link
}

// shared is a prefix that is delegated on two links.
func (t *twin) shared(a, b string) (p netip.Prefix, ok bool) {
	for _, p := range somePrefixes {
		_, one := t.delegations[twinKey{a, p}]
		if _, two := t.delegations[twinKey{b, p}]; one && two && a != b {
			return p, true
		}
	}
	return p, false
}

func (t *twin) forgive(name string) {
	for k := range t.refused {
		if k.link == name {
			delete(t.refused, k)
		}
	}
}

func (t *twin) put(l Delegation) {
	k := twinKey{l.Link, l.Prefix}
	if old, ok := t.delegations[k]; ok && old.NextHop != l.NextHop {
		delete(t.refused, k)
	}
	t.clock++
	t.isNew = l.New
	t.delegations[k] = twinDelegation{l, t.clock, -1}
	if l.Line != 0 {
		t.delegations[k] = twinDelegation{l, t.clock, t.lines[l.Link]}
	}
}

// proved reports whether the link leads to the client of a delegation.
func (t *twin) proved(k twinKey, l twinDelegation) bool {
	last, told := t.last[k.link]
	switch p := t.policies[k.link]; {
	case p.Reuse == ReuseNever:
		return true
	case !told:
		return l.LinkLayer.IsValid()
	case p.Reuse == ReuseFixedAddresses && slices.Contains(t.links[k.link].Peers, l.NextHop):
		return true
	}
	return !last.PointToPoint || l.line == t.lines[k.link]
}

func (t *twin) unproved() (n int) {
	for k, l := range t.delegations {
		if _, ok := t.policies[k.link]; ok && !t.proved(k, l) {
			n++
		}
	}
	return n
}

func (t *twin) remove(name string, p netip.Prefix) {
	delete(t.delegations, twinKey{name, p})
	delete(t.refused, twinKey{name, p})
}

func (t *twin) setPolicy(name string, p *Policy) {
	if p == nil {
		delete(t.policies, name)
		return
	}
	t.policies[name] = *p
}

// known is what matters of a link, from memory if it is gone and was not
// forgotten: nothing is remembered of a name without delegation or policy.
func (t *twin) known(name string) links.Link {
	if l, ok := t.last[name]; ok {
		return l
	}
	return links.Link{Name: name, Table: 254}
}

func (t *twin) forget() {
	for _, name := range t.names {
		_, there := t.links[name]
		_, policy := t.policies[name]
		delegations := false
		for k := range t.delegations {
			delegations = delegations || k.link == name
		}
		if !there && !policy && !delegations {
			delete(t.covered, name)
			delete(t.last, name)
		}
	}
}

func (t *twin) onLink(name string, a netip.Addr) bool {
	for _, p := range t.links[name].Addrs {
		if !p.Addr().IsLinkLocalUnicast() && p.Bits() != 128 && p.Contains(a) {
			return true
		}
	}
	return false
}

func inside(p, q netip.Prefix) bool { return q.Overlaps(p) && q.Bits() <= p.Bits() }

// wanted says what the kernel should hold, in words.
func (t *twin) wanted() map[string]bool {
	w := map[string]bool{}
	for _, r := range t.routes() {
		w["route "+r.String()] = true
	}
	element := func(set Set, link, mac string, p netip.Prefix) {
		s := fmt.Sprintf("element %v %s", set, link)
		if mac != "" {
			s += " " + mac
		}
		if p.IsValid() {
			s += " " + p.String()
		}
		w[s] = true
	}
	for name, p := range t.policies {
		if p.Filter != FilterOff {
			element(Checked, name, "", netip.Prefix{})
			for _, x := range p.Permit {
				element(SourceLink, name, "", x)
			}
			for _, x := range t.routed[name] {
				if p.Routed {
					element(SourceLink, name, "", x)
				}
			}
			for _, x := range t.links[name].Addrs {
				if !x.Addr().IsLinkLocalUnicast() && x.Bits() != 128 {
					element(SourceLink, name, "", x.Masked())
				}
			}
		covered:
			for _, x := range t.covered[name] {
				for _, a := range t.links[name].Addrs {
					if !a.Addr().IsLinkLocalUnicast() && a.Bits() != 128 && inside(x.Prefix, a.Masked()) {
						continue covered
					}
				}
				for _, a := range p.Permit {
					if inside(x.Prefix, a) {
						continue covered
					}
				}
				element(SourceCovered, name, "", x.Prefix)
			}
		}
		if p.Loop != LoopForward {
			element(Hairpin, name, "", netip.Prefix{})
			for _, x := range p.LoopExempt {
				element(LoopExempt, name, "", x)
			}
			for _, x := range t.covered[name] {
				element(LoopExempt, name, "", x.Prefix)
			}
		}
		if p.Loop == LoopReject {
			element(Rejecting, name, "", netip.Prefix{})
		}
	}
	for k, l := range t.delegations {
		p, ok := t.policies[k.link]
		if !ok || k.prefix.Bits() == 128 && t.onLink(k.link, k.prefix.Addr()) || !t.proved(k, l) {
			continue
		}
		mac := l.LinkLayer.String()
		switch {
		case p.Filter == FilterStrict && mac != "":
			element(SourceStrict, k.link, mac, k.prefix)
			element(SourceKnown, k.link, "", k.prefix)
		case p.Filter != FilterOff:
			element(SourceLink, k.link, "", k.prefix)
		}
		if p.Filter == FilterLink && p.Holders && mac != "" {
			element(SourceHolder, k.link, mac, k.prefix)
		}
		if p.Loop != LoopForward && !l.LoopExempt {
			if !p.Shared || t.known(k.link).PointToPoint {
				element(LoopPoint, k.link, "", k.prefix)
			} else if mac != "" {
				element(LoopShared, k.link, mac, k.prefix)
			}
		}
	}
	return w
}

func (t *twin) routes() []Route {
	byID := map[string]Route{}
	when := map[string]int{}
	for _, a := range t.aggregates {
		r := Route{Table: a.Table, Prefix: a.Prefix, Metric: a.Metric}
		if r.Table == 0 {
			r.Table = 254
		}
		if r.Metric == 0 {
			r.Metric = 4096
		}
		byID[fmt.Sprint(r.Table, r.Prefix, r.Metric)] = r
	}
	for name, covered := range t.covered {
		if p, ok := t.policies[name]; ok {
			for _, x := range covered {
				own := t.known(name).Table
				r := Route{Table: own, Prefix: x.Prefix, Metric: 1<<32 - 1}
				thrown := r
				if p.Table != 0 && p.Table != own && !x.Reserved {
					r.Table = p.Table
				} else if thrown.Table, thrown.Link = p.Table, Throw; p.Table != 0 && p.Table != own {
					// One that is unreachable there for another link stays so.
					if at := fmt.Sprint(thrown.Table, thrown.Prefix, thrown.Metric); byID[at].Table == 0 {
						byID[at] = thrown
					}
				}
				byID[fmt.Sprint(r.Table, r.Prefix, r.Metric)] = r
			}
		}
	}
	for k, l := range t.delegations {
		p, ok := t.policies[k.link]
		if !ok || k.prefix.Bits() == 128 && t.onLink(k.link, k.prefix.Addr()) {
			continue
		}
		r := Route{Table: p.Table, Prefix: k.prefix, Metric: p.Metric}
		if r.Table == 0 {
			r.Table = t.known(k.link).Table
		}
		if r.Metric == 0 {
			r.Metric = 1024
		}
		id := fmt.Sprint(r.Table, r.Prefix, r.Metric)
		link, there := t.links[k.link]
		direct := link.PointToPoint || k.prefix.Bits() == 128
		if there && link.Up && !t.refused[k] && t.proved(k, l) && (l.NextHop.IsValid() || direct) {
			r.Link, r.Gateway = link.Index, l.NextHop
		}
		if l.when > when[id] {
			byID[id], when[id] = r, l.when
		}
	}
	var rs []Route
	for _, r := range byID {
		rs = append(rs, r)
	}
	return rs
}

// refuse marks the delegation behind r, if r is what is wanted.
func (t *twin) refuse(r Route) {
	if r.Link <= 0 || !slices.Contains(t.routes(), r) {
		return
	}
	var winner twinKey
	best := 0
	for k, l := range t.delegations {
		p, ok := t.policies[k.link]
		if !ok || k.prefix != r.Prefix || l.when < best {
			continue
		}
		table, metric := p.Table, p.Metric
		if table == 0 {
			table = t.known(k.link).Table
		}
		if metric == 0 {
			metric = 1024
		}
		if table == r.Table && metric == r.Metric && !(k.prefix.Bits() == 128 && t.onLink(k.link, k.prefix.Addr())) {
			winner, best = k, l.when
		}
	}
	t.refused[winner] = true
}
