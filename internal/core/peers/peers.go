// Package peers has what a relay agent knows of its servers and relays: counters, which
// servers a message goes to, and which servers have fallen silent. It serves both
// families.
package peers

import (
	"fmt"
	"net/netip"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// Policy says which servers get a client's message.
type Policy uint8

// All sends to every server. First sends to the first server in the order of the
// configuration that has answered lately, or to all where none has; a silent server before
// that one gets a message now and then.
const (
	All Policy = iota
	First
)

func (p Policy) String() string { return [...]string{"all", "first"}[p] }

// Peers are the configured peers and the state of each. They belong to a core and to its
// goroutine.
type Peers struct {
	*trust.Set
	policy Policy
	states map[string]*state // by name
	chosen string            // the server that First sends to, or everyServer
}

type state struct {
	Counters
	lastType fmt.Stringer
	lastSent instant.Instant
	answered bool

	// Of a server: the answers that it owes, whether it is silent, and since when.
	owed        owed
	silent      bool
	silentSince time.Time

	failure  error // the network's last error about a message to the peer, since the peer was heard
	failedAt time.Time
}

// Counters count what passed between a peer and us. Operators read them as
// api.PeerCounters, which has the same fields.
type Counters struct {
	Sent, Received uint64
	SinceAnswer    uint64    // messages sent since the last one that came back
	Unreachable    uint64    // errors from the network about what was sent
	LastReceived   time.Time // zero: never
}

// Configure replaces the peers. Peers that stay have their state as before.
func (s *Peers) Configure(list []trust.Peer, policy Policy) {
	states := make(map[string]*state, len(list))
	for _, p := range list {
		if states[p.Name] = s.states[p.Name]; states[p.Name] == nil {
			states[p.Name] = new(state)
		}
	}
	s.Set, s.policy, s.states = trust.NewSet(list), policy, states
	s.chosen = s.choice()
}

// Succeed takes over the states of the peers of a core that panicked.
func (s *Peers) Succeed(old *Peers) {
	for name, o := range old.states {
		if s.states[name] != nil {
			s.states[name] = o
		}
	}
	s.chosen = s.choice()
}

// Server is the server that has sent a packet to a relay agent; false: the packet is discarded, and
// why. Only a configured server is believed, and only on its uplinks. A link with clients never
// carries a server's message, whatever the source of the packet says, because nothing on the way
// there checks sources.
func (s *Peers) Server(p *inbound.Packet, link string, clients bool) (*trust.Peer, effect.Drop, bool) {
	if clients {
		return nil, effect.DropReplyFromClientLink, false
	}
	peer, protected := p.From(s.Set, trust.Server, link)
	switch {
	case peer == nil:
		return nil, effect.DropUntrustedServer, false
	case !protected:
		return nil, effect.DropUnprotected, false
	}
	return peer, 0, true
}

// Targets are the servers that a message goes to now.
type Targets struct {
	of   *Peers
	only *trust.Peer // nil: all
	now  instant.Instant
}

// Targets are the servers that a message goes to now.
func (s *Peers) Targets(now instant.Instant) Targets {
	return Targets{s, s.preferred(), now}
}

// Has reports whether the i-th of the peers is among the targets.
func (t Targets) Has(i int) bool {
	p := &t.of.Peers()[i]
	return p.Role == trust.Server && (t.only == nil || p == t.only || t.of.worthATry(t.now, i, t.only))
}

// preferred is the one server that First chooses; nil: all servers.
func (s *Peers) preferred() *trust.Peer {
	if s.policy != First {
		return nil
	}
	list := s.Peers()
	for i := range list {
		if p := &list[i]; p.Role == trust.Server && s.states[p.Name].answering() {
			return p
		}
	}
	return nil
}

// worthATry reports whether a silent server before the chosen one gets this message as
// well, to find out whether it is back.
func (s *Peers) worthATry(now instant.Instant, i int, chosen *trust.Peer) bool {
	list := s.Peers()
	for _, after := range list[i+1:] {
		if after.Name == chosen.Name {
			return now-s.states[list[i].Name].lastSent >= tryEvery
		}
	}
	return false
}

// tryEvery is how often a silent server is tried, in nanoseconds.
const tryEvery = 30e9

func (s *state) answering() bool { return s.answered && !s.silent }

// Named is the peer of a name; nil if there is none.
func (s *Peers) Named(name string) *trust.Peer {
	list := s.Peers()
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// Asked counts a message that was sent to a server.
func (s *Peers) Asked(now instant.Instant, p *trust.Peer) {
	st := s.states[p.Name]
	st.lastSent = now
	st.Sent++
	st.SinceAnswer++
}

// Told counts a message that was sent to a relay below us.
func (s *Peers) Told(p *trust.Peer) { s.states[p.Name].Sent++ }

// CountUnsent takes n datagrams back that could not be sent to a peer.
func (s *Peers) CountUnsent(to netip.Addr, n uint64) {
	for _, role := range []trust.PeerRole{trust.Server, trust.Relay} {
		if p := s.FindAddress(role, to); p != nil {
			st := s.states[p.Name]
			st.Sent -= min(n, st.Sent)
			return
		}
	}
}

// OnlyServer reports whether there is no other server than this one.
func (s *Peers) OnlyServer(server *trust.Peer) bool {
	list := s.Peers()
	for i := range list {
		if p := &list[i]; p.Role == trust.Server && p.Name != server.Name {
			return false
		}
	}
	return true
}

// Heard counts a message of a type that came from a peer.
func (s *Peers) Heard(now instant.Now, p *trust.Peer, t fmt.Stringer, eff *effect.Effects) {
	st := s.states[p.Name]
	st.Received++
	st.LastReceived, st.lastType = now.Wall, t
	st.SinceAnswer = 0
	st.owed.heard()
	first := !st.answered
	st.answered = true
	if st.silent || st.failure != nil {
		st.silent, st.failure, st.failedAt = false, nil, time.Time{}
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: p.Name, Text: "peer answers again"})
		first = true
	}
	if first && p.Role == trust.Server {
		s.choose(eff)
	}
}

