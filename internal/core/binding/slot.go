package binding

import (
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/slab"
	"fairlead/internal/wire/linkaddr"
)

// Slot is a binding in a table, for reading without a copy. It is valid until the binding
// is removed. There may be a hundred thousand and more: a Slot has no pointers, so that it
// is small and costs the garbage collector nothing.
type Slot struct {
	ref        ref
	prev, next ref // of the same link
	sibling    ref // the next of the same client on the same link
	heapIndex  int32

	link, vrf, client, server nameID
	iaid                      uint32
	noIAID, reconfigures      bool
	prefix, nextHop           [16]byte // the unspecified address is no next hop
	linkLayer                 linkaddr.Addr
	bits                      uint8
	kind                      Kind
	source                    Source
	line                      uint32

	// Apart is the value of Table.Unchecked when the binding was last found to overlap with no
	// binding of another holder.
	Apart uint32

	preferred, valid instant.Instant
	lifetime         time.Duration
	granted, changed int64 // wall clock, nanoseconds
	Standing         Standing
}

// ref names a slot; 0 names none.
type ref = slab.Ref

// names has each text once, for as long as a slot or client refers to it.
type names struct {
	ids   map[string]nameID
	texts []name
	free  []nameID
}

type name struct {
	text  string
	uses  int32
	links int32 // of a client: on how many links it has bindings
}

// nameID names a text. The zero nameID is the empty one.
type nameID uint32

// none is the number of a text that names does not have.
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

func (n *names) acquire(text string) nameID {
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
	n.texts[id].uses++
	return id
}

func (n *names) release(id nameID) {
	if n.texts[id].uses--; n.texts[id].uses > 0 || id == 0 {
		return
	}
	delete(n.ids, n.texts[id].text)
	n.texts[id] = name{}
	n.free = append(n.free, id)
}

// fill writes a binding into a slot.
func (t *Table) fill(s *Slot, d *Binding) {
	s.link, s.vrf, s.client, s.server = t.names.acquire(d.Link), t.names.acquire(d.VRF), t.names.acquire(d.Client.octets), t.names.acquire(d.Server)
	t.fillRest(s, d)
}

// fillRest writes the fields that are not texts.
func (t *Table) fillRest(s *Slot, d *Binding) {
	s.iaid, s.noIAID, s.reconfigures, s.linkLayer, s.line, s.kind, s.source = d.IAID, d.NoIAID, d.Reconfigures, d.LinkLayer, d.Line, d.Kind, d.Source
	s.prefix, s.bits, s.nextHop = d.Prefix.Addr().As16(), uint8(d.Prefix.Bits()), d.NextHop.As16()
	s.preferred, s.valid, s.lifetime = d.Preferred, d.Valid, d.Lifetime
	s.granted, s.changed = wallNanos(d.Granted), wallNanos(d.Changed)
	s.Standing = d.Standing
	if d.Exclude.IsValid() {
		t.excluded[s.ref] = d.Exclude
	} else {
		delete(t.excluded, s.ref)
	}
}

// letGo gives back the texts that fill took.
func (t *Table) letGo(s *Slot) {
	for _, id := range [...]nameID{s.link, s.vrf, s.client, s.server} {
		t.names.release(id)
	}
}

// Read is the binding in a slot.
func (t *Table) Read(s *Slot) Binding {
	return Binding{
		Link: t.names.text(s.link), VRF: t.names.text(s.vrf), Prefix: s.Prefix(), Kind: s.kind,
		Client: Client{t.names.text(s.client)}, IAID: s.iaid, NoIAID: s.noIAID, Reconfigures: s.reconfigures, NextHop: s.NextHop(), LinkLayer: s.linkLayer, Line: s.line, Exclude: t.excluded[s.ref],
		Preferred: s.preferred, Valid: s.valid, Lifetime: s.lifetime,
		Server: t.names.text(s.server), Source: s.source,
		Granted: nanosWall(s.granted), Changed: nanosWall(s.changed),
		Standing: s.Standing,
	}
}

// Link is the link of a binding.
func (t *Table) Link(s *Slot) string { return t.names.text(s.link) }

// Client is the client of a binding.
func (t *Table) Client(s *Slot) Client { return Client{t.names.text(s.client)} }

// Server is the peer that a binding came through.
func (t *Table) Server(s *Slot) string { return t.names.text(s.server) }

// Exclude is the part of the prefix that is not delegated (RFC 6603), or the zero prefix.
func (t *Table) Exclude(s *Slot) netip.Prefix { return t.excluded[s.ref] }

// Prefix is the prefix of the binding.
func (s *Slot) Prefix() netip.Prefix { return prefixOf(s.prefix, s.bits) }

// Kind tells a prefix from an address.
func (s *Slot) Kind() Kind { return s.kind }

// NextHop is where the client's messages come from, or the zero address.
func (s *Slot) NextHop() netip.Addr {
	if s.nextHop == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(s.nextHop).Unmap()
}

// LinkLayer is the link-layer address of the next hop, where it is known.
func (s *Slot) LinkLayer() linkaddr.Addr { return s.linkLayer }

// IAID is the number of the IA; known is false where no message has named it.
func (s *Slot) IAID() (iaid uint32, known bool) { return s.iaid, !s.noIAID }

// Reconfigures reports whether the client accepts Reconfigures.
func (s *Slot) Reconfigures() bool { return s.reconfigures }

// Valid is when the valid lifetime ends.
func (s *Slot) Valid() instant.Instant { return s.valid }
