package loadgen

import (
	"bytes"
	"net/netip"
	"time"
)

// Config has what an Engine is made of.
type Config struct {
	Family  Family
	First   uint32 // index of the first client
	Clients int    // how many, at least 1
	Mix     Mix
	IAs     IAs // DHCPv6: at least one
	// Broadcast makes clients of DHCPv4 that hold nothing ask for broadcast answers.
	Broadcast bool
	Timeout   time.Duration // an answer that takes longer is late; above 0
	// Slots is how many messages are remembered: at least as many as can be sent within a
	// timeout. A few times as many are better, so that late answers can be told from foreign
	// ones.
	Slots int
	Seed  uint32 // of the transaction-ids
}

// Message describes the message that Begin or Answer has appended.
type Message struct {
	Client uint32 // index of the sender
	Number uint32 // for Unsent
	// From is the sender's address, and To that of the only server that is to get the message.
	// From is not valid if the client has no address of its own yet, and To is not valid if the
	// message is for all servers.
	From, To netip.Addr
}

// Engine is the clients and their exchanges. Instants are durations above 0 since a point
// in time before the Engine was made.
type Engine struct {
	config   Config
	family   *profile
	picker   picker
	pool     pool
	ring     ring
	general  *general
	servers  []*server
	current  *Tally
	run      uint8
	underway int
}

// maxServers is how many servers on one link are told apart. Messages to further servers are
// addressed to the first one.
const maxServers = 16

// New makes clients without leases. Begin does not choose them before Admit is called.
func New(c Config) *Engine {
	return &Engine{
		config:  c,
		family:  c.Family.profile(),
		picker:  newPicker(c.Mix),
		pool:    newPool(c.Clients),
		ring:    newRing(c.Slots, c.Seed),
		general: c.Family.profile().newGeneral(&c),
		current: new(Tally),
	}
}

// Admit allows the clients from position from in the pool up to, but not including, position to,
// to be granted leases, in that order.
func (e *Engine) Admit(from, to int) {
	for n := from; n < to; n++ {
		e.pool.waiting(uint32(n))
	}
}

// Restart returns the present Tally and begins another one, in which answers to messages
// from before count as unexpected.
func (e *Engine) Restart() *Tally {
	old := e.current
	e.current = new(Tally)
	e.run++
	return old
}

// Tally are the results of the exchanges since the last Restart. It goes on changing.
func (e *Engine) Tally() *Tally { return e.current }

// Underway is how many exchanges wait for an answer.
func (e *Engine) Underway() int { return e.underway }

// Holders is how many clients hold a lease.
func (e *Engine) Holders() int { return len(e.pool.holders) }

// KnowsServer reports whether an answer has named a server.
func (e *Engine) KnowsServer() bool { return len(e.servers) > 0 }

// Next is the kind of the next exchange of the mix. While no client has a lease, an
// exchange that needs one is replaced by one that grants one.
func (e *Engine) Next() Kind {
	k := e.picker.pick()
	if e.family.traits[k].speaker == holder && len(e.pool.holders) == 0 {
		for other, w := range e.config.Mix {
			if w > 0 && e.family.traits[other].grants {
				return Kind(other)
			}
		}
	}
	return k
}

// Begin appends the first message of an exchange that should begin at intended and begins
// now. It returns false if there is no client for it: for Request a client without a
// lease, for Renew, Rebind and Release one with a lease. Request, Renew and Release need
// KnowsServer.
func (e *Engine) Begin(b []byte, k Kind, intended, now time.Duration) ([]byte, Message, bool) {
	n, ok := e.choose(k)
	if !ok {
		return b, Message{}, false
	}
	if k == Release {
		defer e.pool.drop(n) // once its message is written
	}
	e.underway++
	e.current.Kinds[k].Offered++
	b, m := e.send(b, n, slot{kind: k, intended: intended, sent: now})
	return b, m, true
}

