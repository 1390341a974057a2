package admission

// class is one class of a Queue: rings of groups, of the sources of each and of
// the items of each. Groups and sources are there as long as they have items.
type class[T any] struct {
	total, perSource int
	count            int
	paused           bool // nothing is popped

	nextGroup int32 // head of the ring of groups
	groupRank int32 // head of the list of groups in ofGroups

	items      []T
	groups     []queuedGroup
	sources    []queuedSource
	freeItems  pool
	freeGroups pool
	freeOnes   pool // of sources

	waiting     rings // items
	sourceRings rings // sources
	groupRings  rings

	ofGroups  ranking
	ofSources ranking
	byGroup   index[groupKey]
	bySource  index[sourceKey]
}

// groupKey tells a group: a link, or a relay agent on it.
type groupKey struct {
	link  int
	relay Source // zero: the group of those who send by themselves
}

type sourceKey struct {
	group  groupKey
	source Source
}

type queuedGroup struct {
	hash       uint64
	nextSource int32 // head of its ring of sources
	rank       int32 // head of its list in ofSources
}

type queuedSource struct {
	hash  uint64
	group int32
	items int32 // head of its ring of items, the oldest
}

func newClass[T any](b Bounds) class[T] {
	if b.PerSource == 0 {
		b.PerSource = b.Total
	}
	n := b.Total + 1 // one is shed after another was taken in
	return class[T]{
		total: b.Total, perSource: b.PerSource, nextGroup: none, groupRank: none,
		items: make([]T, n), groups: make([]queuedGroup, n), sources: make([]queuedSource, n),
		freeItems: newPool(n), freeGroups: newPool(n), freeOnes: newPool(n),
		waiting: newRings(n), sourceRings: newRings(n), groupRings: newRings(n),
		ofGroups: newRanking(n), ofSources: newRanking(n),
		byGroup: newIndex[groupKey](n), bySource: newIndex[sourceKey](n),
	}
}

// newSource makes room for a source that has nothing queued, and for its group. A new
// source, and a new group, is served after those that wait already.
func (c *class[T]) newSource(hash, groupHash uint64, key sourceKey) int32 {
	group := c.byGroup.find(groupHash, key.group)
	if group == none {
		group = c.freeGroups.take()
		c.byGroup.insert(groupHash, key.group, group)
		c.groups[group] = queuedGroup{hash: groupHash, nextSource: none, rank: none}
		c.nextGroup = c.groupRings.add(c.nextGroup, group)
	}
	id := c.freeOnes.take()
	c.bySource.insert(hash, key, id)
	c.sources[id] = queuedSource{hash: hash, group: group, items: none}
	c.groups[group].nextSource = c.sourceRings.add(c.groups[group].nextSource, id)
	return id
}

func (c *class[T]) push(source int32, item T) {
	id := c.freeItems.take()
	c.items[id] = item
	s := &c.sources[source]
	s.items = c.waiting.add(s.items, id)
	g := &c.groups[s.group]
	g.rank = c.ofSources.gain(g.rank, source)
	c.groupRank = c.ofGroups.gain(c.groupRank, s.group)
	c.count++
}

// ready reports whether there is something to pop.
func (c *class[T]) ready() bool { return c.count > 0 && !c.paused }

// pop takes the oldest item of the next source in the next group, and moves both to the end
// of their rings.
func (c *class[T]) pop() T {
	group := c.nextGroup
	source := c.groups[group].nextSource
	c.nextGroup = c.groupRings.next[group]
	c.groups[group].nextSource = c.sourceRings.next[source]
	return c.take(source, c.sources[source].items)
}

// take takes an item out, and its source and group if they are empty then.
func (c *class[T]) take(source, id int32) T {
	var nothing T
	item := c.items[id]
	c.items[id] = nothing
	c.freeItems.give(id)
	c.count--

	s := &c.sources[source]
	group := s.group
	g := &c.groups[group]
	s.items = c.waiting.remove(s.items, id)
	g.rank = c.ofSources.lose(g.rank, source)
	c.groupRank = c.ofGroups.lose(c.groupRank, group)
	if s.items != none {
		return item
	}
	c.bySource.remove(s.hash, source)
	g.nextSource = c.sourceRings.remove(g.nextSource, source)
	c.freeOnes.give(source)
	if g.nextSource == none {
		c.byGroup.remove(g.hash, group)
		c.nextGroup = c.groupRings.remove(c.nextGroup, group)
		c.freeGroups.give(group)
	}
	return item
}
