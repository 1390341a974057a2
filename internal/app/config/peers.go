package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"fairlead/internal/core/trust"
)

// decodePeers reads the list of peers.
func decodePeers(v value) []trust.Peer {
	var peers []trust.Peer
	broken := false
	v.list("peers", func(v value) {
		before := len(v.d.problems)
		p, at := decodePeer(v)
		broken = broken || len(v.d.problems) > before
		for i := range peers {
			compare(&p, &peers[i], at)
		}
		peers = append(peers, p)
	})
	// A peer that is misspelt may be the server.
	if v.isList() && !broken && !slices.ContainsFunc(peers, func(p trust.Peer) bool { return p.Role == trust.Server }) {
		v.problem("no server among the peers (at least one with role: server)")
	}
	return peers
}

// compare checks a peer against an earlier one.
func compare(p, earlier *trust.Peer, at map[string]value) {
	if p.Name != "" && p.Name == earlier.Name {
		at["name"].problem("another peer is named %q (names are unique)", p.Name)
	}
	if p.Address.IsValid() && p.Address == earlier.Address && p.Role == earlier.Role && p.Zone == earlier.Zone {
		at["address"].problem("peer %q has the same address and role (each peer once)", earlier.Name)
	}
}

// decodePeer reads one peer, and keeps where its keys are.
func decodePeer(v value) (trust.Peer, map[string]value) {
	var p trust.Peer
	at := make(map[string]value)
	keep := func(key string, then func(value)) func(value) {
		return func(v value) {
			at[key] = v
			then(v)
		}
	}
	v.mapping(
		required("name", "a name for logs, metrics and commands", keep("name", read(&p.Name, peerName))),
		optional("address", keep("address", read(&p.Address, address))),
		optional("prefix", keep("prefix", read(&p.Prefix, prefix))),
		optional("local", keep("local", read(&p.Local, orWord("auto", netip.Addr{}, unicast)))),
		required("role", "one of: server, relay", keep("role", read(&p.Role, oneOf(
			choice[trust.Role]{"server", trust.Server}, choice[trust.Role]{"relay", trust.Relay})))),
		required("interfaces", "a list of the interfaces it is heard on", keep("interfaces", readList(&p.Interfaces, "interfaces", interfaceGlob))),
		required("protection", "there is no default; none: messages in clear; ipsec and tls are not available in this version", read(&p.Protection, notYet(
			oneOf(choice[trust.Protection]{"none", trust.ProtectionNone}), "ipsec", "tls"))),
		optional("delegable", func(v value) { p.Delegable = decodeRanges(v) }),
	)
	checkPeer(&p, at)
	if p.Role == trust.Server {
		for _, name := range p.Interfaces {
			if !isGlob(name) {
				v.d.uplinks[name] = p.Name
			}
		}
	}
	return p, at
}

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// peerName parses what logs, metrics and commands call a peer.
func peerName(text string) (string, error) {
	if !nameForm.MatchString(text) {
		return "", fmt.Errorf("%q is no name (up to 63 letters, digits, _, . and -, a letter or digit first)", text)
	}
	return text, nil
}

// allServers is All_DHCP_Servers, where a relay agent sends to that has not been
// told better (RFC 8415 section 19).
var allServers = netip.MustParseAddr("ff05::1:3")

// checkPeer checks the keys of a peer against each other, and fills in what
// follows from them.
func checkPeer(p *trust.Peer, at map[string]value) {
	if v, ok := at["interfaces"]; ok && v.isEmptyList() {
		v.problem("no interface (at least one name or glob)")
	}
	if _, given := at["address"]; !given {
		if p.Role == trust.Relay {
			at["role"].problem("a relay without an address (address: an IPv6 address)")
		}
		p.Address = allServers
	}
	if !p.Address.IsValid() {
		return
	}
	scoped := p.Address.IsLinkLocalUnicast() || p.Address.IsMulticast()
	if scoped && len(p.Interfaces) > 0 {
		if len(p.Interfaces) > 1 || isGlob(p.Interfaces[0]) {
			at["interfaces"].problem("%s (exactly one interface by its name, because %s has a meaning on one link only)",
				strings.Join(p.Interfaces, ", "), p.Address)
		} else {
			p.Zone = p.Interfaces[0]
		}
	}
	if p.Address.IsMulticast() {
		if p.Role == trust.Relay {
			at["role"].problem("a relay at a multicast address (role server, or a unicast address)")
		}
		if v, ok := at["prefix"]; ok {
			v.problem("a prefix beside a multicast address (leave it out)")
		}
	}
	switch {
	case !p.Prefix.IsValid():
		p.Prefix = netip.PrefixFrom(p.Address, p.Address.BitLen())
	case !p.Prefix.Contains(p.Address):
		at["prefix"].problem("%s does not hold the peer's address %s", p.Prefix, p.Address)
	}
	if p.Local.IsLinkLocalUnicast() && !scoped {
		at["local"].problem("%s is link-local, and the peer's address %s is not (a global or unique local address, or auto)", p.Local, p.Address)
	}
}

// decodeRanges reads a list of delegable prefixes.
func decodeRanges(v value) []trust.Range {
	var ranges []trust.Range
	v.list("mappings with prefix and lengths", func(v value) {
		var r trust.Range
		var lengths [2]int
		var at value
		v.mapping(
			required("prefix", "an IPv6 prefix", read(&r.Prefix, pool)),
			optional("lengths", func(v value) {
				at = v
				read(&lengths, lengthRange)(v)
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
			at.problem("%d is shorter than the prefix itself (lengths from %d to 128)", r.Min, r.Prefix.Bits())
		}
		ranges = append(ranges, r)
	})
	return ranges
}