// Unreachable takes in an error of the network (ICMP) about a message to a peer. A
// link-local address is on the link of that name. The error is shown to operators and
// changes no decision: any host on the path can forge one.
func (s *Peers) Unreachable(now instant.Now, address netip.Addr, link string, cause error, eff *effect.Effects) {
	list := s.Peers()
	for i := range list {
		p := &list[i]
		if p.Address != address || p.Zone != "" && p.Zone != link {
			continue
		}
		st := s.states[p.Name]
		st.Unreachable++
		st.failedAt = now.Wall
		if st.failure == nil || st.failure.Error() != cause.Error() {
			st.failure = cause
			eff.Note(effect.Note{Kind: effect.NotePeer, Peer: p.Name, Text: "peer cannot be reached", Err: cause})
		}
	}
}

// everyServer stands for all servers, where messages go to all.
const everyServer = ""

// choice is the server that messages go to, or everyServer.
func (s *Peers) choice() string {
	if p := s.preferred(); p != nil {
		return p.Name
	}
	return everyServer
}

// choose sets the server that First sends to, and notes a change.
func (s *Peers) choose(eff *effect.Effects) {
	before := s.chosen
	s.chosen = s.choice()
	switch s.chosen {
	case before:
	case everyServer:
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: before, Text: "forward first: no server answers, messages go to all"})
	default:
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: s.chosen, Text: "forward first: messages go to this server"})
	}
}

// View is a peer's state for operators.
type View struct {
	Name      string
	Counters  Counters
	LastType  fmt.Stringer // of the last message that came; nil: none has
	Answered  bool
	Preferred bool      // First sends to this one
	Silent    time.Time // since when; zero: it is not
	Failure   error     // the network's last error about a message to the peer, since the peer was heard
	FailedAt  time.Time
	Waiting   []Waiting // clients that wait for its answer
}

// Waiting is a client that has had no answer from a server for some time.
type Waiting struct {
	Link      string
	Source    netip.Addr
	LinkLayer linkaddr.Addr
	For       time.Duration
	Messages  uint64
}

// Views are all peers, in the order of the configuration. nameOf returns the name of the
// link of an index, or nothing if the link is gone.
func (s *Peers) Views(now instant.Instant, nameOf func(index int) string) []View {
	only, list := s.preferred(), s.Peers()
	all := make([]View, 0, len(list))
	for i := range list {
		p := &list[i]
		st := s.states[p.Name]
		v := View{
			Name: p.Name, Counters: st.Counters, LastType: st.lastType, Answered: st.answered, Preferred: only == p,
			Failure: st.failure, FailedAt: st.failedAt, Waiting: st.owed.waiting(now, nameOf),
		}
		if st.silent {
			v.Silent = st.silentSince
		}
		all = append(all, v)
	}
	return all
}
