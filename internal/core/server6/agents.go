package server6

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// maxAgents bounds how many relay agents the server remembers, and maxAgentAddresses how many
// addresses of one of them.
const (
	maxAgents         = 4096
	maxAgentAddresses = 8
)

// Agent is a relay agent that the server has heard. Nothing of its clients is in it.
type Agent struct {
	Peer    string     // the name of the peer that its messages came from
	Nearest bool       // it is that peer itself; else it is behind it
	RelayID dhcp6.DUID // empty: it tells none
	// Addresses are those that its messages came from, and LinkAddresses those of its links: of each
	// the newest ones, the newest one last. A Lightweight DHCPv6 Relay Agent has neither: it sends
	// from the address of its client (RFC 6221 section 7.1), which is not kept.
	Addresses, LinkAddresses []netip.Addr
	Hops                     uint8     // relay agents between it and the client, by its newest message
	First, Last              time.Time // by the wall clock
	Messages                 uint64
}

// agents are the relay agents that were heard. A flood of forged chains does not make them more
// than maxAgents. What goes then is what was heard longest ago of those behind the peer that has
// most, so that a forger's peer loses its own.
type agents struct {
	known     map[agentKey]*list.Element
	byPeer    map[string]*list.List // of *agent; what was heard last is first
	forgotten uint64
}

type agent struct {
	Agent
	key agentKey
}

// agentKey tells a relay agent: by its relay-id, else by its address, else by neither. What
// is said behind a peer tells nothing of the peer itself.
type agentKey struct {
	peer    string
	nearest bool
	relayID string
	address netip.Addr // invalid: the relay-id tells it, or it has none of its own
}

func newAgents() agents {
	return agents{known: make(map[agentKey]*list.Element), byPeer: make(map[string]*list.List)}
}

// hear takes in the relay agents around a message.
func (a *agents) hear(now instant.Now, r *request) {
	address := r.p.Source.Addr().WithZone("")
	for i := range r.layers {
		m := &r.layers[i]
		if address == r.source {
			address = netip.Addr{}
		}
		id, _ := m.Options().First(dhcp6.OptionRelayID)
		if dhcp6.DUID(id).Valid() != nil {
			id = nil
		}
		x := a.of(now, r.relay.Name, i == 0, id, address)
		x.Addresses = remember(x.Addresses, address)
		x.LinkAddresses = remember(x.LinkAddresses, m.LinkAddress())
		x.Hops, x.Last = m.HopCount(), now.Wall
		x.Messages++
		address = m.PeerAddress() // of the next one, which is closer to the client
	}
}

// of returns a relay agent, which is new where it was not heard before.
func (a *agents) of(now instant.Now, peer string, nearest bool, id []byte, address netip.Addr) *Agent {
	if len(id) > 0 {
		address = netip.Addr{}
	}
	if e := a.known[agentKey{peer, nearest, string(id), address}]; e != nil {
		a.byPeer[peer].MoveToFront(e)
		return &e.Value.(*agent).Agent
	}
	if len(a.known) == maxAgents {
		a.forget()
	}
	if a.byPeer[peer] == nil {
		a.byPeer[peer] = list.New()
	}
	x := &agent{Agent{Peer: peer, Nearest: nearest, RelayID: slices.Clone(id), First: now.Wall}, agentKey{peer, nearest, string(id), address}}
	a.known[x.key] = a.byPeer[peer].PushFront(x)
	return &x.Agent
}

// forget removes one of the peer that has most.
func (a *agents) forget() {
	var most *list.List
	for _, all := range a.byPeer {
		if most == nil || all.Len() > most.Len() || all.Len() == most.Len() && all.Front().Value.(*agent).Peer < most.Front().Value.(*agent).Peer {
			most = all
		}
	}
	x := most.Remove(most.Back()).(*agent)
	delete(a.known, x.key)
	if most.Len() == 0 {
		delete(a.byPeer, x.Peer)
	}
	a.forgotten++
}

// remember adds an address to those of a relay agent, unless it is none. Where there is no room,
// the oldest one goes.
func remember(all []netip.Addr, address netip.Addr) []netip.Addr {
	if !address.IsValid() || address.IsUnspecified() || slices.Contains(all, address) {
		return all
	}
	if len(all) == maxAgentAddresses {
		copy(all, all[1:])
		all[len(all)-1] = address
		return all
	}
	return append(all, address)
}

// Agents returns the relay agents that the server remembers, by their peers, in the order of their first
// messages. They share no memory with the server.
func (s *Server) Agents() (all []Agent) {
	for _, e := range s.agents.known {
		x := e.Value.(*agent).Agent
		x.Addresses, x.LinkAddresses = slices.Clone(x.Addresses), slices.Clone(x.LinkAddresses)
		all = append(all, x)
	}
	slices.SortFunc(all, func(x, y Agent) int {
		return cmp.Or(cmp.Compare(x.Peer, y.Peer), x.First.Compare(y.First), slices.Compare(x.RelayID, y.RelayID), slices.CompareFunc(x.Addresses, y.Addresses, netip.Addr.Compare))
	})
	return all
}

// Heard returns how many relay agents the server remembers, and how many others have had to go.
func (s *Server) Heard() (known int, forgotten uint64) {
	return len(s.agents.known), s.agents.forgotten
}
