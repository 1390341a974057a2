package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fairlead/internal/core/trust"
)

// Machine is the host that a configuration is for, as far as a file can name things that the host
// does not have. The caller that checks a file looks at the host and passes a Machine.
type Machine struct {
	Interfaces []string       // names of all interfaces that are there now
	Held       map[string]int // live delegations by link, as far as they are known
	User       func(name string) bool
	Group      func(name string) bool
	Program    func(path string) error // returns why a program cannot be run
}

// mention is a name in the file of something that should be on the host.
type mention struct {
	kind   mentionKind
	family Family // for mentionMatch: the family of the clients on the links
	text   string
	at     Problem // the place in the file; without a text
}

type mentionKind uint8

const (
	mentionMatch mentionKind = iota // of a client-facing link
	mentionPeer                     // of an interface that a peer is heard on
	mentionUser
	mentionGroup
	mentionProgram
)

// mention notes a name that is looked for on the host later.
func (v Value) mention(kind mentionKind, text string) { v.note(mention{kind: kind, text: text}) }

func (v Value) note(m mention) {
	at := start(v.node)
	m.at = Problem{v.d.file, at.Line, at.Column, v.path, ""}
	v.d.mentions = append(v.d.mentions, m)
}

// Misfits returns warnings of what the file names and the host does not have. Interfaces come and
// go. So it warns of a glob that matches none of them only if there are delegations on links
// without a rule: then the glob is likely to be misspelt.
func (c *Config) Misfits(m *Machine) Problems {
	return misfits(c.mentions, m, c.unmatched(m.Held))
}

// unmatched names, in one text each, the links with delegations that no rule matches.
func (c *Config) unmatched(held map[string]int) []string {
	peers := trust.NewSet(c.Peers)
	var words []string
	for _, link := range slices.Sorted(maps.Keys(held)) {
		if held[link] > 0 && (peers.HeardOn(trust.Server, link) || c.Served(DHCPv6, link) == "") {
			words = append(words, fmt.Sprintf("%s (%d)", link, held[link]))
		}
	}
	return words
}

// maxNamed bounds the names in one warning.
const maxNamed = 8

func misfits(mentions []mention, m *Machine, unmatched []string) Problems {
	if n := len(unmatched); n > maxNamed {
		unmatched = append(unmatched[:maxNamed:maxNamed], fmt.Sprintf("%d more", n-maxNamed))
	}
	var found Problems
	for _, n := range mentions {
		if text := n.misfit(m, unmatched); text != "" && len(found) < maxProblems {
			p := n.at
			p.Text = text
			found = append(found, p)
		}
	}
	found.sort()
	return found
}

// misfit returns what is wrong with one name, or an empty text.
func (n *mention) misfit(m *Machine, unmatched []string) string {
	matches := func(link string) bool { return trust.MatchAny([]string{n.text}, link) }
	switch n.kind {
	case mentionMatch, mentionPeer:
		switch there := slices.ContainsFunc(m.Interfaces, matches); {
		case there:
		case !isGlob(n.text) && n.kind == mentionPeer:
			return fmt.Sprintf("no interface is named %q now: nothing is heard there until there is one", n.text)
		case !isGlob(n.text):
			return fmt.Sprintf("no interface is named %q now: nobody is served there until there is one", n.text)
		case n.family == DHCPv6 && len(unmatched) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(m.Held)), matches):
			return fmt.Sprintf("%q matches no interface now, and no rule matches these links with delegations: %s", n.text, strings.Join(unmatched, ", "))
		}
	case mentionUser:
		if !m.User(n.text) {
			return fmt.Sprintf("no user is named %q here", n.text)
		}
	case mentionGroup:
		if !m.Group(n.text) {
			return fmt.Sprintf("no group is named %q here", n.text)
		}
	case mentionProgram:
		if err := m.Program(n.text); err != nil {
			return fmt.Sprintf("%s cannot be run: %v", n.text, err)
		}
	}
	return ""
}
