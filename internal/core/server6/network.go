package server6

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/pool"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// networks are the configured networks. Their pools know what is taken.
type networks struct {
	all        []*network
	bySubnet   bart.Table[*subnet]    // by the on-link prefix
	byPool     bart.Table[*leasePool] // by the prefix that the pool delegates parts of
	byAddress  map[netip.Addr]*subnet // by the configured link-address of a relay agent
	interfaces map[string][]*subnet   // by the interface-id of a relay agent
	reserved   bart.Lite              // all leases that are reserved
	crossed    []*leasePool           // pools that have become nearly full or have room again, not told yet (tellPools)
}

// network is a Network with its subnets.
type network struct {
	*Network
	link    string // the name of the link that leases of clients behind relay agents have
	subnets []*subnet
	pools   [binding.Kinds][]*leasePool // of all subnets
	reservations
}

// subnet is a Subnet with its pools.
type subnet struct {
	*Subnet
	network *network
	pools   [binding.Kinds][]*leasePool
}

// leasePool is a pool of addresses or of prefixes.
type leasePool struct {
	*pool.Pool
	kind     binding.Kind
	subnet   *subnet
	class    int // index in Config.Classes: only clients of this class get leases of the pool; or anyClass
	options  []Option
	reserved uint64 // how many units are reserved; they are always taken
	late     []late // leases that wait for their clients; the one that has waited longest is first

	nearlyFull bool // see effect.Pool
	told       bool // the last note to operators said that the pool is nearly full

	first, last netip.Addr // of a pool of addresses

	length, least, most int // in bits; in a pool of addresses each is 128

	// Of a pool of prefixes.
	exclude netip.Prefix
	prefix  netip.Prefix
}

// anyClass is the class of a pool for all clients.
const anyClass = -1

// relayedLink is what the link of a lease begins with if the client is behind relay agents. The
// name of an interface never has a slash.
const relayedLink = "network/"

func newNetworks(cfg *Config) *networks {
	n := &networks{byAddress: make(map[netip.Addr]*subnet), interfaces: make(map[string][]*subnet)}
	for i := range cfg.Networks {
		nw := &network{Network: &cfg.Networks[i], link: relayedLink + cfg.Networks[i].Name, reservations: newReservations()}
		for j := range nw.Subnets {
			sn := n.add(cfg, nw, &nw.Subnets[j])
			nw.subnets = append(nw.subnets, sn)
			for k, pools := range sn.pools {
				nw.pools[k] = append(nw.pools[k], pools...)
			}
		}
		n.all = append(n.all, nw)
	}
	for p := range n.reserved.All() {
		if pl := n.poolOf(p); pl != nil {
			before := pl.Taken()
			pl.Take(p)
			pl.reserved += pl.Taken() - before
		}
	}
	return n
}

// add adds a subnet of a network.
func (n *networks) add(cfg *Config, nw *network, of *Subnet) *subnet {
	sn := &subnet{Subnet: of, network: nw}
	classOf := func(name string) int {
		return slices.IndexFunc(cfg.Classes, func(c Class) bool { return c.Name == name }) // of no name: anyClass
	}
	for i := range of.Pools {
		p := &of.Pools[i]
		sn.pools[binding.Address] = append(sn.pools[binding.Address], &leasePool{
			Pool: pool.Addresses(p.First, p.Last), kind: binding.Address, subnet: sn, class: classOf(p.Class), options: p.Options,
			first: p.First, last: p.Last, length: addressBits, least: addressBits, most: addressBits,
		})
	}
	for i := range of.PDPools {
		p := &of.PDPools[i]
		pl := &leasePool{
			Pool: pool.Prefixes(p.Prefix, p.Min, p.Max), kind: binding.Prefix, subnet: sn, class: classOf(p.Class), options: p.Options,
			length: p.Length, least: p.Min, most: p.Max, exclude: p.Exclude, prefix: p.Prefix,
		}
		sn.pools[binding.Prefix] = append(sn.pools[binding.Prefix], pl)
		n.byPool.Insert(p.Prefix, pl)
	}
	n.bySubnet.Insert(of.Prefix, sn)
	for _, a := range of.LinkAddresses {
		n.byAddress[a] = sn
	}
	for _, id := range of.InterfaceIDs {
		n.interfaces[string(id)] = append(n.interfaces[string(id)], sn)
	}
	for i := range of.Reservations {
		v := &of.Reservations[i]
		for _, some := range nw.reserve(v, sn).leases {
			for _, p := range some {
				n.reserved.Insert(p)
			}
		}
	}
	return sn
}

