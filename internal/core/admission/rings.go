package admission

// none is no element.
const none int32 = -1

// rings are circular lists of elements with numbers below a bound, each element in one
// ring at most. The owner of a ring remembers its head; the element before the head is the
// tail.
type rings struct{ next, prev []int32 }

func newRings(n int) rings {
	links := make([]int32, 2*n)
	return rings{links[:n:n], links[n:]}
}

// tail is the last element of a ring that is not empty.
func (r *rings) tail(head int32) int32 { return r.prev[head] }

// add puts an element at the tail and returns the head.
func (r *rings) add(head, id int32) int32 {
	if head == none {
		r.next[id], r.prev[id] = id, id
		return id
	}
	tail := r.prev[head]
	r.next[id], r.prev[id] = head, tail
	r.next[tail], r.prev[head] = id, id
	return head
}

// remove takes an element out and returns the head.
func (r *rings) remove(head, id int32) int32 {
	next, prev := r.next[id], r.prev[id]
	if next == id {
		return none
	}
	r.next[prev], r.prev[next] = next, prev
	if head == id {
		return next
	}
	return head
}

// pool hands out the numbers below a bound.
type pool []int32

func newPool(n int) pool {
	p := make(pool, n)
	for i := range p {
		p[i] = int32(n - 1 - i)
	}
	return p
}

func (p *pool) take() int32 {
	last := len(*p) - 1
	id := (*p)[last]
	*p = (*p)[:last]
	return id
}

func (p *pool) give(id int32) { *p = append(*p, id) }

// index finds elements by key, in chains behind a table of heads.
type index[K comparable] struct {
	heads []int32 // a power of two
	next  []int32 // by element
	keys  []K     // by element
}

func newIndex[K comparable](n int) index[K] {
	size := 1
	for size < 2*n {
		size *= 2
	}
	x := index[K]{heads: make([]int32, size), next: make([]int32, n), keys: make([]K, n)}
	for i := range x.heads {
		x.heads[i] = none
	}
	return x
}

func (x *index[K]) head(hash uint64) *int32 { return &x.heads[hash&uint64(len(x.heads)-1)] }

func (x *index[K]) find(hash uint64, key K) int32 {
	id := *x.head(hash)
	for id != none && x.keys[id] != key {
		id = x.next[id]
	}
	return id
}

func (x *index[K]) insert(hash uint64, key K, id int32) {
	head := x.head(hash)
	x.keys[id], x.next[id] = key, *head
	*head = id
}

func (x *index[K]) remove(hash uint64, id int32) {
	at := x.head(hash)
	for *at != id {
		at = &x.next[*at]
	}
	*at = x.next[id]
}
