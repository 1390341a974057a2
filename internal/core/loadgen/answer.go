package loadgen

import (
	"time"

	"fairlead/internal/wire/dhcp6"
)

// Answer takes a message that came for the client with an index at an instant.
// When that calls for another message at once, the Request of a four-way
// exchange, it is appended and true returned.
func (e *Engine) Answer(b []byte, index uint32, at time.Duration, message []byte) ([]byte, Message, bool) {
	m, err := dhcp6.ParseMessage(message)
	if err != nil {
		e.current.Unexpected++
		return b, Message{}, false
	}
	s, found := e.ring.find(m.TransactionID())
	// RFC 8415 sections 16.3 and 16.10: who does not say who it is, is ignored.
	id, named := m.ServerID()
	if !found || s.state == settled || s.run != e.run || s.client != index-e.config.First || m.Type() != s.answeredBy() ||
		!named || id.Valid() != nil {
		e.current.Unexpected++
		return b, Message{}, false
	}
	c := &e.current.Kinds[s.kind]
	first := s.kind == FourWay && !s.second
	if s.state == overdue || at-s.sent > e.config.Timeout {
		e.late(s, m, id, first)
		return b, Message{}, false
	}
	s.state = settled
	status, got := read(m)
	if !first || status != dhcp6.StatusSuccess {
		e.underway--
		c.Answered++
		c.Latency.Add(at - s.intended)
		e.current.Recent.Add(at - s.intended)
		e.conclude(s, status, got, id)
		return b, Message{}, false
	}
	// RFC 8415 section 18.2.2: the Request names the server that was chosen and
	// has the leases that it offered.
	client := &e.pool.clients[s.client]
	server := e.serverNumber(id)
	held, by := client.held, client.server
	client.held, client.server = got, server
	b, request := e.send(b, s.client, slot{kind: FourWay, second: true, intended: s.intended, sent: at})
	client.held, client.server = held, by
	return b, request, true
}

// answeredBy is the type of message that answers.
func (s *slot) answeredBy() dhcp6.MessageType {
	if s.kind == Solicit || s.kind == FourWay && !s.second {
		return dhcp6.Advertise
	}
	return dhcp6.Reply
}

// late is an answer that came after its time. What it says still holds.
func (e *Engine) late(s *slot, m dhcp6.Message, id dhcp6.DUID, first bool) {
	c := &e.current.Kinds[s.kind]
	if s.state == overdue {
		c.Lost--
	} else {
		e.underway--
	}
	s.state = settled
	if first {
		c.Lost++ // the exchange did not go on
		return
	}
	c.Late++
	status, got := read(m)
	e.conclude(s, status, got, id)
}

// conclude notes what a finished exchange means for the client.
func (e *Engine) conclude(s *slot, status dhcp6.StatusCode, got binding, id dhcp6.DUID) {
	if status != dhcp6.StatusSuccess {
		e.current.status(status)
	}
	var server uint8
	if s.kind != InformationRequest {
		server = e.serverNumber(id)
	}
	switch {
	case s.kind == Solicit, s.kind == InformationRequest:
	case s.kind == Release:
		e.pool.waiting(s.client)
	case !got.empty() && (s.kind.grants() || e.pool.clients[s.client].holding):
		e.pool.hold(s.client, got, server)
	case status == dhcp6.StatusNoBinding:
		e.pool.drop(s.client)
		e.pool.waiting(s.client)
	case s.kind == Request:
		e.pool.waiting(s.client)
	}
}

// read finds the first status of a message that is not Success, in itself or in
// an IA of the client, and the leases in those.
func read(m dhcp6.Message) (dhcp6.StatusCode, binding) {
	var worst dhcp6.StatusCode
	var got binding
	for code, payload := range m.Options().All() {
		switch code {
		case dhcp6.OptionStatusCode:
			worst = worse(worst, payload)
		case dhcp6.OptionIANA, dhcp6.OptionIAPD:
			ia, err := dhcp6.ParseIA(payload)
			if err != nil || ia.IAID != IAID {
				continue
			}
			if inner := got.lease(ia.Options); worst == dhcp6.StatusSuccess {
				worst = inner
			}
		}
	}
	return worst, got
}

// lease takes the leases out of one IA, and returns its status.
func (b *binding) lease(options dhcp6.Options) dhcp6.StatusCode {
	var status dhcp6.StatusCode
	for code, payload := range options.All() {
		switch code {
		case dhcp6.OptionStatusCode:
			status = worse(status, payload)
		case dhcp6.OptionIAAddr:
			if a, err := dhcp6.ParseIAAddr(payload); err == nil && a.Valid > 0 {
				b.address, b.na = a.Address.As16(), true
			}
		case dhcp6.OptionIAPrefix:
			if p, err := dhcp6.ParseIAPrefix(payload); err == nil && p.Valid > 0 {
				octets := p.Prefix.Addr().As16()
				b.prefix[0] = byte(p.Prefix.Bits())
				copy(b.prefix[1:], octets[:])
				b.pd = true
			}
		}
	}
	return status
}

// worse is the status in payload unless there is one already.
func worse(status dhcp6.StatusCode, payload []byte) dhcp6.StatusCode {
	if status != dhcp6.StatusSuccess {
		return status
	}
	if s, err := dhcp6.ParseStatus(payload); err == nil {
		return s.Code
	}
	return status
}
