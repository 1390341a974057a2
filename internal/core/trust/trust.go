// Package trust says who may talk to us and how: the configured peers, their
// roles, their uplinks and the protection that each requires. It holds no
// state; a Set is immutable and replaced whole when the configuration changes.
package trust

import (
	"net/netip"
	"path"
)

// PeerRole is the role of a peer towards us.
type PeerRole uint8

// The roles. A server takes Relay-forwards from us and sends Relay-replies; a
// relay sends Relay-forwards to us and takes Relay-replies.
const (
	Server PeerRole = iota + 1
	Relay
)

func (r PeerRole) String() string {
	switch r {
	case Server:
		return "server"
	case Relay:
		return "relay"
	}
	return "unknown"
}

// Protection is how a peer's datagrams must be protected.
type Protection uint8

// The protections. ProtectionNone is datagrams in clear, which the operator must configure
// explicitly: there is no default. ProtectionIPsec is ESP between the two addresses (RFC
// 8213), or nothing.
const (
	ProtectionNone Protection = iota + 1
	ProtectionIPsec
)

func (p Protection) String() string {
	switch p {
	case ProtectionNone:
		return "none"
	case ProtectionIPsec:
		return "ipsec"
	}
	return "unset"
}

// Range bounds what may be learned: prefixes inside Prefix whose lengths lie
// in [Min, Max].
type Range struct {
	Prefix   netip.Prefix
	Min, Max int
}

// Includes reports whether p lies in the range.
func (r Range) Includes(p netip.Prefix) bool {
	return r.Prefix.Bits() <= p.Bits() && r.Prefix.Contains(p.Addr()) && r.Min <= p.Bits() && p.Bits() <= r.Max
}

// Peer is one configured server or relay.
type Peer struct {
	Name       string
	Address    netip.Addr   // unicast, link-local or multicast, without zone
	Prefix     netip.Prefix // of the addresses that count as this peer; a host prefix unless configured
	Zone       string       // interface of a link-local or multicast address, else empty
	Local      netip.Addr   // address that our socket binds; invalid: the kernel chooses
	Role       PeerRole
	Interfaces []string // interfaces on which it is heard: names or globs
	HeardBy    string   // the role of ours that it talks to; empty: every one of its family
	Protection Protection
	Delegable  []Range // empty: no bound of this peer's own
	// Assignments says that a server tells what it has assigned beside the message for the
	// client (RAAN): of a server that we ask it, of a relay that we tell it if the relay asks.
	// It is set for peers alone that ProtectionIPsec protects.
	Assignments bool
}

// On reports whether the peer may be heard on the named interface.
func (p *Peer) On(link string) bool { return MatchAny(p.Interfaces, link) }

// MatchAny reports whether one of the globs matches an interface's name.
func MatchAny(globs []string, link string) bool {
	for _, g := range globs {
		if ok, err := path.Match(g, link); ok && err == nil {
			return true
		}
	}
	return false
}

// ClientRule is the first of the rules whose globs match a link's name, which makes it a
// link with clients. It is nil where there is none, and where a server is heard on the
// link: an uplink has no clients.
func ClientRule[R any](peers *Set, rules []R, globs func(*R) []string, link string) *R {
	if peers.HeardOn(Server, link) {
		return nil
	}
	for i := range rules {
		if MatchAny(globs(&rules[i]), link) {
			return &rules[i]
		}
	}
	return nil
}

// Globs are the globs of all rules, in their order.
func Globs[R any](rules []R, globs func(*R) []string) (all []string) {
	for i := range rules {
		all = append(all, globs(&rules[i])...)
	}
	return all
}

// Set is the configured peers.
type Set struct{ peers []Peer }

// NewSet takes the peers in the order of the configuration.
func NewSet(peers []Peer) *Set { return &Set{peers: peers} }

// Peers are all peers, in the order of the configuration.
func (s *Set) Peers() []Peer { return s.peers }

// Find is the peer with that role that may send from this source on this link, nil if
// there is none. Of several it is the one that has exactly this address, else the first.
func (s *Set) Find(role PeerRole, source netip.Addr, link string) *Peer {
	return s.find(role, source, func(p *Peer) bool { return p.On(link) && (p.Zone == "" || p.Zone == link) })
}

// FindAddress is Find for a global address, on any link.
func (s *Set) FindAddress(role PeerRole, a netip.Addr) *Peer {
	return s.find(role, a, func(*Peer) bool { return true })
}

func (s *Set) find(role PeerRole, a netip.Addr, may func(*Peer) bool) (first *Peer) {
	for i := range s.peers {
		p := &s.peers[i]
		if p.Role != role || !p.counts(a) || !may(p) {
			continue
		}
		if p.Address == a {
			return p
		}
		if first == nil {
			first = p
		}
	}
	return first
}

// counts reports whether an address counts as the peer. Where the peer's address is
// multicast, any source on its uplinks counts: the address does not tell who answers.
func (p *Peer) counts(a netip.Addr) bool { return p.Address.IsMulticast() || p.Prefix.Contains(a) }

// HeardOn reports whether any peer of the role may be heard on the link.
func (s *Set) HeardOn(role PeerRole, link string) bool {
	for i := range s.peers {
		if s.peers[i].Role == role && s.peers[i].On(link) {
			return true
		}
	}
	return false
}
