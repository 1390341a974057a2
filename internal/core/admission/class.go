package admission

// class is one class of a Queue: rings of links, of the sources of each and of
// the items of each. Links and sources are there as long as they have items.
type class[T any] struct {
	total, perSource int
	count            int
	paused           bool // nothing is popped

	nextLink int32 // head of the ring of links
	linkRank int32 // head of the list of links in ofLinks

	items     []T
	links     []queuedLink
	sources   []queuedSource
	freeItems pool
	freeLinks pool
	freeOnes  pool // of sources

	waiting     rings // items
	sourceRings rings // sources
	linkRings   rings

	ofLinks   ranking
	ofSources ranking
	byLink    index[int]
	bySource  index[sourceKey]
}

type sourceKey struct {
	link   int
	source Source
}

type queuedLink struct {
	nextSource int32 // head of its ring of sources
	rank       int32 // head of its list in ofSources
}

type queuedSource struct {
	hash  uint64
	link  int32
	items int32 // head of its ring of items, the oldest
}

func newClass[T any](b Bounds) class[T] {
	if b.PerSource == 0 {
		b.PerSource = b.Total
	}
	n := b.Total + 1 // one is shed after another was taken in
	return class[T]{
		total: b.Total, perSource: b.PerSource, nextLink: none, linkRank: none,
		items: make([]T, n), links: make([]queuedLink, n), sources: make([]queuedSource, n),
		freeItems: newPool(n), freeLinks: newPool(n), freeOnes: newPool(n),
		waiting: newRings(n), sourceRings: newRings(n), linkRings: newRings(n),
		ofLinks: newRanking(n), ofSources: newRanking(n),
		byLink: newIndex[int](n), bySource: newIndex[sourceKey](n),
	}
}

// newSource makes room for a source that has nothing queued, and for its link. A new
// source, and a new link, is served after those that wait already.
func (c *class[T]) newSource(hash uint64, key sourceKey) int32 {
	link := c.byLink.find(linkHash(key.link), key.link)
	if link == none {
		link = c.freeLinks.take()
		c.byLink.insert(linkHash(key.link), key.link, link)
		c.links[link] = queuedLink{nextSource: none, rank: none}
		c.nextLink = c.linkRings.add(c.nextLink, link)
	}
	id := c.freeOnes.take()
	c.bySource.insert(hash, key, id)
	c.sources[id] = queuedSource{hash: hash, link: link, items: none}
	c.links[link].nextSource = c.sourceRings.add(c.links[link].nextSource, id)
	return id
}

// linkHash needs no key: the kernel numbers the links.
func linkHash(link int) uint64 { return uint64(link) }

func (c *class[T]) push(source int32, item T) {
	id := c.freeItems.take()
	c.items[id] = item
	s := &c.sources[source]
	s.items = c.waiting.add(s.items, id)
	l := &c.links[s.link]
	l.rank = c.ofSources.gain(l.rank, source)
	c.linkRank = c.ofLinks.gain(c.linkRank, s.link)
	c.count++
}

// ready reports whether there is something to pop.
func (c *class[T]) ready() bool { return c.count > 0 && !c.paused }

// pop takes the oldest item of the next source on the next link, and moves both to the end
// of their rings.
func (c *class[T]) pop() T {
	link := c.nextLink
	source := c.links[link].nextSource
	c.nextLink = c.linkRings.next[link]
	c.links[link].nextSource = c.sourceRings.next[source]
	return c.take(source, c.sources[source].items)
}

// take takes an item out, and its source and link if they are empty then.
func (c *class[T]) take(source, id int32) T {
	var nothing T
	item := c.items[id]
	c.items[id] = nothing
	c.freeItems.give(id)
	c.count--

	s := &c.sources[source]
	link := s.link
	l := &c.links[link]
	s.items = c.waiting.remove(s.items, id)
	l.rank = c.ofSources.lose(l.rank, source)
	c.linkRank = c.ofLinks.lose(c.linkRank, link)
	if s.items != none {
		return item
	}
	c.bySource.remove(s.hash, source)
	l.nextSource = c.sourceRings.remove(l.nextSource, source)
	c.freeOnes.give(source)
	if l.nextSource == none {
		c.byLink.remove(linkHash(c.byLink.keys[link]), link)
		c.nextLink = c.linkRings.remove(c.nextLink, link)
		c.freeLinks.give(link)
	}
	return item
}
