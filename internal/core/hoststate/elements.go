package hoststate

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/wire/linkaddr"
)

// elementSets says which elements a delegation wants: of families for sources and for loops
// one each, or none (0), and the link-layer address in their keys.
type elementSets struct {
	source, loop Set
	holder       bool // SourceHolder as well
	linkLayer    linkaddr.Addr
}

// elementSets is what the delegation holds.
func (d *delegation) elementSets() elementSets {
	h := elementSets{source: d.source, loop: d.loop, holder: d.holder}
	if h.hasLinkLayer() {
		h.linkLayer = d.linkLayer
	}
	return h
}

func (h elementSets) hasLinkLayer() bool {
	return h.holder || h.source.HasLinkLayer() || h.loop.HasLinkLayer()
}

// wantsOf is the elements of one delegation. None for a link that is not
// client-facing, none for an assigned address that an on-link prefix covers
// anyway, and none while the delegation is not proved.
func (rec *link) wantsOf(d *delegation) elementSets {
	var h elementSets
	if rec.policy == nil || rec.covers(d.prefix) && !rec.onlyLeased() || !rec.proves(d) {
		return h
	}
	ethernet := d.linkLayer.Len() == 6
	switch {
	case rec.policy.Filter == FilterStrict && ethernet:
		h.source = SourceStrict
	case rec.policy.Filter != FilterOff:
		h.source = SourceLink
	}
	h.holder = h.source == SourceLink && rec.policy.Holders && ethernet
	// RFC 8987 R-5: on a multi-access link a packet loops only if it came from
	// the next hop, so without that address nothing can be told.
	switch {
	case rec.policy.Loop == LoopForward || d.exempt:
	case rec.PointToPoint || !rec.policy.Shared:
		h.loop = LoopPoint
	case ethernet:
		h.loop = LoopShared
	}
	if h.hasLinkLayer() {
		h.linkLayer = d.linkLayer
	}
	return h
}

// onlyLeased reports whether what is on the link is no good source by itself: in IPv4 it has
// to be leased.
func (rec *link) onlyLeased() bool { return rec.ipv4 && rec.policy.Filter == FilterStrict }

// covers reports whether p is one address inside an on-link prefix of the link.
func (rec *link) covers(p packed) bool {
	if p.bits != 128 {
		return false
	}
	for _, on := range rec.onLink {
		if on.Contains(p.prefix().Addr()) {
			return true
		}
	}
	return false
}

// elements appends the elements that h stands for.
func (h elementSets) elements(dst []Element, name string, p netip.Prefix) []Element {
	for _, set := range [...]Set{h.source, h.loop} {
		if set == 0 {
			continue
		}
		e := Element{Set: set, Link: name, Prefix: p}
		if set.HasLinkLayer() {
			e.LinkLayer = h.linkLayer
		}
		dst = append(dst, e)
		if set == SourceStrict {
			dst = append(dst, Element{Set: SourceKnown, Link: name, Prefix: p})
		}
	}
	if h.holder {
		dst = append(dst, Element{Set: SourceHolder, Link: name, LinkLayer: h.linkLayer, Prefix: p})
	}
	return dst
}

// changeElements changes what a delegation holds. What is new is added before what is old goes,
// so that the client's packets pass throughout. An element that the link holds
// as well, without the delegation, is left alone. Only of a delegation that is new is it known
// that its client has not used the prefix.
func (s *State) changeElements(ops []Op, rec *link, d *delegation, old, now elementSets, isNew bool) []Op {
	d.source, d.loop, d.holder = now.source, now.loop, now.holder
	if old == now {
		return ops
	}
	var a, b [4]Element
	prefix := d.prefix.prefix()
	was := old.elements(a[:0], rec.Name, prefix)
	wants := now.elements(b[:0], rec.Name, prefix)
	begin := len(ops)
	for _, e := range wants {
		if !slices.Contains(was, e) && !rec.has(e) {
			ops = s.element(ops, e, false)
		}
	}
	if isNew {
		for i := range ops[begin:] {
			ops[begin+i].Again = false
		}
	}
	for _, e := range was {
		if !slices.Contains(wants, e) && !rec.has(e) {
			ops = s.element(ops, e, true)
		}
	}
	return ops
}

// has reports whether the link holds an element of a delegation without the delegation as
// well: of the families that delegations are in, links have elements in one.
func (rec *link) has(e Element) bool { return e.Set == SourceLink && rec.static[e] }

// inUse reports whether a delegation of the link holds e.
func (s *State) inUse(rec *link, e Element) bool {
	d := s.delegations.find(spot{rec.id, pack(e.Prefix)})
	if d == nil {
		return false
	}
	var a [4]Element
	return slices.Contains(d.elementSets().elements(a[:0], rec.Name, e.Prefix), e)
}

// wantsElement reports whether e is wanted.
func (s *State) wantsElement(e Element) bool {
	rec := s.links[e.Link]
	return rec != nil && (rec.gates[e] || rec.static[e] || s.inUse(rec, e))
}

