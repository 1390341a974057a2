package delegation

import (
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/slab"
	"fairlead/internal/wire/linkaddr"
)

// slot is what is kept of a delegation. There may be a hundred thousand and more:
// it has no pointers, so that it is small and costs the garbage collector nothing.
type slot struct {
	ref        ref
	prev, next ref // of the same link
	sibling    ref // the next of the same client on the same link
	heapIndex  int32

	link, vrf, client, server nameID
	iaid                      uint32
	prefix, nextHop           [16]byte // the unspecified address is no next hop
	linkLayer                 linkaddr.Addr
	bits                      uint8
	kind                      Kind
	source                    Source
	line                      uint32
	apart                     uint32 // Table.unchecked when it last overlapped with nobody else's

	preferred, valid instant.Instant
	lifetime         time.Duration
	granted, changed int64 // wall clock, nanoseconds
	standing         Standing
}

// ref names a slot; 0 names none.
type ref = slab.Ref

// names keeps each text once, for as long as somebody holds it.
type names struct {
	ids   map[string]nameID
	texts []name
	free  []nameID
}

type name struct {
	text  string
	held  int32
	links int32 // of a client: on how many links it holds delegations
}

// nameID names a text. The zero nameID is the empty one.
type nameID uint32

// none is the number of a text that nobody holds.
const none = ^nameID(0)

func newNames() names { return names{ids: map[string]nameID{}, texts: make([]name, 1)} }

// find is the number of a text, or none.
func (n *names) find(text string) nameID {
	if text == "" {
		return 0
	}
	if id, ok := n.ids[text]; ok {
		return id
	}
	return none
}

func (n *names) text(id nameID) string { return n.texts[id].text }

func (n *names) hold(text string) nameID {
	id := n.find(text)
	if id == none {
		if last := len(n.free) - 1; last >= 0 {
			id, n.free = n.free[last], n.free[:last]
		} else {
			id = nameID(len(n.texts))
			n.texts = append(n.texts, name{})
		}
		n.texts[id].text = text
		n.ids[text] = id
	}
	n.texts[id].held++
	return id
}

func (n *names) release(id nameID) {
	if n.texts[id].held--; n.texts[id].held > 0 || id == 0 {
		return
	}
	delete(n.ids, n.texts[id].text)
	n.texts[id] = name{}
	n.free = append(n.free, id)
}

// entry is a delegation as it is in the table.
type entry struct {
	Delegation
	ref ref
}

// is reports whether two entries are one; old may be nil.
func (e *entry) is(old *entry) bool { return old != nil && e.ref == old.ref }

func (t *Table) entry(r ref) *entry { return &entry{t.read(t.slots.At(r)), r} }

// fill writes a delegation into a slot.
func (t *Table) fill(s *slot, d *Delegation) {
	s.link, s.vrf, s.client, s.server = t.names.hold(d.Link), t.names.hold(d.VRF), t.names.hold(d.Client), t.names.hold(d.Server)
	t.fillRest(s, d)
}

// fillRest writes what is no text.
func (t *Table) fillRest(s *slot, d *Delegation) {
	s.iaid, s.linkLayer, s.line, s.kind, s.source = d.IAID, d.LinkLayer, d.Line, d.Kind, d.Source
	s.prefix, s.bits, s.nextHop = d.Prefix.Addr().As16(), uint8(d.Prefix.Bits()), d.NextHop.As16()
	s.preferred, s.valid, s.lifetime = d.Preferred, d.Valid, d.Lifetime
	s.granted, s.changed = wallNanos(d.Granted), wallNanos(d.Changed)
	s.standing = d.Standing
	if d.Exclude.IsValid() {
		t.excluded[s.ref] = d.Exclude
	} else {
		delete(t.excluded, s.ref)
	}
}

// letGo lets go of what fill took.
func (t *Table) letGo(s *slot) {
	for _, id := range [...]nameID{s.link, s.vrf, s.client, s.server} {
		t.names.release(id)
	}
}

// read is what a slot holds.
func (t *Table) read(s *slot) Delegation {
	return Delegation{
		Link: t.names.text(s.link), VRF: t.names.text(s.vrf), Prefix: s.where(), Kind: s.kind,
		Client: t.names.text(s.client), IAID: s.iaid, NextHop: s.hopAddr(), LinkLayer: s.linkLayer, Line: s.line, Exclude: t.excluded[s.ref],
		Preferred: s.preferred, Valid: s.valid, Lifetime: s.lifetime,
		Server: t.names.text(s.server), Source: s.source,
		Granted: nanosWall(s.granted), Changed: nanosWall(s.changed),
		Standing: s.standing,
	}
}

func (s *slot) where() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16(s.prefix), int(s.bits))
}

func (s *slot) hopAddr() netip.Addr {
	if s.nextHop == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(s.nextHop)
}
