package config

import (
	"fmt"
	"net/netip"
	"strings"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// pair is two addresses between which ESP runs. An SA knows no link: with one pair
// on two links, the kernel would send to both peers with the key of one.
type pair struct{ local, remote netip.Addr }

// hops are the protected pairs of a peer: the first is that of its own address.
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
		// The giaddr is an address of the relay, which is we where the peer is a
		// server.
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

// keys are the keys that were read, nil if there are none.
func (m *manualEntry) keys() *hop.Manual {
	if m == nil {
		return nil
	}
	return &m.Manual
}

// checkPairs checks protected peers against all others.
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
				continue // reported
			}
			at := s.place(i)
			if other := clear[h.Remote.WithZone(h.Link)]; other != nil {
				at.Problem("%s is the address of peer %q too, which has protection none (one protection for an address)", h.Remote, other.peer.Name)
			}
			key := pair{h.Local, h.Remote}
			if other := seen[key]; other != nil {
				// Peers with the same address and role are reported as such, and so
				// are giaddrs that are there twice.
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

// place is where the address of a peer's hop is.
func (s *stanza) place(i int) Value {
	if i > 0 {
		return s.giaddrs[i-1].at
	}
	return s.at["address"] // a protected peer without one is reported, and has no pair
}

// identities are who is who in IKE, in lower case.
type identities struct {
	ours      map[string]string   // who we are, where keys are shared, to the name of a peer to whom
	keyed     map[string]string   // peers with a pre-shared key, to their names
	certified map[string]*hop.Hop // peers with a certificate
}

// checkIdentity: charon finds a pre-shared key by whose it is, the peer's or our
// own, and asks of a certificate no more than the identity (RFC 8213 section 3,
// "Authentication"). So no two peers may be one identity, nor a peer be we.
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
		return // reported
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

// inbound names an SA where it comes in, whichever the link: RFC 4301 section 4.1.
type inbound struct {
	dest netip.Addr
	spi  uint32
}

// checkSPIs: the kernel finds an SA by the address that it ends at and its SPI.
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
