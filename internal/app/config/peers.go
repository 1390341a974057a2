package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// decodePeers reads the list of peers. server says whether a server must be among them. sound is
// true if no peer has a problem, and the peers that the program needs are there.
func decodePeers(v Value, server bool) (peers []*stanza, sound bool) {
	broken := false
	v.list("peers", func(v Value) {
		before := len(v.d.problems)
		s := decodeStanza(v)
		broken = broken || len(v.d.problems) > before
		for _, earlier := range peers {
			s.compare(earlier)
		}
		peers = append(peers, s)
	})
	checkPairs(peers)
	// A peer with a problem may be the server that is needed.
	switch {
	case !v.isList() || broken:
	case v.d.guard && !slices.ContainsFunc(peers, func(s *stanza) bool { return s.peer.Protection == trust.ProtectionIPsec }):
		v.Problem("no protected peer (at least one with protection: ipsec)")
	case server && !slices.ContainsFunc(peers, func(s *stanza) bool { return s.peer.Role == trust.Server }):
		v.Problem("no server among the peers (at least one with role: server)")
	default:
		sound = true
	}
	for _, s := range peers {
		s.noteUplinks()
	}
	return peers, sound
}

// trusted returns the peers in the form of the core.
func trusted(peers []*stanza) []trust.Peer {
	var all []trust.Peer
	for _, s := range peers {
		all = append(all, s.peer)
	}
	return all
}

// compare checks a peer against an earlier one.
func (s *stanza) compare(earlier *stanza) {
	p, other := &s.peer, &earlier.peer
	if p.Name != "" && p.Name == other.Name {
		s.at["name"].Problem("another peer is named %q (names are unique)", p.Name)
	}
	if !p.Address.IsValid() || p.Address != other.Address || p.Zone != other.Zone {
		return
	}
	v, ok := s.at["address"]
	if !ok {
		v = s.whole
	}
	// A guard may protect a program that uses two addresses of its host.
	two := s.whole.d.guard && p.Protection == trust.ProtectionIPsec && p.Local != other.Local
	if p.Role == other.Role && !two {
		v.Problem("peer %q has the same address and role (each peer once)", other.Name)
	}
}

// noteUplinks notes which interfaces lead to a server.
func (s *stanza) noteUplinks() {
	if s.peer.Role != trust.Server {
		return
	}
	for _, name := range s.peer.Interfaces {
		if !isGlob(name) {
			s.whole.d.uplinks[name] = s.peer.Name
		}
	}
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// peerName parses the name of a peer in logs, metrics and commands.
func peerName(text string) (string, error) {
	if !nameForm.MatchString(text) {
		return "", fmt.Errorf("%q is no name (up to 63 letters, digits, _, . and -, a letter or digit first)", text)
	}
	return text, nil
}

// checkAddress checks the address of the peer, and the interfaces on which it is heard.
func (s *stanza) checkAddress() {
	p := &s.peer
	if v, ok := s.at["interfaces"]; ok && v.isEmptyList() {
		v.Problem("no interface (at least one name or glob)")
	}
	if _, given := s.at["address"]; !given {
		switch {
		case s.whole.d.guard:
			s.missing("address", "the peer's address")
			return
		case p.Role == trust.Relay:
			s.at["role"].Problem("a relay without an address (address: an IPv6 or IPv4 address)")
		}
		p.Address = dhcp6.AllServers // the default of a relay agent to which nothing else is configured (RFC 8415 section 19)
	}
	if !p.Address.IsValid() {
		return
	}
	s.checkZone()
	if p.Address.IsMulticast() {
		if p.Role == trust.Relay {
			s.at["role"].Problem("a relay at a multicast address (role server, or a unicast address)")
		}
		if v, ok := s.at["prefix"]; ok {
			v.Problem("a prefix beside a multicast address (leave it out)")
		}
	}
	if v, ok := s.at["delegable"]; ok && p.Address.Is4() {
		v.Problem("prefixes of DHCPv6, and the peer's address is %s (leave it out)", p.Address)
	}
	switch {
	case !p.Prefix.IsValid():
		p.Prefix = netip.PrefixFrom(p.Address, p.Address.BitLen())
	case !p.Prefix.Contains(p.Address):
		s.at["prefix"].Problem("%s does not hold the peer's address %s", p.Prefix, p.Address)
	}
	if p.Local.IsValid() && p.Local == p.Address && p.Role == trust.Server && p.Protection == trust.ProtectionNone {
		s.at["local"].Problem("%s is the peer's address too: a server on this machine would answer itself (auto, or another address of this machine; %s)", p.Local, serverHere)
	}
	if p.Local.IsValid() && p.Local.Is4() != p.Address.Is4() {
		s.at["local"].Problem("%s and the peer's address %s are of two families (one of %s)", p.Local, p.Address, familyOf(p.Address).version())
	} else if p.Local.Is6() && p.Local.IsLinkLocalUnicast() && !p.Address.IsLinkLocalUnicast() && !p.Address.IsMulticast() {
		s.at["local"].Problem("%s is link-local, and the peer's address %s is not (a global or unique local address, or auto)", p.Local, p.Address)
	}
}

// checkZone finds the link of an address whose scope is one link.
func (s *stanza) checkZone() {
	p := &s.peer
	if p.Address.Is4() || !p.Address.IsLinkLocalUnicast() && !p.Address.IsMulticast() {
		return
	}
	v, given := s.at["interfaces"]
	switch {
	case !given && s.whole.d.guard:
		s.missing("interfaces", "exactly one interface by its name, because "+p.Address.String()+" has a meaning on one link only")
	case len(p.Interfaces) == 0: // missing, empty or misspelt, which has been reported
	case len(p.Interfaces) > 1 || isGlob(p.Interfaces[0]):
		v.Problem("%s (exactly one interface by its name, because %s has a meaning on one link only)",
			strings.Join(p.Interfaces, ", "), p.Address)
	default:
		p.Zone = p.Interfaces[0]
	}
}

// decodeRanges reads a list of delegable prefixes.
func decodeRanges(v Value) []trust.Range {
	var ranges []trust.Range
	v.list("mappings with prefix and lengths", func(v Value) {
		var r trust.Range
		var lengths [2]int
		var at Value
		v.Mapping(
			Required("prefix", "an IPv6 prefix", Read(&r.Prefix, pool)),
			Optional("lengths", func(v Value) {
				at = v
				Read(&lengths, lengthRange)(v)
			}),
		)
		if !r.Prefix.IsValid() {
			return
		}
		r.Min, r.Max = lengths[0], lengths[1]
		switch {
		case at.node == nil:
			r.Min, r.Max = r.Prefix.Bits(), max(r.Prefix.Bits(), 64)
		case r.Min != 0 && r.Min < r.Prefix.Bits():
			at.Problem("%d is shorter than the prefix itself (lengths from %d to 128)", r.Min, r.Prefix.Bits())
		}
		ranges = append(ranges, r)
	})
	return ranges
}
