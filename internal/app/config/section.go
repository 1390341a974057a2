package config

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"fairlead/docs/reference"
	"fairlead/internal/core/trust"
)

// Section is what a file says for one role.
type Section interface {
	// Changed returns the keys, each without the name of the section, whose values differ in
	// next.
	Changed(next Section) []string
	// Serves reports whether the role has its clients of a family on the link of that name.
	Serves(f Family, link string) bool
}

// Kind describes the section of one role, before anything is read.
type Kind struct {
	Name    string         // its key in the file, which is also the role's name
	Want    string         // what a section must be, for the message that no role has one
	Family  Family         // of its messages, and of the servers that it needs among the peers
	Server  bool           // the role is a server itself, and needs no server among the peers
	Default func() Section // without the keys that every file must have
	// Decode reads the section on top of its defaults, after the peers. It reports problems to v.
	Decode func(v Value, c *Process) Section
	// Implied reports whether the role is played if no role of its family has a section; nil: it
	// is not.
	Implied func(c *Process) bool
}

// Kinds are the kinds of all roles that one process can play.
type Kinds []Kind

// Default returns a configuration of defaults alone, with the sections of all roles. It has
// neither peers nor links, which every file must name.
func (k Kinds) Default() *Config {
	c := Default()
	for i := range k {
		c.Sections[k[i].Name] = k[i].Default()
	}
	return c
}

// Parse reads a configuration from text, and the key files that it names. name is the file's name
// in problems. The error is Problems, sorted by position.
func (k Kinds) Parse(name string, text []byte) (*Config, error) {
	d := newDecoder(name)
	c := d.config(text, k)
	if err := d.failed(); err != nil {
		return nil, err
	}
	return c, nil
}

// Load reads a configuration file, and the key files that it names. It refuses a file that others
// than its owner may write. If the file could be read, the error is Problems.
func (k Kinds) Load(path string) (*Config, error) {
	text, err := load(path)
	if err != nil {
		return nil, err
	}
	return k.Parse(path, text)
}

// Reference returns the commented reference file: every key with its default and its meaning. It
// is a valid configuration.
func Reference() string { return reference.Fairlead }

// sections returns the fields of a file for the sections of the roles. If no role has a section,
// the problem names that of the first role.
func (k Kinds) sections(whole Value, c *Config) []Field {
	fields := make([]Field, 0, len(k))
	none := !slices.ContainsFunc(k, func(kind Kind) bool { return whole.has(kind.Name) })
	for i, kind := range k {
		fields = append(fields, Required(kind.Name, kind.Want, func(v Value) {
			c.Sections[kind.Name] = kind.Decode(v, &c.Process)
		}).unless(func() bool { return i > 0 || !none || k.imply(c) }))
	}
	return fields
}

// imply gives default sections to the roles that are played without one, and reports whether any
// role is played.
func (k Kinds) imply(c *Config) bool {
	for i := range k {
		if k[i].Implied != nil && !k.plays(c, k[i].Family) && k[i].Implied(&c.Process) {
			c.Sections[k[i].Name] = k[i].Default()
		}
	}
	return len(c.Sections) > 0
}

// alone reports whether all roles that a file has a section for are servers.
func (k Kinds) alone(whole Value) bool {
	some, others := false, false
	for i := range k {
		if whole.has(k[i].Name) {
			some, others = some || k[i].Server, others || !k[i].Server
		}
	}
	return some && !others
}

// findHearer finds the role that hears a peer: what a relay sends is for one role alone. It
// returns true if it found no problem.
func (k Kinds) findHearer(whole Value, s *stanza) bool {
	p := &s.peer
	if p.Role == 0 || !p.Address.IsValid() {
		return true // this has been reported
	}
	f := familyOf(p.Address)
	hearers := k.hearers(f, p.Role, func(kind *Kind) bool { return whole.has(kind.Name) })
	if len(hearers) == 0 { // then the roles that need no section are played
		hearers = k.hearers(f, p.Role, func(kind *Kind) bool { return kind.Implied != nil })
	}
	before := len(whole.d.problems)
	switch v, given := s.at["heard-by"]; {
	case given && p.Role != trust.Relay:
		v.Problem("of a relay, beside role: %s (leave it out)", p.Role)
	case len(hearers) == 0: // the peer is reported elsewhere
	case given:
		choices := make([]choice[string], len(hearers))
		for i, name := range hearers {
			choices[i] = choice[string]{name, name}
		}
		Read(&p.HeardBy, oneOf(choices...))(v)
	case len(hearers) == 1:
		p.HeardBy = hearers[0]
	case p.Role == trust.Relay:
		s.missing("heard-by", "the role that its messages are for, "+among(hearers))
	}
	return len(whole.d.problems) == before
}

