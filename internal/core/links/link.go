// Package links is the registry of links: the host's network interfaces, and the ways in
// which a core finds the one that a message or an answer is about. It is for every role
// and both families. What a role alone needs to know of a link is in the role's own type.
package links

import (
	"net/netip"
	"slices"

	"fairlead/internal/wire/linkaddr"
)

// Link is the state of one network interface, as the host reports it. A Link is never
// changed, so that it can be shared: a new state is a new Link.
type Link struct {
	Index        int
	Name         string
	Up           bool // administratively up
	Running      bool // carrier is there
	PointToPoint bool
	Dummy        bool // a device that has addresses and no host behind it
	MTU          int
	HardwareType uint16 // ARPHRD_*
	LinkLayer    linkaddr.Addr
	VRF          string         // name of the VRF device it is enslaved to, its own if it is one, else empty
	Table        uint32         // routing table of that VRF; 254 (main) without one
	Addrs        []netip.Prefix // address and on-link prefix length, in the kernel's order, tentative and failed ones left out
	Peers        []netip.Addr   // addresses at the other end that the kernel knows, of a point-to-point interface
	CarrierDowns uint32         // how often a point-to-point interface has lost its carrier
	Deprecated   []netip.Addr   // of these: whose preferred lifetime has ended
	Temporary    []netip.Addr   // of these: that the host makes and gives up by itself (RFC 8981)
	IPv4         []netip.Prefix // IPv4 addresses with their on-link prefix lengths, the primary one first
}

// loopback is ARPHRD_LOOPBACK.
const loopback = 772

// IsHollow reports whether no host can be behind the link: a loopback, dummy or VRF
// device.
func (l *Link) IsHollow() bool { return l.HardwareType == loopback || l.VRF == l.Name }

// Passes reports whether packets can pass the interface.
func (l *Link) Passes() bool { return l.Up && l.Running }

// Has reports whether an address is on the link, with whatever prefix.
func (l *Link) Has(a netip.Addr) bool {
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == a })
}

// Covers reports whether an address lies in a prefix of the link.
func (l *Link) Covers(a netip.Addr) bool {
	return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Contains(a) })
}

// OnLink returns the IPv6 prefixes of the link, masked and in order, without link-local ones. A
// loopback or dummy device has only addresses: there are no hosts on its prefixes.
func (l *Link) OnLink() (own []netip.Prefix) {
	for _, a := range l.Addrs {
		if !a.Addr().Is6() || a.Addr().IsLinkLocalUnicast() {
			continue
		}
		if l.IsHollow() || l.Dummy {
			a = netip.PrefixFrom(a.Addr(), 128)
		}
		own = append(own, a.Masked())
	}
	slices.SortFunc(own, netip.Prefix.Compare)
	return slices.Compact(own)
}

// Gone is a Link that stands for the name when no interface has it any more.
func (l *Link) Gone() *Link {
	gone := *l
	gone.Index, gone.Up, gone.Running, gone.Addrs, gone.Peers, gone.IPv4 = 0, false, false, nil, nil, nil
	return &gone
}

// ForIPv4 is the link for a role of DHCPv4: Addrs are the IPv4 addresses, with the oldest
// last, as the kernel lists those of IPv6.
func (l *Link) ForIPv4() Link {
	now := *l
	now.Addrs = slices.Clone(l.IPv4)
	slices.Reverse(now.Addrs)
	now.Peers, now.Deprecated, now.Temporary, now.IPv4 = nil, nil, nil, nil
	return now
}

// Renamed is the link under another name.
func (l *Link) Renamed(name string) *Link {
	now := *l
	now.Name = name
	return &now
}
