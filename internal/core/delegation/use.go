package delegation

// Use is how far the limits of clients and hosts are used on a link: the most
// prefixes that one has, and how many have no room left.
type Use struct {
	ClientMost, ClientsFull int
	HostMost, HostsFull     int // of link-layer addresses; 0 where there is no such limit
}

// Use is how far the limits of clients and hosts are used on a link.
func (t *Table) Use(link string, p *Policy) (u Use) {
	clients, hosts := t.Tallies(link)
	u.ClientMost, u.ClientsFull = clients.Most(), clients.AtLeast(p.ClientLimit)
	if p.HostLimit > 0 {
		u.HostMost, u.HostsFull = hosts.Most(), hosts.AtLeast(p.HostLimit)
	}
	return u
}
