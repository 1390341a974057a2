package hoststate

import (
	"iter"
	"maps"
	"slices"
)

// Comparison is one under way: what is wanted against what the kernel was
// read to have, part by part, while the State goes on changing. What changes
// after Compare is left out: the operations about it are on their way and say
// themselves what became of them.
//
// Several States may want something of one kernel. Each is compared with the same Reading,
// one after the other: where two want one route, it is as the first of them wants it. What is
// left over then, nobody wants (Reading.LeftOver).
type Comparison struct {
	of *State

	names    names // of touched elements
	elements map[element]struct{}
	routes   map[routeID]struct{}
	lost     bool // more was touched than is remembered

	begun       bool
	links       []string  // still to be looked at
	rec         *link     // under way
	delegations []ref     // of its, still to be looked at
	ids         []routeID // of aggregates, still to be looked at
	again       map[string]struct{}
}

// maxTouched bounds what is remembered of the changes during one comparison.
const maxTouched = 1 << 18

// Compare begins a comparison, and ends the one before it. The kernel must be
// read after everything asked for until now was carried out.
func (s *State) Compare() *Comparison {
	s.comparison = &Comparison{
		of: s, elements: map[element]struct{}{}, routes: map[routeID]struct{}{}, again: map[string]struct{}{},
	}
	return s.comparison
}

func (c *Comparison) touchElement(e Element) {
	if c != nil && c.mayTouch() {
		c.elements[c.names.pack(e)] = struct{}{}
	}
}

func (c *Comparison) touchRoute(id routeID) {
	if c != nil && c.mayTouch() {
		c.routes[id] = struct{}{}
	}
}

func (c *Comparison) mayTouch() bool {
	if len(c.elements)+len(c.routes) >= maxTouched {
		c.lost = true
		c.end()
	}
	return !c.lost
}

// lookAgain takes note that a link was brought up to date. An element that a delegation held
// before may now be there for the link itself, or the other way round. Nothing is asked
// of the kernel then, so the comparison has to look at the elements of this link again.
func (c *Comparison) lookAgain(name string) {
	if c != nil && c.begun {
		c.again[name] = struct{}{}
	}
}

// adopted takes note of routes that are wanted for another reason now, for which nothing
// is asked of the kernel.
func (c *Comparison) adopted(ids []routeID) {
	if c != nil && c.begun {
		c.ids = append(c.ids, ids...)
	}
}

// end lets go of everything.
func (c *Comparison) end() {
	c.elements, c.routes, c.names = nil, nil, names{}
	if c.of.comparison == c {
		c.of.comparison = nil
	}
}

// Compares reports whether a comparison still says anything of this State: it is
// the newest, and not too much has changed since it began.
func (s *State) Compares(c *Comparison) bool { return c.of == s && s.comparison == c && !c.lost }

// Next looks at about limit things more, and appends what mends the differences
// that it finds. It makes notes in the Reading. Done says that nothing is left;
// the Comparison is over then, as it is when its State does not compare it.
func (c *Comparison) Next(ops []Op, r *Reading, limit int) (_ []Op, found []Finding, done bool) {
	if !c.of.Compares(c) {
		return ops, nil, true
	}
	p := partial{Comparison: c, r: r, ops: ops, limit: limit}
	if !c.begun {
		c.begun = true
		c.links = slices.Sorted(maps.Keys(c.of.links))
		c.ids = slices.AppendSeq(slices.Collect(maps.Keys(c.of.aggregates)), maps.Keys(c.of.standing))
	}
	if !p.wanted() {
		return p.ops, p.found, false
	}
	p.adopt()
	p.seeTouched()
	c.end()
	return p.ops, p.found, true
}

// partial is one part of a comparison.
type partial struct {
	*Comparison
	r     *Reading
	ops   []Op
	found []Finding
	limit int
}

// wanted goes through what is wanted, and reports whether that is done.
func (p *partial) wanted() (done bool) {
	for p.limit > 0 {
		switch {
		case len(p.delegations) > 0:
			p.delegation(p.of.delegations.get(p.delegations[0]))
			p.delegations = p.delegations[1:]
		case len(p.links) > 0:
			p.rec = p.of.links[p.links[0]]
			p.links = p.links[1:]
			if p.rec == nil {
				continue
			}
			p.link(p.rec)
			for d := range p.of.each(p.rec) {
				p.delegations = append(p.delegations, d.ref)
			}
		case len(p.ids) > 0:
			p.route(p.ids[0])
			p.ids = p.ids[1:]
		case len(p.again) > 0: // brought up to date after they were looked at
			p.links = slices.Sorted(maps.Keys(p.again))
			clear(p.again)
		default:
			return true
		}
	}
	return false
}

// delegation looks at what a delegation has. The link may have lost it meanwhile.
func (p *partial) delegation(d *delegation) {
	if d.ref == 0 || d.link != p.rec.id {
		return
	}
	var a [4]Element
	if p.r.elements == nil {
		p.limit-- // a delegation with neither element nor route is to count too
	} else {
		for _, e := range d.elementSets().elements(a[:0], p.rec.Name, d.prefix.prefix()) {
			p.element(e)
		}
	}
	if d.table != 0 {
		p.route(routeID{d.table, d.metric, d.prefix})
	}
}

