package loadgen

// client is the state of one client.
type client struct {
	held    binding
	server  uint8  // the server that granted, as an index of Engine.servers
	queued  bool   // it is in pool.fresh
	holding bool   // it is in pool.holders
	place   uint32 // its index in pool.holders
}

// pool says which client may do what. Here clients are counted from 0.
type pool struct {
	clients []client
	next    int // the next client of all, round robin

	// Clients without a lease wait in a ring. A client that is granted a lease while it waits
	// keeps its place, and is skipped while it holds the lease.
	fresh      []uint32
	first, len int

	holders    []uint32
	nextHolder int // the next of the holders, round robin
}

func newPool(clients int) pool {
	return pool{
		clients: make([]client, clients),
		fresh:   make([]uint32, clients),
		holders: make([]uint32, 0, clients),
	}
}

// anyone returns the next client of all.
func (p *pool) anyone() uint32 {
	n := p.next
	if p.next++; p.next == len(p.clients) {
		p.next = 0
	}
	return uint32(n)
}

// waiting puts a client without a lease at the end of the ring.
func (p *pool) waiting(n uint32) {
	c := &p.clients[n]
	if c.queued || c.holding {
		return
	}
	c.queued = true
	p.fresh[(p.first+p.len)%len(p.fresh)] = n
	p.len++
}

// newcomer takes the next client without a lease out of the ring. The client is not chosen again
// until it holds a lease, or is put back by waiting.
func (p *pool) newcomer() (uint32, bool) {
	for p.len > 0 {
		n := p.fresh[p.first]
		p.first = (p.first + 1) % len(p.fresh)
		p.len--
		p.clients[n].queued = false
		if !p.clients[n].holding {
			return n, true
		}
	}
	return 0, false
}

// holder returns the next of the clients that hold a lease.
func (p *pool) holder() (uint32, bool) {
	if len(p.holders) == 0 {
		return 0, false
	}
	if p.nextHolder >= len(p.holders) {
		p.nextHolder = 0
	}
	n := p.holders[p.nextHolder]
	p.nextHolder++
	return n, true
}

// hold notes what a client was granted.
func (p *pool) hold(n uint32, b binding, server uint8) {
	c := &p.clients[n]
	c.held, c.server = b, server
	if c.holding {
		return
	}
	c.holding, c.place = true, uint32(len(p.holders))
	p.holders = append(p.holders, n)
}

// drop takes a client's lease away.
func (p *pool) drop(n uint32) {
	c := &p.clients[n]
	if !c.holding {
		return
	}
	last := p.holders[len(p.holders)-1]
	p.holders[c.place] = last
	p.clients[last].place = c.place
	p.holders = p.holders[:len(p.holders)-1]
	c.holding, c.held = false, binding{}
}
