package relay4

import "fairlead/internal/wire/dhcp4"

// pending remembers on which link a transaction began, where a reply does not tell by
// itself: giaddr may be that of many links, and a server need not echo option 82. It is
// bounded: half of all go at a time, the oldest first.
type pending struct{ young, old map[transaction]origin }

// transaction is what a reply has in common with the message that it answers.
type transaction struct {
	xid    uint32
	chaddr [16]byte
}

// origin is where a transaction began.
type origin struct {
	link  int  // index of the interface
	added bool // the message went to servers with option 82 of ours
}

const maxPending = 1 << 16 // of both generations

func transactionOf(m dhcp4.Message) (t transaction) {
	t.xid = m.XID()
	copy(t.chaddr[:], m.CHAddr())
	return t
}

func (p *pending) note(m dhcp4.Message, o origin) {
	if len(p.young) >= maxPending/2 || p.young == nil {
		p.young, p.old = make(map[transaction]origin), p.young
	}
	p.young[transactionOf(m)] = o
}

func (p *pending) find(m dhcp4.Message) (o origin, ok bool) {
	t := transactionOf(m)
	if o, ok = p.young[t]; !ok {
		o, ok = p.old[t]
	}
	return o, ok
}
