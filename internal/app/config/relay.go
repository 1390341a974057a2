package config

import (
	"fmt"
	"path"
	"slices"

	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
)

// relay reads the section of a relay, which is nearly the same for both families.
type relay struct {
	family     Family
	forward    *peers.Policy
	sourcePort *uint16
	own        []Field // keys that the other relay does not have
	defaults   func(Value)
	link       func(v Value, seen *matches) // reads one rule for client-facing links, on top of the defaults
}

// wantRelay is the text that says what a relay's section must be.
const wantRelay = "a mapping with links, unless a peer has role: relay"

func (r relay) decode(v Value, c *Process) {
	linksGiven := false
	isMapping := v.Mapping(slices.Concat([]Field{
		Optional("forward", Read(r.forward, oneOf(
			choice[peers.Policy]{"all", peers.All}, choice[peers.Policy]{"first", peers.First}))),
		Optional("source-port", Read(r.sourcePort, sourcePort(r.family))),
	}, r.own, []Field{
		Optional("defaults", r.defaults),
		Optional("links", func(v Value) {
			linksGiven = true
			seen := v.d.links(r.family)
			v.list("links", func(v Value) { r.link(v, seen) })
			if v.isEmptyList() {
				v.Problem("no link (at least one)")
			}
		}),
	})...)
	if isMapping && !linksGiven && !anyRelay(c.Peers, r.family, section(v.path)) {
		v.part(v.node, v.child("links")).Problem("missing (the client-facing links, or else a peer with role: relay)")
	}
	if *r.sourcePort != r.family.serverPort() {
		c.sourcePorts[r.family] = *r.sourcePort
	}
}

// anyRelay reports whether a role hears a relay agent that is a peer. Then we need no links with
// clients of our own.
func anyRelay(peers []trust.Peer, f Family, role string) bool {
	return slices.ContainsFunc(peersOf(peers, f, role), func(p trust.Peer) bool { return p.Role == trust.Relay })
}

// inClear returns the names of a family's servers without protection.
func inClear(peers []trust.Peer, f Family) (names []string) {
	for i := range peers {
		if p := &peers[i]; p.Role == trust.Server && p.Protection == trust.ProtectionNone && familyOf(p.Address) == f {
			names = append(names, p.Name)
		}
	}
	return names
}

// sourcePort returns a parser of the port from which a relay sends to servers (RFC 8357).
func sourcePort(f Family) func(string) (uint16, error) {
	return func(text string) (uint16, error) {
		port, err := integer[uint16](1, 65535)(text)
		if err == nil && port == f.clientPort() {
			return 0, fmt.Errorf("%d is the port of clients (another port from 1 to 65535)", port)
		}
		return port, err
	}
}

// setting is a key of a section, and whether its value has changed.
type setting struct {
	key     string
	changed bool
}

func changed(all ...setting) (keys []string) {
	for _, s := range all {
		if s.changed {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// matches has the globs of the rules that were read so far.
type matches struct {
	family Family
	globs  []string
	of     map[string]string // by glob, the path where it stands
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
		v.checkCover(m.family, glob)
		v.note(mention{kind: mentionMatch, family: m.family, text: glob})
		*to = append(*to, glob)
	}
	v.oneOrList("names and globs", one)
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
			held, _ = path.Match(earlier, glob) // the glob was parsed before: no error
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
