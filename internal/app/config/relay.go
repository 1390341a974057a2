package config

import (
	"fmt"
	"path"
	"slices"

	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

func (r *Relay6) decode(v value, peers []trust.Peer) {
	defaults := linkEntry{rule: r.Defaults, rate: defaultRate()}
	linksGiven := false
	var clear []string // servers without protection
	for i := range peers {
		if peers[i].Role == trust.Server && peers[i].Protection == trust.ProtectionNone {
			clear = append(clear, peers[i].Name)
		}
	}
	isMapping := v.mapping(
		optional("forward", read(&r.Forward, oneOf(
			choice[relay6.ForwardPolicy]{"all", relay6.ForwardAll}, choice[relay6.ForwardPolicy]{"first", relay6.ForwardFirst}))),
		optional("source-port", read(&r.SourcePort, sourcePort)),
		optional("reserved-prefixes", readList(&r.Infrastructure, "prefixes", prefix)),
		optional("defaults", func(v value) { defaults.decode(v, nil) }),
		optional("links", func(v value) {
			linksGiven = true
			r.Links = decodeLinks(v, defaults, clear)
		}),
	)
	r.Defaults = defaults.finish()
	if isMapping && !linksGiven && !anyRelay(peers) {
		v.part(v.node, v.child("links")).problem("missing (the client-facing links, or else a peer with role: relay)")
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
func decodeLinks(v value, defaults linkEntry, clear []string) []relay6.LinkRule {
	var rules []relay6.LinkRule
	seen := &matches{of: make(map[string]string)}
	ids := make(map[string]string)
	v.list("links", func(v value) {
		entry := defaults
		entry.at, entry.id = value{}, value{}
		entry.decode(v, seen)
		entry.checkSensitive(v, clear)
		entry.checkInterfaceID(v, ids)
		rules = append(rules, entry.finish())
	})
	if v.isEmptyList() {
		v.problem("no link (at least one)")
	}
	return rules
}

// matches are the globs of the rules so far.
type matches struct {
	globs []string
	of    map[string]string // path of each glob
}

// decode reads the globs of one rule.
func (m *matches) decode(v value, to *[]string) {
	one := func(v value) {
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
		v.problem("no name (at least one name or glob)")
	}
}

// check reports a glob that can never match, and a link that is an uplink.
func (m *matches) check(v value, glob string) {
	for _, earlier := range m.globs {
		held := earlier == glob
		if !held && !isGlob(glob) {
			held, _ = path.Match(earlier, glob) // parsed before: no error
		}
		if held {
			v.problem("%q is matched by %q of %s already (the first match wins: put the narrower one first)", glob, earlier, m.of[earlier])
			break
		}
	}
	if peer, ok := v.d.uplinks[glob]; ok {
		v.problem("%q is the uplink of peer %q (a link faces clients or servers, not both)", glob, peer)
	}
	m.globs = append(m.globs, glob)
	if _, ok := m.of[glob]; !ok {
		m.of[glob] = v.path
	}
}
