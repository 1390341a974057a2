package config

import (
	"fmt"
	"net/netip"
	"strings"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// pair is the two addresses between which ESP runs. An SA knows no link: if one pair were on two
// links, the kernel would send to both peers with the key of one of them.
type pair struct{ local, remote netip.Addr }

// hops returns the protected pairs of a peer. The first one is that of its own address.
func (s *stanza) hops() []hop.Hop {
	p := &s.peer
	if p.Protection != trust.ProtectionIPsec {
		return nil
	}
	first := hop.Hop{
		Name: p.Name, Peer: p.Name, Role: p.Role, Local: p.Local, Remote: p.Address, Link: p.Zone,
		RelayPort: s.sourcePort, IKE: s.ike, Manual: s.manual.keys(),
	}
	all := []hop.Hop{first}
	for i, g := range s.giaddrs {
		h := first
		h.Name = fmt.Sprintf("%s+%d", p.Name, i+1)
		// The giaddr is an address of the relay. If the peer is a server, we are the relay.
		if p.Role == trust.Server {
			h.Local = g.address
		} else {
			h.Remote = g.address
		}
		if s.manual != nil {
			h.Manual = g.manual.keys()
		}
		all = append(all, h)
	}
	return all
}

// keys returns the keys that were read, and nil if there are none.
func (m *manualEntry) keys() *hop.Manual {
	if m == nil {
		return nil
	}
	return &m.Manual
}

// checkPairs checks each protected peer against all others.
func checkPairs(peers []*stanza) {
	seen := make(map[pair]*stanza)
	ids := identities{ours: make(map[string]string), keyed: make(map[string]string), certified: make(map[string]*hop.Hop)}
	spis := make(map[inbound]string)
	clear := make(map[netip.Addr]*stanza)
	for _, s := range peers {
		if s.peer.Protection == trust.ProtectionNone && s.peer.Address.IsValid() {
			clear[s.peer.Address.WithZone(s.peer.Zone)] = s
		}
	}
	for _, s := range peers {
		for _, h := range s.hops() {
			if h.IKE != nil && len(h.IKE.PSK) > 0 && h.Local.IsValid() {
				ids.ours[strings.ToLower(h.LocalIdentity())] = s.peer.Name
			}
		}
	}
	for _, s := range peers {
		for i, h := range s.hops() {
			if !h.Local.IsValid() || !h.Remote.IsValid() || h.Remote.IsMulticast() {
				continue // this has been reported
			}
			at := s.place(i)
			if other := clear[h.Remote.WithZone(h.Link)]; other != nil {
				at.Problem("%s is the address of peer %q too, which has protection none (one protection for an address)", h.Remote, other.peer.Name)
			}
			key := pair{h.Local, h.Remote}
			if other := seen[key]; other != nil {
				// For peers with the same address and role, and for a giaddr that is there twice,
				// there is a report of its own.
				alike := other.peer.Role == s.peer.Role && other.peer.Address == s.peer.Address
				switch {
				case other.peer.Zone != h.Link:
					at.Problem("peer %q has the same two addresses on another link, %s and %s, and IPsec knows no links (local: another address on one of them)", other.peer.Name, h.Local, h.Remote)
				case other != s && (i > 0 || !alike):
					at.Problem("peer %q has the same two addresses, %s and %s (one stanza for a pair)", other.peer.Name, h.Local, h.Remote)
				}
				continue
			}
			seen[key] = s
			s.checkIdentity(&h, at, &ids)
			s.checkSPIs(&h, i, spis)
		}
	}
}

// place returns where the address of a peer's hop stands in the file.
func (s *stanza) place(i int) Value {
	if i > 0 {
		return s.giaddrs[i-1].at
	}
	return s.at["address"] // a protected peer without an address has been reported, and has no pair
}

// identities has who uses which identity in IKE. The keys are in lower case.
type identities struct {
	ours      map[string]string   // our identities towards peers with a pre-shared key: to the name of such a peer
	keyed     map[string]string   // identities of peers with a pre-shared key: to the name of the peer
	certified map[string]*hop.Hop // identities of peers with a certificate: to a hop of the peer
}

// checkIdentity checks that no two peers have the same identity, and that no peer has ours.
// charon finds a pre-shared key by the identity of either end, the peer's or ours. Of a
// certificate it checks nothing more than the identity (RFC 8213 section 3, "Authentication").
func (s *stanza) checkIdentity(h *hop.Hop, at Value, ids *identities) {
	if h.IKE == nil {
		return
	}
	identity := strings.ToLower(h.RemoteIdentity())
	if h.IKE.Public() {
		if other := ids.certified[identity]; other != nil && (other.Remote != h.Remote || other.Link != h.Link) {
			at.Problem("peer %q has the identity %s too, and may have a certificate of it (ike.remote-id: another one)", other.Peer, identity)
		}
		ids.certified[identity] = h
		return
	}
	if len(h.IKE.PSK) == 0 {
		return // this has been reported
	}
	if other, taken := ids.keyed[identity]; taken && other != s.peer.Name {
		at.Problem("peer %q has the identity %s too, and pre-shared keys are found by it (ike.remote-id: another one)", other, identity)
	}
	ids.keyed[identity] = s.peer.Name
	reported := h.Local == h.Remote || strings.EqualFold(h.IKE.LocalID, identity)
	if to, we := ids.ours[identity]; we && !reported {
		at.Problem("its identity %s is ours towards peer %q, and pre-shared keys are found by either (ike.remote-id: another one)", identity, to)
	}
}

// inbound identifies an SA at the end where it comes in, on whichever link (RFC 4301 section
// 4.1).
type inbound struct {
	dest netip.Addr
	spi  uint32
}

// checkSPIs checks SPIs, because the kernel finds an SA by its destination address and its SPI.
func (s *stanza) checkSPIs(h *hop.Hop, i int, spis map[inbound]string) {
	if h.Manual == nil {
		return
	}
	m := s.manual
	if i > 0 {
		m = s.giaddrs[i-1].manual
	}
	check := func(at Value, dest netip.Addr, spi uint32) {
		key := inbound{dest, spi}
		if other, ok := spis[key]; ok && spi != 0 {
			at.Problem("SPI %d towards %s is that of peer %q already (each its own)", spi, dest, other)
		}
		spis[key] = s.peer.Name
	}
	check(m.out, h.Remote, m.Out.SPI)
	for j, sa := range m.In {
		check(m.in[j], h.Local, sa.SPI)
	}
}