// pools are all pools, in the order of the configuration.
func (n *networks) pools(yield func(*leasePool) bool) {
	for _, nw := range n.all {
		for _, sn := range nw.subnets {
			for _, pl := range slices.Concat(sn.pools[binding.Address], sn.pools[binding.Prefix]) {
				if !yield(pl) {
					return
				}
			}
		}
	}
}

// ofLink is the subnet of the clients on a local interface: the one that names the interface, else
// the one that contains one of its addresses; nil if there is none. The other subnets of the same
// network are on the link as well.
func (n *networks) ofLink(l *link) *subnet {
	for _, nw := range n.all {
		for _, sn := range nw.subnets {
			if trust.MatchAny(sn.Interfaces, l.Name) {
				return sn
			}
		}
	}
	for _, p := range l.Addrs {
		if sn, ok := n.bySubnet.Lookup(p.Addr()); ok {
			return sn
		}
	}
	return nil
}

// ofRelay is the subnet that a message from relay agents belongs to; nil if there is none. The relay
// layer next to the client is looked at first (RFC 8415 section 13.1). Interface-ids come before
// link-addresses; a link-address of zero is passed over (RFC 6221). If a subnet is configured with
// both, both have to match.
func (n *networks) ofRelay(layers []dhcp6.RelayMessage) *subnet {
	for i := len(layers) - 1; i >= 0; i-- {
		id, ok := layers[i].Options().First(dhcp6.OptionInterfaceID)
		if !ok {
			continue
		}
		for _, sn := range n.interfaces[string(id)] {
			if len(sn.LinkAddresses) == 0 || slices.ContainsFunc(layers, func(m dhcp6.RelayMessage) bool {
				return slices.Contains(sn.LinkAddresses, m.LinkAddress())
			}) {
				return sn
			}
		}
	}
	for i := len(layers) - 1; i >= 0; i-- {
		a := layers[i].LinkAddress()
		if a.IsUnspecified() {
			continue
		}
		if sn := n.ofAddress(a); sn != nil {
			return sn
		}
	}
	return nil
}

// ofAddress is the subnet that a link-address belongs to; nil if there is none.
func (n *networks) ofAddress(a netip.Addr) *subnet {
	if sn := n.byAddress[a]; sn != nil {
		return sn
	}
	sn, _ := n.bySubnet.Lookup(a)
	return sn
}

// named is the network whose leases have the link of that name; nil if there is none.
func (n *networks) named(link string) *network {
	for _, nw := range n.all {
		if nw.link == link {
			return nw
		}
	}
	return nil
}

// poolOf is the pool that a lease belongs to; nil if there is none.
func (n *networks) poolOf(p netip.Prefix) *leasePool {
	if pl, ok := n.byPool.LookupPrefix(p); ok && pl.Holds(p) {
		return pl
	}
	if p.IsSingleIP() {
		if sn, ok := n.bySubnet.Lookup(p.Addr()); ok {
			for _, pl := range sn.pools[binding.Address] {
				if pl.Holds(p) {
					return pl
				}
			}
		}
	}
	return nil
}

// take marks a lease as taken in its pool.
func (n *networks) take(p netip.Prefix) {
	if pl := n.poolOf(p); pl != nil {
		pl.Take(p)
		n.weigh(pl)
	}
}

// free marks a lease as free in its pool. A reserved lease stays taken.
func (n *networks) free(p netip.Prefix) {
	if pl := n.poolOf(p); pl != nil && !n.reserved.Get(p) {
		pl.Free(p)
		n.weigh(pl)
	}
}

// isReserved reports whether a lease overlaps with one that is reserved for some client.
func (n *networks) isReserved(p netip.Prefix) bool { return n.reserved.OverlapsPrefix(p) }

// onLink reports whether an address lies in one of the network's subnets.
func (nw *network) onLink(a netip.Addr) bool {
	return slices.ContainsFunc(nw.subnets, func(sn *subnet) bool { return sn.Prefix.Contains(a) })
}

// excluded is the prefix that is excluded from a delegated prefix; invalid: none. The configuration
// gives it for the first prefix of the pool; in every other prefix it is at the same place.
func (p *leasePool) excluded(delegated netip.Prefix) netip.Prefix {
	if !p.exclude.IsValid() {
		return netip.Prefix{}
	}
	base, in, at := p.prefix.Addr().As16(), p.exclude.Addr().As16(), delegated.Addr().As16()
	for i := range at {
		at[i] |= in[i] &^ base[i]
	}
	return netip.PrefixFrom(netip.AddrFrom16(at), p.exclude.Bits()).Masked()
}
