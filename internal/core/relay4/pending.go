package relay4

import (
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp4"
)

// pending remembers on which link a transaction began, where a reply does not tell by
// itself: giaddr may be that of many links, and a server need not echo option 82. It is
// bounded: of two generations the older one is forgotten when the younger one is full.
type pending struct{ young, old map[transaction]origin }

// transaction is what a reply has in common with the message that it answers.
type transaction struct {
	xid    uint32
	chaddr [16]byte
	giaddr [4]byte
}

// origin is where a transaction began. A client can copy what is in another's message, so
// that two links have the same transaction: nobody can say then which reply is whose.
type origin struct {
	link      int             // index of the interface, which the kernel gives no other so soon; 0: none
	added     bool            // the message went to servers with option 82 of ours
	at        instant.Instant // of the last message
	contested instant.Instant // until when the transaction may be another link's as well
}

const (
	maxPending = 1 << 16 // of both generations

	// answerTime is how long after a message its answer may come. A client that has got
	// none asks again by then (RFC 2131 section 4.1), and most do so after seconds.
	answerTime = time.Minute
)

func transactionOf(m dhcp4.Message, giaddr netip.Addr) transaction {
	t := transaction{xid: m.XID(), giaddr: giaddr.As4()}
	copy(t.chaddr[:], m.CHAddr())
	return t
}

// note takes in that a message came on a link, and was given a giaddr.
func (p *pending) note(now instant.Instant, m dhcp4.Message, giaddr netip.Addr, link int, added bool) {
	t := transactionOf(m, giaddr)
	o := p.last(t)
	if end := o.at.After(answerTime); o.link != 0 && o.link != link && now < end {
		o.contested = end
	}
	o.link, o.added, o.at = link, added, now
	if p.young == nil {
		p.young, p.old = make(map[transaction]origin), make(map[transaction]origin)
	}
	if len(p.young) >= maxPending/2 {
		p.young, p.old = p.old, p.young
		clear(p.young)
	}
	p.young[t] = o
}

// last is what is known of a transaction, however long ago that was.
func (p *pending) last(t transaction) origin {
	if o, ok := p.young[t]; ok {
		return o
	}
	return p.old[t]
}

// find is where the transaction of a reply began, if a message of it came of late.
func (p *pending) find(now instant.Instant, m dhcp4.Message) (o origin, ok bool) {
	if len(p.young)+len(p.old) == 0 { // where each link has a giaddr of its own
		return o, false
	}
	o = p.last(transactionOf(m, m.GIAddr()))
	return o, o.link != 0 && now < o.at.After(answerTime)
}
