package admission

// The classes of a relay's Queue. Servers' answers go before clients' requests, since the
// relay has done work for them already. Requests that will lead to a write into the store
// are held back while too many writes are under way.
const (
	Answers = iota
	Clients
	Changes
)

// Bounds bound one class of a Queue, in items.
type Bounds struct {
	Total     int // at least 1
	PerSource int // 0: Total; not for a source that speaks for many
}

// DefaultBounds are the bounds of Answers, Clients and Changes: a few milliseconds of
// work, so that no answer is late.
func DefaultBounds() []Bounds {
	return []Bounds{{Total: 2048}, {Total: 1024, PerSource: 512}, {Total: 1024, PerSource: 512}}
}

// Queue is a bounded fair queue. The first class goes before the others, which take turns.
// A class has groups: each link is one, and each relay agent that says for whom it speaks.
// Within a class the groups take turns, within a group its sources do, and within a source
// the oldest item goes first. Where a class is full, the group with the most items loses
// the newest item of its source with the most items, even if that is the item just pushed.
// So the heaviest sender pays, and the items that have waited longest are served soon. Of
// groups, and of sources, with equally many items, the one that reached that number last
// loses.
//
// Push and Pop take the same time however much is queued, and allocate nothing.
type Queue[T any] struct {
	key       Key
	classes   []class[T]
	nextClass int // the class that is asked first, after the first class
}

// NewQueue makes a queue with one class for each of the bounds.
func NewQueue[T any](key Key, classes ...Bounds) *Queue[T] {
	q := &Queue[T]{key: key, nextClass: 1}
	for _, b := range classes {
		q.classes = append(q.classes, newClass[T](b))
	}
	return q
}

// Push queues an item from the sender s. If s is a relay agent that tells for which client it
// speaks, that client is the source; else client is the zero Source. Push returns the item that
// was shed, if any: another one, or this one.
func (q *Queue[T]) Push(class, link int, s, client Source, item T) (shed T, dropped bool) {
	c := &q.classes[class]
	group, groupHash := groupKey{link: link}, uint64(link) // the kernel numbers the links: their hash needs no secret
	if client != (Source{}) {
		group, groupHash, s = groupKey{link, s}, q.key.of(link, s), client
	}
	own, hash := sourceKey{group, s}, q.key.sum(groupHash, s.high, s.low)
	source := c.bySource.find(hash, own)
	if source != none && !s.many && c.ofSources.amountOf(source) >= c.perSource {
		return item, true
	}
	if source == none {
		source = c.newSource(hash, groupHash, own)
	}
	c.push(source, item)
	if c.count <= c.total {
		return shed, false
	}
	fattest := c.ofSources.most(c.groups[c.ofGroups.most(c.groupRank)].rank)
	return c.take(fattest, c.waiting.tail(c.sources[fattest].items)), true
}

// Pop returns the next item of the classes that are not held back.
func (q *Queue[T]) Pop() (item T, ok bool) {
	if c := &q.classes[0]; c.ready() {
		return c.pop(), true
	}
	for range q.classes[1:] {
		c := &q.classes[q.nextClass]
		if q.nextClass++; q.nextClass == len(q.classes) {
			q.nextClass = 1
		}
		if c.ready() {
			return c.pop(), true
		}
	}
	return item, false
}

// Pause stops or goes on handing out of a class. A class that is paused still takes
// items in, up to its bound.
func (q *Queue[T]) Pause(class int, paused bool) { q.classes[class].paused = paused }

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
