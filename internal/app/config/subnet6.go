package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// plan6 is the section of a DHCPv6 server while it is being read. It has what must not be there
// twice or overlap, and where that stands.
type plan6 struct {
	server   *Server6
	classes  map[string]Value // by name
	networks int              // how many networks were read so far
	titles   owners           // names of shared networks
	subnets  []span
	pools    []span
	whole    []span // pd-pools without an excluded prefix
	reserved []span
	clients  owners // identifiers of reservations, with the number of their network

	// These lead to a network, as addresses in its subnets do.
	interfaces    owners   // by name or glob
	names, globs  []string // names has all names and globs of interfaces, globs only the globs
	interfaceIDs  owners
	linkAddresses []span
}

func newPlan6(s *Server6) *plan6 {
	return &plan6{
		server: s, classes: make(map[string]Value), clients: make(owners), titles: make(owners), interfaces: make(owners), interfaceIDs: make(owners),
	}
}

// network begins a network.
func (p *plan6) network() {
	p.networks++
}

// alone reads a subnet that is a network of its own.
func (p *plan6) alone(v Value) server6.Network {
	p.network()
	subnet := p.subnet(v, p.server.Terms)
	return server6.Network{Name: subnet.Prefix.String(), Subnets: []server6.Subnet{subnet}}
}

// shared reads a shared network.
func (p *plan6) shared(v Value) (n server6.Network) {
	p.network()
	terms := p.server.Terms
	v.Mapping(slices.Concat([]Field{
		Required("name", "a name for logs and commands", func(v Value) {
			Read(&n.Name, peerName)(v)
			if first, taken := p.titles.take(n.Name, p.networks, v); taken && n.Name != "" {
				v.Problem("%q is there already, as %s (names are unique)", n.Name, first.at.place())
			}
		}),
	}, terms.fields(), []Field{
		Optional("options", options6(&n.Options)),
		Required("subnets", "a list of at least one subnet", func(v Value) {
			v.list("mappings with subnet", func(v Value) { n.Subnets = append(n.Subnets, p.subnet(v, terms)) })
			if v.isEmptyList() {
				v.Problem("no subnet (at least one)")
			}
		}),
	})...)
	return n
}

// subnet reads a subnet of the network that is being read.
func (p *plan6) subnet(v Value, terms Terms6) (s server6.Subnet) {
	prefix := func(v Value) {
		Read(&s.Prefix, pool)(v)
		if s.Prefix.IsValid() {
			p.subnets = append(p.subnets, spanOf(s.Prefix, p.networks, v))
		}
	}
	v.Mapping(slices.Concat([]Field{
		Required("subnet", "an IPv6 prefix", prefix),
		Optional("interfaces", func(v Value) {
			v.oneOrList("names and globs", func(v Value) {
				if glob, ok := scalar(v, interfaceGlob); ok {
					v.checkGlob(glob)
					p.byInterface(v, glob)
					s.Interfaces = append(s.Interfaces, glob)
				}
			})
		}),
		Optional("link-addresses", func(v Value) {
			v.oneOrList("addresses", func(v Value) {
				if a, ok := scalar(v, global); ok {
					p.linkAddresses = append(p.linkAddresses, single(a, p.networks, v))
					if !s.Prefix.Contains(a) {
						s.LinkAddresses = append(s.LinkAddresses, a)
					}
				}
			})
		}),
		Optional("interface-ids", func(v Value) {
			v.oneOrList("texts, or 0x and hexadecimal", func(v Value) {
				if id, ok := scalar(v, octetString(maxText)); ok {
					p.byInterfaceID(v, id)
					s.InterfaceIDs = append(s.InterfaceIDs, id)
				}
			})
		}),
	}, terms.fields(), []Field{
		Optional("options", options6(&s.Options)),
		Optional("pools", func(v Value) {
			v.list("mappings with pool", func(v Value) { s.Pools = append(s.Pools, p.pool(v, s.Prefix)) })
		}),
		Optional("pd-pools", func(v Value) {
			v.list("mappings with prefix and delegated-length", func(v Value) { s.PDPools = append(s.PDPools, p.pdPool(v)) })
		}),
		Optional("reservations", func(v Value) {
			v.list("mappings with an identifier", func(v Value) {
				s.Reservations = append(s.Reservations, p.reservation(v, s.Prefix))
			})
		}),
	})...)
	s.Lifetimes, s.RapidCommit, s.Preference = terms.Lifetimes, terms.RapidCommit, terms.Preference
	return s
}

// newest returns where the prefix of the subnet that is being read stands.
func (p *plan6) newest() Value { return p.subnets[len(p.subnets)-1].at }

