package peers

import (
	"net/netip"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/linkaddr"
)

// A server is silent when nothing has come from it for silentAfter although it owes
// answers: one to a client that has a lease from this server, or some to silentClients
// clients. One other client without an answer proves nothing: the server may have nothing
// for its link, or refuse what it asks.
const (
	silentAfter   = 10 * time.Second
	silentClients = 4
	// patience is how long a client counts as waiting after its last message.
	patience = 2 * time.Minute
)

// Client is a client to which a server owes an answer.
type Client struct {
	Link      int // index of the interface
	Address   netip.Addr
	LinkLayer linkaddr.Addr // where it has no address of its own yet
}

// asker is a client that a server owes an answer.
type asker struct {
	Client
	first    instant.Instant // of its messages that have no answer
	last     instant.Instant
	since    instant.Instant // of those, the first after the server's last word, if asked
	asked    bool            // it has sent something since then
	messages uint64
}

func (a *asker) is(c Client) bool {
	return a.messages > 0 && a.Address == c.Address && a.LinkLayer == c.LinkLayer && (a.Link == c.Link || c.Link == 0)
}

func (a *asker) ask(now instant.Instant) {
	if a.messages == 0 {
		a.first = now
	}
	if !a.asked {
		a.asked, a.since = true, now
	}
	a.messages, a.last = a.messages+1, now
}

// owed are the answers that a server owes, to a few clients: more make no difference.
type owed struct {
	clients [silentClients]asker
	holder  asker // of a lease of the server's, with a message that only this server answers
}

// ask takes in that a client's message went to the server.
func (o *owed) ask(now instant.Instant, c Client) {
	var free *asker
	for i := range o.clients {
		a := &o.clients[i]
		if a.is(c) {
			a.ask(now)
			return
		}
		if a.messages == 0 || a.last.After(patience) < now {
			free = a
		}
	}
	if free != nil {
		*free = asker{Client: c}
		free.ask(now)
	}
}

// heard takes in that something came from the server.
func (o *owed) heard() {
	o.holder = asker{}
	for i := range o.clients {
		o.clients[i].asked = false
	}
}

// silentAt is when the server will count as silent if nothing comes; Never if it owes too little
// for that.
func (o *owed) silentAt() instant.Instant {
	at := instant.Never
	if o.holder.asked {
		at = o.holder.since.After(silentAfter)
	}
	var last instant.Instant
	for i := range o.clients {
		a := &o.clients[i]
		if !a.asked {
			return at
		}
		last = max(last, a.since)
	}
	for i := range o.clients {
		if o.clients[i].last.After(patience) < last {
			return at // it had given up when the last of them asked
		}
	}
	return min(at, last.After(silentAfter))
}

// waiting are the clients that have waited for silentAfter, on links that exist.
func (o *owed) waiting(now instant.Instant, nameOf func(index int) string) []Waiting {
	var all []Waiting
	for i := range o.clients {
		a := &o.clients[i]
		if a.messages == 0 || now < a.first.After(silentAfter) || a.last.After(patience) < now {
			continue
		}
		if link := nameOf(a.Link); link != "" {
			all = append(all, Waiting{Link: link, Source: a.Address, LinkLayer: a.LinkLayer, For: time.Duration(now - a.first), Messages: a.messages})
		}
	}
	return all
}

// Owes takes in a client's message to a server that has to be answered.
func (s *Peers) Owes(now instant.Instant, p *trust.Peer, c Client) {
	s.states[p.Name].owed.ask(now, c)
}

// OwesHolder takes in a message that only this server answers, from a client that has a
// lease from it.
func (s *Peers) OwesHolder(now instant.Instant, p *trust.Peer) { s.states[p.Name].owed.holder.ask(now) }

// Answered takes in the client that a server has answered. The client's link is 0 where it
// is not known.
func (s *Peers) Answered(p *trust.Peer, c Client) {
	o := &s.states[p.Name].owed
	for i := range o.clients {
		if o.clients[i].is(c) {
			o.clients[i] = asker{}
		}
	}
}

// Deadline is when Tick has something to do if nothing comes.
func (s *Peers) Deadline() instant.Instant {
	at := instant.Never
	for _, st := range s.states {
		at = min(at, st.silentAt())
	}
	return at
}

// Tick finds the servers that have fallen silent.
func (s *Peers) Tick(now instant.Now, eff *effect.Effects) {
	list := s.Peers()
	for i := range list {
		p := &list[i]
		st := s.states[p.Name]
		at := st.silentAt()
		if now.Boot < at {
			continue
		}
		st.silent, st.silentSince = true, now.Wall.Add(-time.Duration(now.Boot-at)-silentAfter)
		reason := "messages of several clients wait for an answer"
		if st.owed.holder.asked {
			reason = "a client that holds a lease of it waits for an answer"
		}
		eff.Note(effect.Note{Kind: effect.NotePeer, Peer: p.Name, Text: "server is silent", Reason: reason})
		s.choose(eff)
	}
}

// silentAt is when the server will count as silent; Never if it does already, or owes too little.
func (s *state) silentAt() instant.Instant {
	if s.silent {
		return instant.Never
	}
	return s.owed.silentAt()
}
