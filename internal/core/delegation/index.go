package delegation

import (
	"container/heap"
	"iter"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/slab"
)

// onLink yields the slots of a link; the one that was yielded may be removed.
func (t *Table) onLink(link nameID) iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
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

// ofClient yields the slots of a client on a link; the one that was yielded may
// be removed.
func (t *Table) ofClient(link, client string) iter.Seq[*slot] {
	return t.chain(clientKey{t.names.find(link), t.names.find(client)})
}

func (t *Table) chain(k clientKey) iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for r := t.clients[k]; r != 0; {
			s := t.slots.At(r)
			r = s.sibling
			if !yield(s) {
				return
			}
		}
	}
}

// joinClient puts a slot at the end of its client's chain.
func (t *Table) joinClient(s *slot) {
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

func (t *Table) partClient(s *slot) {
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
func (t *Table) joinLink(s *slot) {
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

func (t *Table) partLink(s *slot) {
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

// expiryHeap orders slots by the end of their valid lifetimes. The ends are kept
// here as well, so that a slot is looked at only when it moves. One that is
// extended, as most are again and again, does not move at once, but when the end
// that it had before has come.
type expiryHeap struct {
	slots *slab.Slab[slot]
	due   []due
}

type due struct {
	at  instant.Instant
	ref ref
}

func (h *expiryHeap) add(s *slot) {
	s.heapIndex = int32(len(h.due))
	h.due = append(h.due, due{s.valid, s.ref})
	heap.Fix(h, int(s.heapIndex))
}

// fix takes note of a slot whose end has changed.
func (h *expiryHeap) fix(s *slot) {
	if s.valid < h.due[s.heapIndex].at {
		h.due[s.heapIndex].at = s.valid
		heap.Fix(h, int(s.heapIndex))
	}
}

// postpone moves the first to its present end; false if it has come.
func (h *expiryHeap) postpone() bool {
	at := h.slots.At(h.due[0].ref).valid
	if at == h.due[0].at {
		return false
	}
	h.due[0].at = at
	heap.Fix(h, 0)
	return true
}

func (h *expiryHeap) remove(s *slot) { heap.Remove(h, int(s.heapIndex)) }

func (h *expiryHeap) Len() int           { return len(h.due) }
func (h *expiryHeap) Less(i, j int) bool { return h.due[i].at < h.due[j].at }

func (h *expiryHeap) Swap(i, j int) {
	h.due[i], h.due[j] = h.due[j], h.due[i]
	h.slots.At(h.due[i].ref).heapIndex, h.slots.At(h.due[j].ref).heapIndex = int32(i), int32(j)
}

// Push is never called: add appends. Pop takes the last one away; who it was is
// known to remove.
func (h *expiryHeap) Push(any) {}

func (h *expiryHeap) Pop() any {
	h.due = h.due[:len(h.due)-1]
	return nil
}