// pool reads a pool of addresses of a subnet.
func (p *plan6) pool(v Value, subnet netip.Prefix) (a server6.AddressPool) {
	v.Mapping(
		Required("pool", "two addresses with a dash between them, or a prefix", func(v Value) {
			r, ok := scalar(v, addressRange)
			if !ok {
				return
			}
			a.First, a.Last = r[0], r[1]
			switch {
			case !subnet.IsValid(): // this has been reported
			case !subnet.Contains(a.First) || !subnet.Contains(a.Last):
				v.Problem("not in the subnet %s of %s (addresses of the subnet)", subnet, p.newest().place())
				return
			case a.First == subnet.Addr() && subnet.Bits() < 127 && a.First != a.Last:
				a.First = a.First.Next() // the first address belongs to every router (RFC 4291 section 2.6.1)
			}
			p.pools = append(p.pools, span{first: a.First, last: a.Last, network: p.networks, at: v})
		}),
		Optional("class", p.ofClass(&a.Class)),
		Optional("options", options6(&a.Options)),
	)
	return a
}

// addressRange parses two addresses with a dash between them, or a prefix.
func addressRange(text string) (r [2]netip.Addr, err error) {
	low, high, two := strings.Cut(text, "-")
	if !two {
		p, err := pool(text)
		if err != nil {
			return r, errors.New(strings.TrimSuffix(err.Error(), ")") + ", or two addresses such as 2001:db8::10-2001:db8::ff)")
		}
		return [2]netip.Addr{p.Addr(), lastOf(p)}, nil
	}
	for i, part := range []string{low, high} {
		if r[i], err = global(strings.TrimSpace(part)); err != nil {
			return r, err
		}
	}
	if r[1].Less(r[0]) {
		return r, fmt.Errorf("%q (the smaller address first)", text)
	}
	return r, nil
}

// pdPool reads a pool of prefixes.
func (p *plan6) pdPool(v Value) (d server6.PrefixPool) {
	var whole, length, lengths, exclude Value
	var bounds [2]int
	v.Mapping(
		Required("prefix", "an IPv6 prefix", func(v Value) {
			whole = v
			Read(&d.Prefix, pool)(v)
		}),
		Required("delegated-length", "the length of what a client gets", func(v Value) {
			length = v
			Read(&d.Length, integer(1, 128))(v)
		}),
		Optional("delegated-lengths", func(v Value) {
			lengths = v
			Read(&bounds, lengthRange)(v)
		}),
		Optional("exclude", func(v Value) {
			exclude = v
			Read(&d.Exclude, pool)(v)
		}),
		Optional("class", p.ofClass(&d.Class)),
		Optional("options", options6(&d.Options)),
	)
	if !d.Prefix.IsValid() || d.Length == 0 || lengths.node != nil && bounds[0] == 0 {
		return d // this has been reported
	}
	d.Min, d.Max = d.Length, d.Length
	if bounds[0] != 0 {
		d.Min, d.Max = bounds[0], bounds[1]
	}
	taken := spanOf(d.Prefix, p.networks, whole)
	taken.lengths = [2]int{d.Min, d.Max}
	p.pools = append(p.pools, taken)
	if exclude.node == nil {
		p.whole = append(p.whole, taken)
	}
	switch {
	case d.Length < d.Prefix.Bits():
		length.Problem("%d is shorter than the pool itself (a length from %d to 128)", d.Length, d.Prefix.Bits())
	case d.Min < d.Prefix.Bits():
		lengths.Problem("%d is shorter than the pool itself (lengths from %d to 128)", d.Min, d.Prefix.Bits())
	case d.Length < d.Min || d.Length > d.Max:
		length.Problem("%d is not among the delegated-lengths %d-%d (one of these)", d.Length, d.Min, d.Max)
	case !d.Exclude.IsValid():
	case d.Exclude.Bits() <= d.Max: // RFC 6603 section 4.2
		exclude.Problem("a prefix of %d bits in what has up to %d bits (a longer one)", d.Exclude.Bits(), d.Max)
	case !netip.PrefixFrom(d.Prefix.Addr(), d.Max).Contains(d.Exclude.Addr()):
		exclude.Problem("not in the first part of the pool, %s, which stands for all (a prefix in it)", netip.PrefixFrom(d.Prefix.Addr(), d.Max))
	}
	return d
}