func (e *Engine) choose(k Kind) (uint32, bool) {
	t := &e.family.traits[k]
	switch {
	case t.named && !e.KnowsServer():
		return 0, false
	case t.speaker == newcomer:
		return e.pool.newcomer()
	case t.speaker == holder:
		return e.pool.holder()
	}
	return e.pool.anyone(), true
}

// send appends the message of a slot.
func (e *Engine) send(b []byte, n uint32, s slot) ([]byte, Message) {
	if e.ring.full() {
		e.overdue(e.ring.at(e.ring.oldest))
		e.ring.oldest++
	}
	number, place := e.ring.take()
	s.xid, s.client, s.state, s.run = place.xid, n, waiting, e.run
	*place = s
	client := e.config.First + n
	c := &e.pool.clients[n]
	m := Message{Client: client, Number: number}
	m.From, m.To = e.envelope(s.kind, c)
	return e.template(s.kind, s.second, c).stamp(b, client, s.xid, &c.held), m
}

// envelope returns the source and destination addresses of a message, where they are the client's
// and the server's own. A client of DHCPv4 that holds an address uses it (RFC 2131 section
// 4.3.2). A message that is not for one known server goes to all.
func (e *Engine) envelope(k Kind, c *client) (from, to netip.Addr) {
	t := &e.family.traits[k]
	if e.config.Family != DHCPv4 || t.speaker != holder {
		return from, to
	}
	from = netip.AddrFrom4([4]byte(c.held.address[12:]))
	if t.named {
		to = netip.AddrFrom4([4]byte(e.servers[c.server].id))
	}
	return from, to
}

func (e *Engine) template(k Kind, second bool, c *client) *template {
	v := c.held.variant()
	switch {
	case second, k == Request && !e.family.traits[k].offered:
		return &e.servers[c.server].request[v]
	case k == Renew:
		return &e.servers[c.server].renew[v]
	case k == Release:
		return &e.servers[c.server].release[v]
	case k == Rebind:
		return &e.general.rebind[v]
	case k == InformationRequest:
		return &e.general.information
	case k == Rapid:
		return &e.general.rapid
	}
	return &e.general.solicit
}

// Unsent takes back a message that could not be sent.
func (e *Engine) Unsent(number uint32) {
	s := e.ring.at(number)
	if s.state != waiting || s.xid != e.ring.xid(number) {
		return
	}
	s.state = answered
	e.underway--
	if s.run == e.run {
		e.current.Kinds[s.kind].Offered--
		e.current.Kinds[s.kind].SendFailed++
	}
	e.giveUp(s)
}

// Expire counts messages without an answer in time as lost.
func (e *Engine) Expire(now time.Duration) {
	for r := &e.ring; r.oldest != r.next; r.oldest++ {
		s := r.at(r.oldest)
		if s.state == waiting && now-s.sent <= e.config.Timeout {
			return
		}
		e.overdue(s)
	}
}

// Due is when Expire will next have something to do, if nothing is answered.
func (e *Engine) Due() (time.Duration, bool) {
	for r := &e.ring; r.oldest != r.next; r.oldest++ {
		if s := r.at(r.oldest); s.state == waiting {
			return s.sent + e.config.Timeout, true
		}
	}
	return 0, false
}

func (e *Engine) overdue(s *slot) {
	if s.state != waiting {
		return
	}
	s.state = overdue
	e.underway--
	if s.run == e.run {
		e.current.Kinds[s.kind].Lost++
	}
	e.giveUp(s)
}

// giveUp returns a client to the pool whose Request or Release was not answered.
func (e *Engine) giveUp(s *slot) {
	if s.kind == Request || s.kind == Release {
		e.pool.waiting(s.client)
	}
}

// serverNumber returns the place in e.servers of the server with this valid identifier, and adds
// the server if it is not there.
func (e *Engine) serverNumber(id []byte) uint8 {
	for i, s := range e.servers {
		if string(s.id) == string(id) {
			return uint8(i)
		}
	}
	if len(e.servers) == maxServers {
		return 0
	}
	e.servers = append(e.servers, e.family.newServer(bytes.Clone(id), &e.config))
	return uint8(len(e.servers) - 1)
}