// hearers returns the roles of a family that hear peers of a peer's role, among the kinds that
// are wanted.
func (k Kinds) hearers(f Family, role trust.PeerRole, wanted func(*Kind) bool) (names []string) {
	for i := range k {
		if k[i].Family == f && wanted(&k[i]) && !(k[i].Server && role == trust.Server) {
			names = append(names, k[i].Name)
		}
	}
	return names
}

// possible names, in one text, all roles that could hear a peer.
func (k Kinds) possible(p *trust.Peer) string {
	var words strings.Builder
	for _, name := range k.hearers(familyOf(p.Address), p.Role, func(*Kind) bool { return true }) {
		words.WriteString(", or a section " + name)
	}
	return words.String()
}

// plays reports whether there is a section of a family.
func (k Kinds) plays(c *Config, f Family) bool {
	return slices.ContainsFunc(k, func(kind Kind) bool { return kind.Family == f && c.Sections[kind.Name] != nil })
}

// checkFamilies reports roles without a server of their family, and peers of a family that no
// role has.
func (k Kinds) checkFamilies(whole Value, c *Config, peers []*stanza) {
	if len(c.Sections) == 0 {
		return // this has been reported
	}
	for i := range k {
		f := k[i].Family
		isServer := func(p trust.Peer) bool { return p.Role == trust.Server && familyOf(p.Address) == f }
		if c.Sections[k[i].Name] != nil && !k[i].Server && !slices.ContainsFunc(c.Peers, isServer) {
			whole.at(k[i].Name).Problem("no %s server among the peers (at least one with role: server and an %s address)", f, f.version())
		}
	}
	for _, s := range peers {
		f := familyOf(s.peer.Address)
		played := func(kind *Kind) bool { return c.Sections[kind.Name] != nil }
		switch {
		case !k.plays(c, f):
			s.misfit(f, k)
		case len(k.hearers(f, s.peer.Role, played)) == 0:
			s.at["role"].Problem("a server, and no section asks one in %s (role: relay%s)", f, k.possible(&s.peer))
		}
	}
}

// misfit reports a peer that no role speaks with.
func (s *stanza) misfit(f Family, k Kinds) {
	others := "an IPv4 address"
	if f == DHCPv4 {
		others = "an IPv6 address"
	}
	others += k.possible(&s.peer)
	if v, given := s.at["address"]; given {
		v.Problem("%s is %s, and no section is for %s (%s)", s.peer.Address, f.version(), f, others)
		return
	}
	s.missing("address", fmt.Sprintf("%s; without one it is %s, which no section is for", others, s.peer.Address))
}

// Served returns the role that has its clients of a family on a link, and an empty text if none
// has.
func (c *Config) Served(f Family, link string) (role string) {
	for _, name := range slices.Sorted(maps.Keys(c.Sections)) {
		if c.Sections[name].Serves(f, link) {
			return name
		}
	}
	return ""
}

// sectionsChanged returns the keys in which the sections of two files differ. If only one file
// has a section, that is the key of the whole section.
func (c *Config) sectionsChanged(next *Config) (keys []string) {
	names := slices.Collect(maps.Keys(c.Sections))
	for name := range next.Sections {
		if c.Sections[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		old, new := c.Sections[name], next.Sections[name]
		if old == nil || new == nil {
			keys = append(keys, name)
			continue
		}
		for _, key := range old.Changed(new) {
			if name != GuardName { // the guard's keys are the keys of the file
				key = name + "." + key
			}
			keys = append(keys, key)
		}
	}
	return keys
}

// Links returns a reader of a role's client-facing links: one name or glob, or a list of them. A
// link has clients of one role for each family: a link that another role of the same family has
// already is reported.
func Links(to *[]string, family Family) func(Value) {
	return func(v Value) { v.d.links(family).decode(v, to) }
}

// links returns the globs for client-facing links of a family that were read so far.
func (d *decoder) links(f Family) *matches {
	if d.facing[f] == nil {
		d.facing[f] = &matches{family: f, of: make(map[string]string)}
	}
	return d.facing[f]
}

// section returns the name of the file's section that a path leads into.
func section(path string) string {
	name, _, _ := strings.Cut(path, ".")
	return name
}

// overlap reports whether two globs may match the same name. If one of them is a name, that is
// exact; of two globs, it compares only the text before the first sign.
func overlap(a, b string) bool {
	if !isGlob(a) || !isGlob(b) {
		inB, _ := path.Match(b, a) // the glob was parsed before: no error
		inA, _ := path.Match(a, b)
		return inA || inB
	}
	const signs = `*?[\`
	headA, headB := a[:strings.IndexAny(a, signs)], b[:strings.IndexAny(b, signs)]
	return strings.HasPrefix(headA, headB) || strings.HasPrefix(headB, headA)
}