// updateLink brings everything about one link up to date. A gate has
// the packets of the link looked at: it goes before the elements that let them pass, and
// comes after them.
func (s *State) updateLink(ops []Op, rec *link) []Op {
	s.comparison.lookAgain(rec.Name)
	gates, static := rec.wants()
	for _, e := range sortedElements(rec.gates) {
		if !gates[e] {
			ops = s.element(ops, e, true)
		}
	}
	old := rec.static
	for _, e := range sortedElements(static) {
		if !old[e] && !s.inUse(rec, e) {
			ops = s.element(ops, e, false)
		}
	}
	rec.static = union(old, static)
	for _, d := range s.sorted(rec) {
		ops = s.updateDelegation(ops, rec, d, d.elementSets(), false)
	}
	rec.static = static
	for _, e := range sortedElements(old) {
		if !static[e] && !s.inUse(rec, e) {
			ops = s.element(ops, e, true)
		}
	}
	for _, e := range sortedElements(gates) {
		if !rec.gates[e] {
			ops = s.element(ops, e, false)
		}
	}
	rec.gates = gates
	return s.updateStanding(ops, rec)
}

// elements yields every element of a link once, but its gates, in order.
func (s *State) elements(rec *link) iter.Seq[Element] {
	return func(yield func(Element) bool) {
		for _, e := range sortedElements(rec.static) {
			if !yield(e) {
				return
			}
		}
		var a [4]Element
		for _, d := range s.sorted(rec) {
			for _, e := range d.elementSets().elements(a[:0], rec.Name, d.prefix.prefix()) {
				if !rec.static[e] && !yield(e) {
					return
				}
			}
		}
	}
}

// wants recomputes the on-link prefixes and the elements that no delegation is
// behind.
func (rec *link) wants() (gates, static map[Element]bool) {
	gates, static = map[Element]bool{}, map[Element]bool{}
	rec.onLink = rec.onLink[:0]
	for _, a := range rec.Addrs {
		// An address of full length says nothing of its neighbours, and a client
		// that used it as a source would be using ours.
		if !a.IsSingleIP() && !a.Addr().IsLinkLocalUnicast() {
			rec.onLink = append(rec.onLink, a.Masked())
		}
	}
	if rec.policy == nil {
		return gates, static
	}
	if rec.policy.Filter != FilterOff {
		if rec.ipv4 {
			gates[Element{Set: CheckedIPv4, Link: rec.Name}] = true
		} else {
			gates[Element{Set: Checked, Link: rec.Name}] = true
		}
		if !rec.onlyLeased() {
			rec.putAll(static, SourceLink, rec.onLink)
		}
		rec.putAll(static, SourceLink, rec.policy.Permit)
		if rec.policy.Routed {
			rec.putAll(static, SourceLink, rec.routed)
		}
		rec.putAll(static, SourceCovered, rec.foreign())
	}
	if rec.policy.Loop != LoopForward {
		gates[Element{Set: Hairpin, Link: rec.Name}] = true
		rec.putAll(static, LoopExempt, rec.policy.LoopExempt)
		rec.putAll(static, LoopExempt, prefixesOf(rec.covered))
	}
	if rec.policy.Loop == LoopReject {
		gates[Element{Set: Rejecting, Link: rec.Name}] = true
	}
	return gates, static
}

// foreign is what is covered by delegations of the link and is not on the link itself, nor
// permitted there.
func (rec *link) foreign() []netip.Prefix {
	return slices.DeleteFunc(prefixesOf(rec.covered), func(p netip.Prefix) bool {
		return slices.ContainsFunc(slices.Concat(rec.onLink, rec.policy.Permit), func(q netip.Prefix) bool {
			return q.Bits() <= p.Bits() && q.Contains(p.Addr())
		})
	})
}

func prefixesOf(covered []Covered) []netip.Prefix {
	all := make([]netip.Prefix, len(covered))
	for i, c := range covered {
		all[i] = c.Prefix
	}
	return all
}

func (rec *link) putAll(dst map[Element]bool, set Set, prefixes []netip.Prefix) {
	for _, p := range prefixes {
		if p.IsValid() && p.Addr().Is4() == rec.ipv4 {
			dst[Element{Set: set, Link: rec.Name, Prefix: p.Masked()}] = true
		}
	}
}

// updateDelegation brings one delegation, which held was, up to date. The filter lets a
// source pass before its route is there.
func (s *State) updateDelegation(ops []Op, rec *link, d *delegation, was elementSets, isNew bool) []Op {
	s.weigh(rec, d)
	ops = s.changeElements(ops, rec, d, was, rec.wantsOf(d), isNew)
	return s.wantRoute(ops, d, rec.routeOf(d))
}

func (s *State) element(ops []Op, e Element, remove bool) []Op {
	if remove {
		s.counts.Elements--
	} else {
		s.counts.Elements++
	}
	if s.silent {
		return ops
	}
	s.comparison.touchElement(e)
	if remove {
		gone := e // so that only what is asked of the kernel is on the heap
		return append(ops, Op{Remove: true, Element: &gone})
	}
	return append(ops, again(e))
}

// again is the operation that makes an element of a delegation that may have been there
// before. Whether its holder has used the prefix lately is not known then, and it counts
// as if it had.
func again(e Element) Op { return Op{Element: &e, Again: e.Set.IsTimed()} }

func union(a, b map[Element]bool) map[Element]bool {
	if len(a) == 0 {
		return b
	}
	u := maps.Clone(a)
	maps.Copy(u, b)
	return u
}
