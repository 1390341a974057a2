package delegation

// tally is how many holders have so many prefixes: at place n those that have n.
type tally []int32

// step takes note that a holder had from and has to prefixes.
func (t *tally) step(from, to int32) {
	for int(max(from, to)) >= len(*t) {
		*t = append(*t, 0)
	}
	if from > 0 {
		(*t)[from]--
	}
	if to > 0 {
		(*t)[to]++
	}
	for n := len(*t); n > 0 && (*t)[n-1] == 0; n-- {
		*t = (*t)[:n-1]
	}
}

// most is how many prefixes the holder has that has the most.
func (t tally) most() int { return max(0, len(t)-1) }

// atLeast is how many holders have that many prefixes or more.
func (t tally) atLeast(limit int) (n int) {
	for i := max(1, limit); i < len(t); i++ {
		n += int(t[i])
	}
	return n
}

// Use is how far the limits of clients and hosts are used on a link: the most
// prefixes that one has, and how many have no room left.
type Use struct {
	ClientMost, ClientsFull int
	HostMost, HostsFull     int // of link-layer addresses; 0 where there is no such limit
}

// Use is how far the limits of clients and hosts are used on a link.
func (t *Table) Use(link string, p *Policy) (u Use) {
	l := t.links[t.names.find(link)]
	if l == nil {
		return u
	}
	u.ClientMost, u.ClientsFull = l.clients.most(), l.clients.atLeast(p.ClientLimit)
	if p.HostLimit > 0 {
		u.HostMost, u.HostsFull = l.hosts.most(), l.hosts.atLeast(p.HostLimit)
	}
	return u
}

// countUse takes note that a prefix has come, or goes (by -1), while it is in its
// client's chain and on its link.
func (t *Table) countUse(s *slot, by int32) {
	if s.kind != Prefix {
		return
	}
	l := t.links[s.link]
	has := int32(0)
	for r := t.clients[clientKey{s.link, s.client}]; r != 0; {
		other := t.slots.At(r)
		if r = other.sibling; other.kind == Prefix {
			has++
		}
	}
	host := int32(0)
	if s.linkLayer.IsValid() {
		host = t.hosts[hostKey{s.link, s.linkLayer, s.kind}]
	}
	if by > 0 {
		l.clients.step(has-1, has)
		l.hosts.step(max(0, host-1), host)
		return
	}
	l.clients.step(has, has-1)
	l.hosts.step(host, max(0, host-1))
}
