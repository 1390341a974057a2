package binding

import (
	"container/heap"
	"iter"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/slab"
	"fairlead/internal/wire/linkaddr"
)

// Slots are the bindings of one link. The loop's body may remove the binding that it was
// given.
func (t *Table) Slots(link string) iter.Seq[*Slot] { return t.onLink(t.names.find(link)) }

func (t *Table) onLink(link nameID) iter.Seq[*Slot] {
	return func(yield func(*Slot) bool) {
		l := t.links[link]
		if l == nil {
			return
		}
		for r := l.head; r != 0; {
			s := t.slots.At(r)
			r = s.next
			if !yield(s) {
				return
			}
		}
	}
}

// SlotsOf are the bindings that a client has on one link. The loop's body may remove the
// binding that it was given.
func (t *Table) SlotsOf(link string, c Client) iter.Seq[*Slot] {
	return t.slotsOf(t.Holder(link, c))
}

func (t *Table) slotsOf(h Holder) iter.Seq[*Slot] {
	return func(yield func(*Slot) bool) {
		for s := t.First(h); s != nil; {
			next := t.Next(s)
			if !yield(s) {
				return
			}
			s = next
		}
	}
}

// First is the first binding of a holder, and Next the one after that; nil where there is
// none. They are for where an iterator would allocate.
func (t *Table) First(h Holder) *Slot { return t.slot(t.clients[h.clientKey]) }

// Next is described at First.
func (t *Table) Next(s *Slot) *Slot { return t.slot(s.sibling) }

func (t *Table) slot(r ref) *Slot {
	if r == 0 {
		return nil
	}
	return t.slots.At(r)
}

// SlotsAnywhere are the bindings that a client has on all links, in no order.
func (t *Table) SlotsAnywhere(c Client) iter.Seq[*Slot] {
	return func(yield func(*Slot) bool) {
		if t.LinksOf(c) == 0 {
			return
		}
		client := t.names.find(c.octets)
		for link := range t.links {
			for s := range t.slotsOf(Holder{clientKey{link, client}}) {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// LinksOf is on how many links a client has bindings.
func (t *Table) LinksOf(c Client) int {
	if id := t.names.find(c.octets); id != none {
		return int(t.names.texts[id].links)
	}
	return 0
}

// Holder is a client on a link by the table's own numbers, for a fast comparison with many
// bindings.
type Holder struct{ clientKey }

// Holder is the value for a client on a link. The client need not have a binding.
func (t *Table) Holder(link string, c Client) Holder {
	return Holder{clientKey{t.names.find(link), t.names.find(c.octets)}}
}

// HolderBy is Holder for a client that is known by an identifier of a kind. It needs no memory.
func (t *Table) HolderBy(link string, k ClientKind, identifier []byte) Holder {
	var room [1 + stackID]byte
	id, known := t.names.ids[string(append(append(room[:0], byte(k)), identifier...))]
	if !known {
		id = none
	}
	return Holder{clientKey{t.names.find(link), id}}
}

// Has reports whether a binding is the holder's.
func (h Holder) Has(s *Slot) bool { return h.clientKey == clientKey{s.link, s.client} }

// HostLen is how many bindings of a kind a link has behind a link-layer address.
func (t *Table) HostLen(link string, host linkaddr.Addr, k Kind) int {
	return int(t.hosts[hostKey{t.names.find(link), host, k}])
}

// joinClient puts a slot at the end of its client's chain.
func (t *Table) joinClient(s *Slot) {
	k := clientKey{s.link, s.client}
	r := t.clients[k]
	if r == 0 {
		t.clients[k] = s.ref
		t.names.texts[s.client].links++
		return
	}
	last := t.slots.At(r)
	for last.sibling != 0 {
		last = t.slots.At(last.sibling)
	}
	last.sibling = s.ref
}

func (t *Table) partClient(s *Slot) {
	k := clientKey{s.link, s.client}
	switch {
	case t.clients[k] != s.ref:
		before := t.slots.At(t.clients[k])
		for before.sibling != s.ref {
			before = t.slots.At(before.sibling)
		}
		before.sibling = s.sibling
	case s.sibling != 0:
		t.clients[k] = s.sibling
	default:
		delete(t.clients, k)
		t.names.texts[s.client].links--
	}
}

// joinLink puts a slot at the head of its link's chain.
func (t *Table) joinLink(s *Slot) {
	l := t.links[s.link]
	if l == nil {
		l = new(linkState)
		t.links[s.link] = l
	}
	if s.next = l.head; s.next != 0 {
		t.slots.At(s.next).prev = s.ref
	}
	l.head = s.ref
	l.count[s.kind]++
}

func (t *Table) partLink(s *Slot) {
	l := t.links[s.link]
	if s.prev != 0 {
		t.slots.At(s.prev).next = s.next
	} else {
		l.head = s.next
	}
	if s.next != 0 {
		t.slots.At(s.next).prev = s.prev
	}
	if l.count[s.kind]--; l.head == 0 {
		delete(t.links, s.link)
	}
}

// expiryHeap orders slots by the end of their valid lifetimes. It has a copy of each end,
// so that a slot is read only when it moves. A slot that is extended does not move at
// once, but only when its former end has come: most slots are extended again and again.
type expiryHeap struct {
	slots *slab.Slab[Slot]
	due   []due
}

type due struct {
	at  instant.Instant
	ref ref
}

func (h *expiryHeap) add(s *Slot) {
	s.heapIndex = int32(len(h.due))
	h.due = append(h.due, due{s.valid, s.ref})
	heap.Fix(h, int(s.heapIndex))
}

// fix takes note of a slot whose end has changed.
func (h *expiryHeap) fix(s *Slot) {
	if s.valid < h.due[s.heapIndex].at {
		h.due[s.heapIndex].at = s.valid
		heap.Fix(h, int(s.heapIndex))
	}
}

// postpone moves the first slot to its present end; false if that has come.
func (h *expiryHeap) postpone() bool {
	at := h.slots.At(h.due[0].ref).valid
	if at == h.due[0].at {
		return false
	}
	h.due[0].at = at
	heap.Fix(h, 0)
	return true
}

func (h *expiryHeap) remove(s *Slot) { heap.Remove(h, int(s.heapIndex)) }

func (h *expiryHeap) Len() int           { return len(h.due) }
func (h *expiryHeap) Less(i, j int) bool { return h.due[i].at < h.due[j].at }

func (h *expiryHeap) Swap(i, j int) {
	h.due[i], h.due[j] = h.due[j], h.due[i]
	h.slots.At(h.due[i].ref).heapIndex, h.slots.At(h.due[j].ref).heapIndex = int32(i), int32(j)
}

// Push is never called: add appends. Pop shortens the heap by its last slot, which remove
// knows already.
func (h *expiryHeap) Push(any) {}

func (h *expiryHeap) Pop() any {
	h.due = h.due[:len(h.due)-1]
	return nil
}
