package hop

import (
	"net/netip"
	"strconv"

	"fairlead/internal/core/trust"
)

// Names of sets. Those of addresses end in the family, and in "-link" where the
// interface is part of the key.
const (
	ports  = "ports"  // of all hops: a packet with none of them is let pass at once
	ports4 = "ports4" // to which relayed messages come
	ports6 = "ports6"

	setIn      = "in"  // clear packets from peers: address and port, to a counter
	setOut     = "out" // clear packets to peers
	setTo      = "to"  // peers, whatever the port
	setRelays  = "relays"
	setServers = "servers"
)

// relayedPorts is the set of the ports to which relayed messages come.
func relayedPorts(a netip.Addr) string {
	if a.Is4() {
		return ports4
	}
	return ports6
}

// setOf is the name of the set in which an address is.
func setOf(kind string, a netip.Addr, link string) string {
	family := "6"
	if a.Is4() {
		family = "4"
	}
	if link != "" {
		family += "-link"
	}
	return kind + family
}

// guardBuilder gathers sets and counters, each element once.
type guardBuilder struct {
	family   TableFamily
	seen     map[string]bool
	counters []string
	sets     map[string]*GuardSet
	order    []string // of sets, as they were first needed
	wide     []Open
}

// newGuard begins a table of a family.
func newGuard(f TableFamily) *guardBuilder {
	return &guardBuilder{family: f, seen: map[string]bool{}, sets: map[string]*GuardSet{}}
}

// table is what was gathered, with its chains.
func (g *guardBuilder) table(o Owner, chains []GuardChain) GuardTable {
	t := GuardTable{Family: g.family, Name: o.Table(), Counters: g.counters, Chains: chains}
	for _, name := range g.order {
		t.Sets = append(t.Sets, *g.sets[name])
	}
	return t
}

func (g *guardBuilder) counter(name string) {
	if key := "counter " + name; !g.seen[key] {
		g.seen[key] = true
		g.counters = append(g.counters, name)
	}
}

// set is the set of that name, made if need be.
func (g *guardBuilder) set(name string, counted bool, key ...GuardField) *GuardSet {
	if g.sets[name] == nil {
		g.sets[name] = &GuardSet{Name: name, Key: key, Map: counted}
		g.order = append(g.order, name)
	}
	return g.sets[name]
}

// add adds an element; of two with the same key the first counts.
func (g *guardBuilder) add(s *GuardSet, e GuardElement) {
	key := s.Name + " " + e.Link + " " + e.Address.String() + " " + strconv.Itoa(int(e.Port))
	if !g.seen[key] {
		g.seen[key] = true
		s.Elements = append(s.Elements, e)
	}
}

func (g *guardBuilder) port(set string, p uint16) {
	g.add(g.set(set, false, FieldDestPort), GuardElement{Port: p})
}

// hop guards a hop both ways.
func (g *guardBuilder) hop(h *Hop) {
	in, out := CounterName(h.Name, false), CounterName(h.Name, true)
	g.counter(in)
	g.counter(out)
	source, dest := addresses(h.Remote)
	g.add(g.set(setOf(setTo, h.Remote, h.Link), true, onLink(h.Link, FieldLinkOut, dest)...),
		GuardElement{Link: h.Link, Address: h.Remote, Counter: out})
	for _, p := range h.ports() {
		g.port(ports, p)
		e := GuardElement{Link: h.Link, Address: h.Remote, Port: p, Counter: in}
		g.add(g.set(setOf(setIn, h.Remote, h.Link), true, onLink(h.Link, FieldLinkIn, source, FieldDestPort)...), e)
		g.outgoing(h, p)
	}
}

// ports are those of the hop's datagrams.
func (h *Hop) ports() []uint16 {
	if h.RelayPort != 0 && h.RelayPort != h.Port() {
		return []uint16{h.Port(), h.RelayPort}
	}
	return []uint16{h.Port()}
}

// outgoing guards packets to a hop's peer from or to a port.
func (g *guardBuilder) outgoing(h *Hop, port uint16) {
	_, dest := addresses(h.Remote)
	g.add(g.set(setOf(setOut, h.Remote, h.Link), true, onLink(h.Link, FieldLinkOut, dest, FieldDestPort)...),
		GuardElement{Link: h.Link, Address: h.Remote, Port: port, Counter: CounterName(h.Name, true)})
}

// sender lets relayed messages of an address in.
func (g *guardBuilder) sender(r trust.PeerRole, a netip.Addr, link string) {
	kind := setServers
	if r == trust.Relay {
		kind = setRelays
	}
	source, _ := addresses(a)
	g.add(g.set(setOf(kind, a, link), false, onLink(link, FieldLinkIn, source)...), GuardElement{Link: link, Address: a})
}

// addresses are the address fields of a's family.
func addresses(a netip.Addr) (source, dest GuardField) {
	if a.Is4() {
		return FieldSource4, FieldDest4
	}
	return FieldSource6, FieldDest6
}

// onLink puts the interface before a key where there is one.
func onLink(link string, name GuardField, key ...GuardField) []GuardField {
	if link == "" {
		return key
	}
	return append([]GuardField{name}, key...)
}
