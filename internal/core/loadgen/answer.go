package loadgen

import "time"

// Answer takes a message that came for the client with an index at an instant.
// When that calls for another message at once, which is the Request that takes up an offer, the
// message is appended and true is returned.
func (e *Engine) Answer(b []byte, index uint32, at time.Duration, message []byte) ([]byte, Message, bool) {
	a, is := e.family.read(message)
	s, found := e.ring.find(a.xid)
	if !is || !found || s.state == answered || s.run != e.run || s.client != index-e.config.First || a.offer != e.wantsOffer(s) {
		e.current.Unexpected++
		return b, Message{}, false
	}
	c := &e.current.Kinds[s.kind]
	first := e.family.traits[s.kind].offered && !s.second
	if s.state == overdue || at-s.sent > e.config.Timeout {
		e.late(s, &a, first)
		return b, Message{}, false
	}
	s.state = answered
	if !first || a.status != success {
		e.underway--
		c.Answered++
		c.Latency.Add(at - s.intended)
		e.current.Recent.Add(at - s.intended)
		e.conclude(s, &a)
		return b, Message{}, false
	}
	// RFC 8415 section 18.2.2, RFC 2131 section 4.3.2: the Request names the server that was
	// chosen and has the leases that it offered.
	client := &e.pool.clients[s.client]
	server := e.serverNumber(a.server)
	held, by := client.held, client.server
	client.held, client.server = a.got, server
	b, request := e.send(b, s.client, slot{kind: s.kind, second: true, intended: s.intended, sent: at})
	client.held, client.server = held, by
	return b, request, true
}

// wantsOffer reports whether the answer to a message is an offer. Otherwise it ends the
// exchange.
func (e *Engine) wantsOffer(s *slot) bool {
	return s.kind == Solicit || e.family.traits[s.kind].offered && !s.second
}

// late takes in an answer that came after the timeout. Its leases are valid all the same.
func (e *Engine) late(s *slot, a *answer, first bool) {
	c := &e.current.Kinds[s.kind]
	if s.state == overdue {
		c.Lost--
	} else {
		e.underway--
	}
	s.state = answered
	if first {
		c.Lost++ // the exchange did not go on
		return
	}
	c.Late++
	e.conclude(s, a)
}

// conclude updates the client after a finished exchange.
func (e *Engine) conclude(s *slot, a *answer) {
	if a.status != success {
		e.current.status(a.status)
	}
	var server uint8
	if s.kind != InformationRequest {
		server = e.serverNumber(a.server)
	}
	switch {
	case s.kind == Solicit, s.kind == InformationRequest:
	case s.kind == Release:
		e.pool.waiting(s.client)
	case !a.got.empty() && (e.family.traits[s.kind].grants || e.pool.clients[s.client].holding):
		e.pool.hold(s.client, a.got, server)
	case a.gone:
		e.pool.drop(s.client)
		e.pool.waiting(s.client)
	case s.kind == Request:
		e.pool.waiting(s.client)
	}
}
