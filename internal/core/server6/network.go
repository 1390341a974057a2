package server6

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/pool"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// networks are the configured networks, with what is taken in their pools.
type networks struct {
	all        []*network
	bySubnet   bart.Table[*subnet] // by the prefixes that are on-link
	byPool     bart.Table[*subnet] // by the prefixes that parts are delegated of
	byAddress  map[netip.Addr]*network
	interfaces map[string][]*subnet // by the interface-id of a relay agent
	reserved   bart.Lite            // leases that are reserved
}

// network is a link of clients, with its subnets.
type network struct {
	*Network
	link    string // by which the leases of clients behind relay agents are known
	subnets []*subnet
}

// subnet is a Subnet with its pools.
type subnet struct {
	*Subnet
	network   *network
	addresses []addressPool
	prefixes  []prefixPool
}

type addressPool struct {
	*AddressPool
	pool  *pool.Pool
	class int // index in Config.Classes of the clients that may have them, or anyClass
}

type prefixPool struct {
	*PrefixPool
	pool  *pool.Pool
	class int
}

const anyClass = -1

// relayedLink begins the name of the link that leases have whose clients are behind relay agents.
// No interface has a name with a slash in it.
const relayedLink = "network/"

func newNetworks(cfg *Config) *networks {
	n := &networks{byAddress: make(map[netip.Addr]*network), interfaces: make(map[string][]*subnet)}
	classOf := func(name string) int {
		return slices.IndexFunc(cfg.Classes, func(c Class) bool { return c.Name == name }) // of no name: anyClass
	}
	for i := range cfg.Networks {
		nw := &network{Network: &cfg.Networks[i], link: relayedLink + cfg.Networks[i].Name}
		for j := range nw.Subnets {
			sn := &subnet{Subnet: &nw.Subnets[j], network: nw}
			for k := range sn.Pools {
				p := &sn.Pools[k]
				sn.addresses = append(sn.addresses, addressPool{p, pool.Addresses(p.First, p.Last), classOf(p.Class)})
			}
			for k := range sn.PDPools {
				p := &sn.PDPools[k]
				sn.prefixes = append(sn.prefixes, prefixPool{p, pool.Prefixes(p.Prefix, p.Min, p.Max), classOf(p.Class)})
				n.byPool.Insert(p.Prefix, sn)
			}
			n.bySubnet.Insert(sn.Prefix, sn)
			for _, a := range sn.LinkAddresses {
				n.byAddress[a] = nw
			}
			for _, id := range sn.InterfaceIDs {
				n.interfaces[string(id)] = append(n.interfaces[string(id)], sn)
			}
			for k := range sn.Reservations {
				for _, a := range sn.Reservations[k].Addresses {
					n.reserved.Insert(netip.PrefixFrom(a, a.BitLen()))
				}
				for _, p := range sn.Reservations[k].Prefixes {
					n.reserved.Insert(p)
				}
			}
			nw.subnets = append(nw.subnets, sn)
		}
		n.all = append(n.all, nw)
	}
	return n
}

// ofLink is the network of the clients on a local interface: the one that names it, else the
// one with a subnet around one of its addresses; nil if there is none.
func (n *networks) ofLink(l *link) *network {
	for _, nw := range n.all {
		if slices.ContainsFunc(nw.subnets, func(sn *subnet) bool { return trust.MatchAny(sn.Interfaces, l.Name) }) {
			return nw
		}
	}
	for _, p := range l.Addrs {
		if sn, ok := n.bySubnet.Lookup(p.Addr()); ok {
			return sn.network
		}
	}
	return nil
}

// ofRelay is the network that the relay agents around a message tell, the one next to the
// client first (RFC 8415 section 13.1); nil if they tell none. A link-address of zero tells
// nothing (RFC 6221). An interface-id tells more than a link-address. Where a subnet has both,
// both have to match.
func (n *networks) ofRelay(layers []dhcp6.RelayMessage) *network {
	for i := len(layers) - 1; i >= 0; i-- {
		id, ok := layers[i].Options().First(dhcp6.OptionInterfaceID)
		if !ok {
			continue
		}
		for _, sn := range n.interfaces[string(id)] {
			if len(sn.LinkAddresses) == 0 || slices.ContainsFunc(layers, func(m dhcp6.RelayMessage) bool {
				return slices.Contains(sn.LinkAddresses, m.LinkAddress())
			}) {
				return sn.network
			}
		}
	}
	for i := len(layers) - 1; i >= 0; i-- {
		a := layers[i].LinkAddress()
		if a.IsUnspecified() {
			continue
		}
		if nw := n.byAddress[a]; nw != nil {
			return nw
		}
		if sn, ok := n.bySubnet.Lookup(a); ok {
			return sn.network
		}
	}
	return nil
}

// poolOf is the pool that a lease is out of; nil if it is out of none.
func (n *networks) poolOf(p netip.Prefix) *pool.Pool {
	if sn, ok := n.byPool.LookupPrefix(p); ok {
		for i := range sn.prefixes {
			if sn.prefixes[i].pool.Holds(p) {
				return sn.prefixes[i].pool
			}
		}
	}
	if p.IsSingleIP() {
		if sn, ok := n.bySubnet.Lookup(p.Addr()); ok {
			for i := range sn.addresses {
				if sn.addresses[i].pool.Holds(p) {
					return sn.addresses[i].pool
				}
			}
		}
	}
	return nil
}

// take and free keep the pool of a lease in step with who has it.
func (n *networks) take(p netip.Prefix) {
	if pool := n.poolOf(p); pool != nil {
		pool.Take(p)
	}
}

func (n *networks) free(p netip.Prefix) {
	if pool := n.poolOf(p); pool != nil {
		pool.Free(p)
	}
}

// onLink is the subnet of a network that an address lies in; nil if it lies in none.
func (nw *network) onLink(a netip.Addr) *subnet {
	for _, sn := range nw.subnets {
		if sn.Prefix.Contains(a) {
			return sn
		}
	}
	return nil
}

// isReserved reports whether a lease overlaps with one that is reserved for some client.
func (n *networks) isReserved(p netip.Prefix) bool { return n.reserved.OverlapsPrefix(p) }
