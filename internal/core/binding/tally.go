package binding

// Tally is how many holders have so many prefixes: at place n those that have n.
type Tally []int32

// step takes note that a holder had from and has to prefixes.
func (t *Tally) step(from, to int32) {
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

// Most is how many prefixes the holder has that has the most.
func (t Tally) Most() int { return max(0, len(t)-1) }

// AtLeast is how many holders have that many prefixes or more.
func (t Tally) AtLeast(limit int) (n int) {
	for i := max(1, limit); i < len(t); i++ {
		n += int(t[i])
	}
	return n
}

// Tallies are how many prefixes the clients of a link have, and the hosts behind it.
func (t *Table) Tallies(link string) (clients, hosts Tally) {
	if l := t.links[t.names.find(link)]; l != nil {
		return l.clients, l.hosts
	}
	return nil, nil
}

// countUse takes note that a prefix has come, or goes (by -1), while it is in its
// client's chain and on its link.
func (t *Table) countUse(s *Slot, by int32) {
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
