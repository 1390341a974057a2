package hoststate

import (
	"maps"
	"slices"
)

// Comparison is an audit under way: what is wanted against what the kernel was
// read to have, part by part, while the State goes on changing. What changes
// after Compare is left out: the operations about it are on their way and say
// themselves what became of them.
type Comparison struct {
	of *State

	names    names // of touched elements
	elements map[element]struct{}
	routes   map[routeID]struct{}
	lost     bool // more was touched than is remembered

	begun bool
	links []string // still to be looked at
	rec   *link    // under way
	left  []ref    // of its leases, still to be looked at
	ids   []routeID
}

// maxTouched bounds what is remembered of the changes during one comparison.
const maxTouched = 1 << 18

// Compare begins a comparison, and ends the one before it. The kernel must be
// read after everything asked for until now was carried out.
func (s *State) Compare() *Comparison {
	s.comparison = &Comparison{of: s, elements: map[element]struct{}{}, routes: map[routeID]struct{}{}}
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

// end lets go of everything.
func (c *Comparison) end() {
	c.elements, c.routes, c.names = nil, nil, names{}
	if c.of.comparison == c {
		c.of.comparison = nil
	}
}

// Valid reports whether the comparison still says anything: it is the newest of
// its State, and not too much has changed meanwhile.
func (c *Comparison) Valid() bool { return !c.lost && c.of.comparison == c }

// Next looks at about limit things more, and appends what mends the differences
// that it finds. It takes out of the Reading what it has looked at. Done says
// that nothing is left; the Comparison is over then, as it is when it is not
// Valid.
func (c *Comparison) Next(ops []Op, r *Reading, limit int) (_ []Op, found []Finding, done bool) {
	if !c.Valid() {
		return ops, nil, true
	}
	if !c.begun {
		c.begun = true
		c.links = slices.Sorted(maps.Keys(c.of.links))
		for id := range c.of.aggregates {
			c.ids = append(c.ids, id)
		}
	}
	p := partial{Comparison: c, r: r, ops: ops, limit: limit}
	p.wanted()
	if p.limit > 0 {
		p.leftElements()
		p.leftRoutes()
	}
	if p.limit > 0 {
		c.end()
	}
	return p.ops, p.found, p.limit > 0
}

// partial is one part of a comparison.
type partial struct {
	*Comparison
	r     *Reading
	ops   []Op
	found []Finding
	limit int
}

// wanted goes through what is wanted.
func (p *partial) wanted() {
	var a [4]Element
	for p.limit > 0 {
		switch {
		case len(p.left) > 0:
			le := p.of.leases.get(p.left[0])
			p.left = p.left[1:]
			if le.ref == 0 || le.link != p.rec.id {
				continue // gone meanwhile
			}
			for _, e := range le.holding().elements(a[:0], p.rec.Name, le.prefix.prefix()) {
				if !p.rec.static[e] {
					p.element(e)
				}
			}
			if id := (routeID{le.table, le.metric, le.prefix}); le.table != 0 && p.of.winner(p.of.routes[id]) == le {
				p.route(id)
			}
		case len(p.links) > 0:
			p.rec = p.of.links[p.links[0]]
			p.links = p.links[1:]
			if p.rec != nil {
				p.link()
			}
		case len(p.ids) > 0:
			id := p.ids[0]
			p.ids = p.ids[1:]
			if c, ok := p.of.routes[id]; ok && c.by == 0 {
				p.route(id)
			}
		default:
			return
		}
	}
}

// link looks at what a link has without leases, and lines these up.
func (p *partial) link() {
	for _, e := range sortedElements(p.rec.gates) {
		p.element(e)
	}
	for _, e := range sortedElements(p.rec.static) {
		p.element(e)
	}
	for _, le := range p.of.sorted(p.rec) {
		p.left = append(p.left, le.ref)
	}
}

// element looks at one wanted element.
func (p *partial) element(e Element) {
	p.limit--
	k := p.r.names.pack(e)
	_, there := p.r.elements[k]
	delete(p.r.elements, k)
	if there || p.touched(e) {
		return
	}
	p.ops = append(p.ops, Op{Element: &e})
	p.found = append(p.found, Finding{Kind: Missing, Element: &e})
}

func (p *partial) touched(e Element) bool {
	_, ok := p.elements[p.names.pack(e)]
	return ok
}

// route looks at one wanted route.
func (p *partial) route(id routeID) {
	p.limit--
	c := p.of.routes[id]
	is, there := p.r.routes[id]
	more := p.r.more[id]
	delete(p.r.routes, id)
	delete(p.r.more, id)
	if _, touched := p.routes[id]; touched {
		return
	}
	if there && len(more) == 0 && is == (reached{c.link, c.gateway}) {
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

// leftElements deals with elements that nobody wants.
func (p *partial) leftElements() {
	var left []Element
	for k := range p.r.elements {
		if p.limit <= 0 {
			break
		}
		p.limit--
		delete(p.r.elements, k)
		if e := p.r.names.unpack(k); !p.touched(e) {
			left = append(left, e)
		}
	}
	slices.SortFunc(left, compareElements)
	for _, e := range left {
		p.ops = append(p.ops, Op{Remove: true, Element: &e})
		p.found = append(p.found, Finding{Kind: LeftOver, Element: &e})
	}
}

// leftRoutes deals with routes that nobody wants.
func (p *partial) leftRoutes() {
	var left []routeID
	for id := range p.r.routes {
		if p.limit <= 0 {
			break
		}
		p.limit--
		left = append(left, id)
	}
	slices.SortFunc(left, compareIDs)
	for _, id := range left {
		all := append([]reached{p.r.routes[id]}, p.r.more[id]...)
		delete(p.r.routes, id)
		delete(p.r.more, id)
		if _, touched := p.routes[id]; touched {
			continue
		}
		for _, x := range all {
			r := x.route(id)
			p.ops = append(p.ops, Op{Remove: true, Route: &r})
			p.found = append(p.found, Finding{Kind: LeftOver, Route: &r})
		}
	}
}

// Audit compares what is wanted with what is there, all at once, and appends
// what mends the difference. What it says of the kernel is right only if nothing
// was asked of the kernel since actual was read. The state itself does not
// change.
func (s *State) Audit(ops []Op, actual Actual) (_ []Op, found []Finding) {
	c, r := s.Compare(), Read(actual)
	for done := false; !done; {
		var more []Finding
		ops, more, done = c.Next(ops, r, 1<<20)
		found = append(found, more...)
	}
	return ops, found
}