// link looks at what a link has without delegations.
func (p *partial) link(rec *link) {
	for _, e := range sortedElements(rec.gates) {
		p.element(e)
	}
	for _, e := range sortedElements(rec.static) {
		p.element(e)
	}
}

// element looks at one wanted element; once more is no harm.
func (p *partial) element(e Element) {
	p.limit--
	if p.r.elements == nil {
		return
	}
	k := p.r.names.pack(e)
	_, there := p.r.elements[k]
	p.r.elements[k] = true
	if there || p.touched(e) {
		return
	}
	p.ops = append(p.ops, again(e))
	p.found = append(p.found, Finding{Kind: Missing, Element: &e})
}

func (p *partial) touched(e Element) bool {
	if len(p.elements) == 0 {
		return false
	}
	_, ok := p.elements[p.names.pack(e)]
	return ok
}

// route looks at one wanted route; once more is no harm.
func (p *partial) route(id routeID) {
	p.limit--
	c, wanted := p.of.routes[id]
	is, there := p.r.routes[id]
	if _, touched := p.routes[id]; !wanted || touched || is.seen {
		return
	}
	more := p.r.more[id]
	delete(p.r.more, id)
	want := reached{c.link, c.gateway, true}
	p.r.routes[id] = want
	is.seen = true
	if there && len(more) == 0 && is == want {
		return
	}
	kind := Missing
	if there {
		kind = Changed
	}
	// Of several copies one replacement mends only one.
	for _, x := range more {
		r := x.route(id)
		p.ops = append(p.ops, Op{Remove: true, Route: &r})
	}
	r := c.route(id)
	p.ops = append(p.ops, Op{Route: &r})
	p.found = append(p.found, Finding{Kind: kind, Route: &r})
}

// seeTouched has what was touched not be left over: what becomes of it is on its way.
func (p *partial) seeTouched() {
	for k := range p.elements {
		at := p.r.names.pack(p.names.unpack(k))
		if _, there := p.r.elements[at]; there {
			p.r.elements[at] = true
		}
	}
	for id := range p.routes {
		if is, there := p.r.routes[id]; there {
			is.seen = true
			p.r.routes[id] = is
		}
	}
}

// LeftOver yields what takes out of the kernel what no comparison has come by, at most limit
// things at a time. All comparisons with the Reading must be over. A State may have begun to
// want some of it since its own was: see State.Again.
func (r *Reading) LeftOver(limit int) iter.Seq[[]Op] {
	return func(yield func([]Op) bool) {
		var elements []element
		for k, seen := range r.elements {
			if !seen {
				elements = append(elements, k)
			}
		}
		for some := range slices.Chunk(elements, limit) {
			ops := make([]Op, 0, len(some))
			for _, k := range some {
				e := r.names.unpack(k)
				ops = append(ops, Op{Remove: true, Element: &e})
			}
			slices.SortFunc(ops, func(a, b Op) int { return compareElements(*a.Element, *b.Element) })
			if !yield(ops) {
				return
			}
		}
		var routes []routeID
		for id, is := range r.routes {
			if !is.seen {
				routes = append(routes, id)
			}
		}
		slices.SortFunc(routes, compareIDs)
		for some := range slices.Chunk(routes, limit) {
			var ops []Op
			for _, id := range some {
				for _, is := range append([]reached{r.routes[id]}, r.more[id]...) {
					x := is.route(id)
					ops = append(ops, Op{Remove: true, Route: &x})
				}
			}
			if !yield(ops) {
				return
			}
		}
	}
}

// Again appends what makes anew what is wanted among things that others take out of the
// kernel, or are about to. The rest of gone is not wanted.
func (s *State) Again(ops, gone []Op) (_, rest []Op) {
	for _, op := range gone {
		switch {
		case op.Route != nil && s.routes[op.Route.id()].there:
			id := op.Route.id()
			ops = s.routeOp(ops, s.routes[id].route(id), false)
		case op.Element != nil && s.wantsElement(*op.Element):
			e := *op.Element
			s.comparison.touchElement(e)
			ops = append(ops, again(e))
		default:
			rest = append(rest, op)
		}
	}
	return ops, rest
}

// CompareAll compares what is wanted with what is there, all at once, and appends
// what mends the difference, where no other State wants anything of the kernel. What it says of
// the kernel is right only if nothing was asked of the kernel since actual was read. The state
// itself does not change.
func (s *State) CompareAll(ops []Op, actual Actual) (_ []Op, found []Finding) {
	c, r := s.Compare(), Read(actual)
	for done := false; !done; {
		var more []Finding
		ops, more, done = c.Next(ops, r, 1<<20)
		found = append(found, more...)
	}
	for left := range r.LeftOver(1 << 20) {
		ops, found = append(ops, left...), append(found, LeftOvers(left)...)
	}
	return ops, found
}
