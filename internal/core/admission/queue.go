package admission

// The classes of a Queue of the relay: what servers answer goes before what
// clients ask, since work has been done for it already. What asks for something
// that will have to be kept is held back while too much waits for that.
const (
	Answers = iota
	Clients
	Changes
)

// Bounds bound one class of a Queue, in items.
type Bounds struct {
	Total     int // at least 1
	PerSource int // 0: Total; it holds for no source that speaks for many
}

// DefaultBounds are the bounds of Answers, Clients and Changes: a few milliseconds
// of work, so that what is answered is not late.
func DefaultBounds() []Bounds {
	return []Bounds{{Total: 2048}, {Total: 1024, PerSource: 512}, {Total: 1024, PerSource: 512}}
}

// Queue is a bounded fair queue. The first class goes before the others, which take
// turns. Within a class the links take turns, within a link its sources do, and
// within a source the oldest item goes first. Where a class is full, the newest item of
// the fullest source of the fullest link is shed, be it the one that has just
// come: whoever sends most pays, and what has waited longest is answered soon.
// Of links that hold equally much, and of sources, it is the one that came to
// that last.
//
// Push and Pop take the same time however much is queued, and allocate nothing.
type Queue[T any] struct {
	key     Key
	classes []class[T]
	turn    int // the class that is asked first, after the first class
}

// NewQueue makes a queue with one class for each of the bounds.
func NewQueue[T any](key Key, classes ...Bounds) *Queue[T] {
	q := &Queue[T]{key: key, turn: 1}
	for _, b := range classes {
		q.classes = append(q.classes, newClass[T](b))
	}
	return q
}

// Push queues an item. If one had to be shed for it, or it was refused itself,
// that one is returned.
func (q *Queue[T]) Push(class, link int, s Source, item T) (shed T, dropped bool) {
	c := &q.classes[class]
	own := sourceKey{link, s}
	hash := q.key.of(link, s)
	source := c.bySource.find(hash, own)
	if source != none && !s.many && c.ofSources.holds(source) >= c.perSource {
		return item, true
	}
	if source == none {
		source = c.newSource(hash, own)
	}
	c.push(source, item)
	if c.count <= c.total {
		return shed, false
	}
	fattest := c.ofSources.most(c.links[c.ofLinks.most(c.linkRank)].rank)
	return c.take(fattest, c.waiting.tail(c.sources[fattest].items)), true
}

// Pop hands out the item whose turn it is, of classes that are not held back.
func (q *Queue[T]) Pop() (item T, ok bool) {
	if c := &q.classes[0]; c.ready() {
		return c.pop(), true
	}
	for range q.classes[1:] {
		c := &q.classes[q.turn]
		if q.turn++; q.turn == len(q.classes) {
			q.turn = 1
		}
		if c.ready() {
			return c.pop(), true
		}
	}
	return item, false
}

// Hold holds a class back, or no longer. It takes in items all the same, as many
// as it is bounded to.
func (q *Queue[T]) Hold(class int, held bool) { q.classes[class].held = held }

// Ready reports whether Pop has an item to hand out.
func (q *Queue[T]) Ready() bool {
	for i := range q.classes {
		if q.classes[i].ready() {
			return true
		}
	}
	return false
}

// Len is how many items are queued.
func (q *Queue[T]) Len() int {
	n := 0
	for i := range q.classes {
		n += q.classes[i].count
	}
	return n
}

// LenOf is how many items of a class are queued.
func (q *Queue[T]) LenOf(class int) int { return q.classes[class].count }