// reservation reads what is reserved for one client of a subnet.
func (p *plan6) reservation(v Value, subnet netip.Prefix) (r server6.Reservation) {
	var relay, id Value
	before := len(v.d.problems)
	isMapping := v.Mapping(
		Optional("duid", Read(&r.DUID, duid)),
		Optional("link-layer-address", Read(&r.LinkLayer, linkLayer)),
		Optional("remote-id", func(v Value) { r.RemoteID = decodeRemoteID6(v) }),
		Optional("relay-id", func(v Value) {
			relay = v
			Read(&r.RelayID, duid)(v)
		}),
		Optional("interface-id", func(v Value) {
			id = v
			Read(&r.InterfaceID, octetString(maxText))(v)
		}),
		Optional("addresses", func(v Value) {
			v.oneOrList("addresses", func(v Value) {
				a, ok := scalar(v, global)
				switch {
				case !ok:
				case subnet.IsValid() && !subnet.Contains(a):
					v.Problem("%s is not in the subnet %s of %s (an address of the subnet)", a, subnet, p.newest().place())
				default:
					p.reserved = append(p.reserved, single(a, p.networks, v))
					r.Addresses = append(r.Addresses, a)
				}
			})
		}),
		Optional("prefixes", func(v Value) {
			v.oneOrList("prefixes", func(v Value) {
				if x, ok := scalar(v, pool); ok {
					p.reserved = append(p.reserved, spanOf(x, p.networks, v))
					r.Prefixes = append(r.Prefixes, x)
				}
			})
		}),
		Optional("options", options6(&r.Options)),
	)
	if !isMapping || len(v.d.problems) > before {
		return r
	}
	switch {
	case relay.node != nil && id.node == nil:
		relay.Problem("a relay-id without interface-id (both: a relay has many clients)")
	case relay.node == nil && id.node != nil:
		id.Problem("an interface-id without relay-id (both: two relays may have the same interface-id)")
	case r.DUID == nil && !r.LinkLayer.IsValid() && r.RemoteID == nil && r.RelayID == nil:
		v.Problem("no identifier (at least one of: duid, link-layer-address, remote-id, or relay-id with interface-id)")
	case len(r.Addresses) == 0 && len(r.Prefixes) == 0 && len(r.Options) == 0:
		v.Problem("nothing is reserved (at least one of: addresses, prefixes, options)")
	default:
		p.checkClient(v, &r)
	}
	return r
}

// checkClient reports a reservation that can never be used, because an earlier one of the network
// always applies in its place: that one has the same identifiers, or only some of them.
func (p *plan6) checkClient(v Value, r *server6.Reservation) {
	ids := [...][]byte{r.DUID, r.LinkLayer.Append(nil), r.RemoteID, r.RelayID, r.InterfaceID}
	all := 0 // one bit for each identifier that is there
	for i, id := range ids {
		if len(id) > 0 {
			all |= 1 << i
		}
	}
	key := func(some int) string {
		of := ids
		for i := range of {
			if some>>i&1 == 0 {
				of[i] = nil
			}
		}
		return fmt.Sprintf("%d %x", p.networks, of)
	}
	for some := all; some > 0; some = (some - 1) & all { // for each non-empty set of these identifiers
		first, taken := p.clients[key(some)]
		switch {
		case !taken:
			continue
		case some == all:
			v.Problem("the same identifiers as %s (one reservation for a client)", first.at.place())
		default:
			v.Problem("has all identifiers of %s, which holds in its place (the one with more identifiers first)", first.at.place())
		}
		return
	}
	p.clients.take(key(all), 0, v)
}

// decodeRemoteID6 reads a remote-id in the form of option 37 (RFC 4649).
func decodeRemoteID6(v Value) []byte {
	var id dhcp6.RemoteID
	before := len(v.d.problems)
	isMapping := v.Mapping(
		Required("enterprise", "a private enterprise number", Read(&id.EnterpriseNumber, enterprise)),
		Required("id", "a text, or 0x and hexadecimal", Read(&id.ID, octetString(maxText))),
	)
	if !isMapping || len(v.d.problems) > before {
		return nil
	}
	return payload(dhcp6.AppendRemoteID(nil, id))
}

// linkLayer parses a link-layer address.
func linkLayer(text string) (linkaddr.Addr, error) {
	a, ok := linkaddr.Parse(text)
	if !ok {
		return a, fmt.Errorf("%q is no link-layer address (up to %d octets, such as 02:00:5e:10:00:01)", text, linkaddr.MaxLen)
	}
	return a, nil
}

// ofClass returns a reader of the name of a class that is defined.
func (p *plan6) ofClass(to *string) func(Value) {
	return func(v Value) {
		Read(to, peerName)(v)
		if _, there := p.classes[*to]; *to != "" && !there {
			v.Problem("no class is named %q (one of client-classes)", *to)
		}
	}
}

