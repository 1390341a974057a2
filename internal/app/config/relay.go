package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// Relay6 is the DHCPv6 relay.
type Relay6 struct {
	Forward        peers.Policy
	SourcePort     uint16 // 547 unless configured
	Infrastructure []netip.Prefix
	Defaults       relay6.LinkRule   // what Links start from; without Match
	Links          []relay6.LinkRule // in the order of the file; the first that matches holds
}

// Core is the configuration of the relay's core. The relay-id is the one in use,
// hostname fills templates in.
func (r *Relay6) Core(peers []trust.Peer, relayID dhcp6.DUID, hostname string) relay6.Config {
	return relay6.Config{
		Peers:          peers,
		Links:          r.Links,
		Forward:        r.Forward,
		RelayID:        relayID,
		SourcePort:     r.SourcePort,
		Infrastructure: r.Infrastructure,
		Hostname:       hostname,
	}
}

// Relay6Kind is the section of the DHCPv6 relay. Below relay agents that are peers it is
// played without one.
func Relay6Kind() Kind {
	return Kind{
		Name: "relay6", Want: "a mapping with links, unless a peer has role: relay",
		Default: func() Section { return defaultRelay6() },
		Decode: func(v Value, c *Process) Section {
			r := defaultRelay6()
			r.decode(v, c)
			return r
		},
		Implied: func(c *Process) bool { return anyRelay(c.Peers) },
	}
}

func defaultRelay6() *Relay6 {
	interfaceID, err := links.ParseTemplate(defaultInterfaceID)
	if err != nil {
		panic("config: " + err.Error()) // a constant of ours
	}
	return &Relay6{
		SourcePort: dhcp6.ServerPort,
		Defaults: relay6.LinkRule{
			SharedAuto:      true,
			RoutedAuto:      true,
			MoveAuto:        true,
			InterfaceID:     interfaceID,
			InsertRelayID:   true,
			InsertLinkLayer: true,
			Delegations: delegation.Policy{
				ClientLimit: delegation.DefaultClientLimit,
				LinkLimit:   delegation.DefaultLinkLimit,
				HostLimit:   delegation.HostLimitAuto,
			},
			Rate: defaultRate().limits(false),
			Host: hoststate.Policy{Filter: hoststate.FilterLink, Loop: hoststate.LoopDrop, Metric: defaultMetric},
		},
	}
}

// Serves reports whether a rule matches a link.
func (r *Relay6) Serves(link string) bool {
	return slices.ContainsFunc(r.Links, func(rule relay6.LinkRule) bool { return trust.MatchAny(rule.Match, link) })
}

// Changed are the keys, beside rules for links, whose values differ in next.
func (r *Relay6) Changed(next Section) (keys []string) {
	n := next.(*Relay6)
	for _, s := range []struct {
		key     string
		changed bool
	}{
		{"forward", r.Forward != n.Forward},
		{"source-port", r.SourcePort != n.SourcePort},
		{"reserved-prefixes", !slices.Equal(r.Infrastructure, n.Infrastructure)},
	} {
		if s.changed {
			keys = append(keys, s.key)
		}
	}
	return keys
}

func (r *Relay6) decode(v Value, c *Process) {
	configured := c.Peers
	defaults := linkEntry{rule: r.Defaults, rate: defaultRate()}
	linksGiven := false
	var clear []string // servers without protection
	for i := range configured {
		if p := &configured[i]; p.Role == trust.Server && p.Protection == trust.ProtectionNone {
			clear = append(clear, p.Name)
		}
	}
	isMapping := v.Mapping(
		Optional("forward", Read(&r.Forward, oneOf(
			choice[peers.Policy]{"all", peers.All}, choice[peers.Policy]{"first", peers.First}))),
		Optional("source-port", Read(&r.SourcePort, sourcePort)),
		Optional("reserved-prefixes", ReadList(&r.Infrastructure, "prefixes", prefix)),
		Optional("defaults", func(v Value) { defaults.decode(v, nil) }),
		Optional("links", func(v Value) {
			linksGiven = true
			r.Links = decodeLinks(v, defaults, clear)
		}),
	)
	r.Defaults = defaults.finish()
	if isMapping && !linksGiven && !anyRelay(configured) {
		v.part(v.node, v.child("links")).Problem("missing (the client-facing links, or else a peer with role: relay)")
	}
	if r.SourcePort != dhcp6.ServerPort {
		c.sourcePort = r.SourcePort
	}
}

// anyRelay reports whether there is a relay below us: then no link of ours need face
// clients.
func anyRelay(peers []trust.Peer) bool {
	return slices.ContainsFunc(peers, func(p trust.Peer) bool { return p.Role == trust.Relay })
}

// sourcePort parses the port that we send to servers from (RFC 8357).
func sourcePort(text string) (uint16, error) {
	port, err := integer[uint16](1, 65535)(text)
	if err == nil && port == dhcp6.ClientPort {
		return 0, fmt.Errorf("546 is the port of clients (another port from 1 to 65535)")
	}
	return port, err
}

// decodeLinks reads the rules for client-facing links, each over the defaults.
func decodeLinks(v Value, defaults linkEntry, clear []string) []relay6.LinkRule {
	var rules []relay6.LinkRule
	seen := v.d.links(DHCPv6)
	ids := make(map[string]string)
	v.list("links", func(v Value) {
		entry := defaults
		entry.at, entry.id = Value{}, Value{}
		entry.decode(v, seen)
		entry.checkSensitive(v, clear)
		entry.checkInterfaceID(v, ids)
		rules = append(rules, entry.finish())
	})
	if v.isEmptyList() {
		v.Problem("no link (at least one)")
	}
	return rules
}

// matches are the globs of the rules so far.
type matches struct {
	family Family
	globs  []string
	of     map[string]string // path of each glob
}

// decode reads the globs of one rule.
func (m *matches) decode(v Value, to *[]string) {
	one := func(v Value) {
		glob, ok := scalar(v, interfaceGlob)
		if !ok {
			return
		}
		m.check(v, glob)
		v.checkGlob(glob)
		v.checkCover(glob)
		v.mention(mentionMatch, glob)
		*to = append(*to, glob)
	}
	if v.isScalar() {
		one(v)
		return
	}
	v.list("names and globs, or one", one)
	if v.isEmptyList() {
		v.Problem("no name (at least one name or glob)")
	}
}

// check reports a glob that can never match, and a link that is an uplink.
func (m *matches) check(v Value, glob string) {
	for _, earlier := range m.globs {
		if other := section(m.of[earlier]); other != section(v.path) {
			if overlap(earlier, glob) {
				v.Problem("%q may name a link that %q of %s names (a link has one %s role)", glob, earlier, m.of[earlier], m.family)
				break
			}
			continue
		}
		held := earlier == glob
		if !held && !isGlob(glob) {
			held, _ = path.Match(earlier, glob) // parsed before: no error
		}
		if held {
			v.Problem("%q is matched by %q of %s already (the first match wins: put the narrower one first)", glob, earlier, m.of[earlier])
			break
		}
	}
	if peer, ok := v.d.uplinks[glob]; ok {
		v.Problem("%q is the uplink of peer %q (a link faces clients or servers, not both)", glob, peer)
	}
	m.globs = append(m.globs, glob)
	if _, ok := m.of[glob]; !ok {
		m.of[glob] = v.path
	}
}