// byInterface notes that a local interface, or a glob of them, leads to the network that is being
// read.
func (p *plan6) byInterface(v Value, glob string) {
	earlier, taken := p.interfaces.take(glob, p.networks, v)
	among := p.globs
	if isGlob(glob) {
		among = p.names
	}
	for _, other := range among {
		if o := p.interfaces[other]; o.network != p.networks && overlap(other, glob) {
			earlier, taken = o, true
			break
		}
	}
	if taken && earlier.network != p.networks {
		v.Problem("%q may name an interface that leads to %s (subnets of one link are in one shared network)", glob, earlier.at.place())
	}
	if isGlob(glob) {
		p.globs = append(p.globs, glob)
	}
	p.names = append(p.names, glob)
}

// byInterfaceID notes that an interface-id leads to the network that is being read.
func (p *plan6) byInterfaceID(v Value, id []byte) {
	if earlier, taken := p.interfaceIDs.take(string(id), p.networks, v); taken && earlier.network != p.networks {
		v.Problem("the same interface-id as %s (subnets of one link are in one shared network)", earlier.at.place())
	}
}

// check reports spans that overlap, and whatever leads to two networks.
func (p *plan6) check() {
	subnets := rasterOf(p.subnets)
	overlapping := subnets.overlaps(func(earlier, later span) {
		later.at.Problem("overlaps %s of %s (an address is in one subnet)", earlier, earlier.at.place())
	})
	rasterOf(p.linkAddresses).overlaps(func(earlier, later span) {
		if earlier.network != later.network {
			later.at.Problem("the same link-address as %s (subnets of one link are in one shared network)", earlier.at.place())
		}
	})
	for _, a := range p.linkAddresses {
		if s, in := subnets.meeting(a); !overlapping && in && s.network != a.network {
			a.at.Problem("%s is in the subnet %s of %s (subnets of one link are in one shared network)", a, s, s.at.place())
		}
	}
	for _, pool := range p.whole {
		if s, in := subnets.meeting(pool); in {
			pool.at.warn(fmt.Sprintf("overlaps the subnet %s of %s: hosts on that link look for its addresses there, not behind the client that has the prefix (a pool outside of all subnets, or exclude)", s, s.at.place()))
		}
	}
	pools := rasterOf(p.pools)
	overlapping = pools.overlaps(func(earlier, later span) {
		later.at.Problem("overlaps %s of %s (an address is in one pool)", earlier, earlier.at.place())
	})
	rasterOf(p.reserved).overlaps(reservedTwice)
	for _, r := range p.reserved {
		if pool, in := pools.meeting(r); !overlapping && in {
			r.checkPool(pool)
		}
	}
}

// reservedTwice reports a reserved lease that overlaps an earlier one.
func reservedTwice(earlier, later span) {
	later.at.Problem("overlaps %s of %s (one reservation for each)", earlier, earlier.at.place())
}

// checkHeard warns of interfaces that lead to a subnet, and on which nobody is heard. A name that
// only a glob covers is looked for on the host.
func (p *plan6) checkHeard(relays []trust.Peer) {
	var heard []string
	for i := range p.server.Links {
		heard = append(heard, p.server.Links[i].Match...)
	}
	for i := range relays {
		heard = append(heard, relays[i].Interfaces...)
	}
	for _, name := range p.names {
		switch at := p.interfaces[name].at; {
		case !slices.ContainsFunc(heard, func(glob string) bool { return overlap(glob, name) }):
			at.warn(fmt.Sprintf("%q is of no entry of links, and no relay is heard there: nobody is served by it", name))
		case !isGlob(name) && !slices.Contains(heard, name):
			at.note(mention{kind: mentionMatch, family: DHCPv6, text: name})
		}
	}
}

// checkDelegable warns of pools that overlap prefixes which servers may delegate through relay6.
func (p *plan6) checkDelegable(servers []trust.Peer) {
	for _, pool := range p.whole {
		for i := range servers {
			for _, r := range servers[i].Delegable {
				if of := spanOf(r.Prefix, 0, pool.at); of.holds(pool) || pool.holds(of) {
					pool.at.warn(fmt.Sprintf("overlaps %s, which peer %q may delegate: a prefix that both give away is routed to one of the two clients alone (a pool that is the server's alone)", r.Prefix, servers[i].Name))
				}
			}
		}
	}
}

// checkPool reports a reservation that overlaps a pool in such a way that the pool could not give
// it to its client.
func (s span) checkPool(pool span) {
	least, most := pool.lengths[0], pool.lengths[1]
	switch {
	case most == 0 && s.first == s.last || pool.holds(s) && least <= s.bits && s.bits <= most:
	case most == 0 || !pool.holds(s):
		s.at.Problem("overlaps the pool %s of %s (a part of one pool, or of none)", pool, pool.at.place())
	default:
		s.at.Problem("%d bits in the pool %s of %s, whose parts have %d to %d (one of these, or a prefix that is in no pool)",
			s.bits, pool, pool.at.place(), least, most)
	}
}
