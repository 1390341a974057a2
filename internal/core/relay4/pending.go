package relay4

import (
	"net/netip"
	"time"

	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp4"
)

// pending remembers on which link a transaction began, where a reply does not tell by
// itself: giaddr may be that of many links, and a server need not echo option 82. Of what may
// be answered by a lease it remembers who has asked for what: a server need not echo the client
// identifier either. It is bounded: of two generations the older one is forgotten when the
// younger one is full.
type pending struct{ young, old generation }

// generation is some of the transactions. Most replies are looked for in vain, as theirs was
// not worth remembering: the sieve has a bit for each transaction ID, or for several, and
// tells without a look into a large map.
type generation struct {
	all   map[transaction]origin
	sieve []uint64
}

const sieveBits = 20 // of the number of a bit: 128 KB

func newGeneration() generation {
	return generation{make(map[transaction]origin), make([]uint64, 1<<sieveBits/64)}
}

// bit is where in the sieve a transaction ID is.
func bit(xid uint32) (word int, mask uint64) {
	n := xid * 0x9e3779b1 >> (32 - sieveBits) // near ones far apart
	return int(n / 64), 1 << (n % 64)
}

func (g *generation) put(t transaction, o origin) {
	g.all[t] = o
	word, mask := bit(t.xid)
	g.sieve[word] |= mask
}

func (g *generation) find(t transaction) (o origin, ok bool) {
	if word, mask := bit(t.xid); g.sieve[word]&mask != 0 {
		o, ok = g.all[t]
	}
	return o, ok
}

func (g *generation) clear() {
	clear(g.all)
	clear(g.sieve)
}

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
	line      uint32          // that the link was, if it is a point-to-point one
	added     bool            // the message went to servers with option 82 of ours
	at        instant.Instant // of the last message
	contested instant.Instant // until when the transaction may be another link's as well
	asks      bool            // it may be answered by a lease: asked is set
	asked     asked
}

// asked is what a client has said of itself when it asked for a lease.
type asked struct {
	address [4]byte // that it has asked for; zero: any
	own     bool    // it has shown that it is of whose hardware address it has
	length  uint8   // of its client identifier; 0: it has said none
	begin   [idRoom]byte
	long    string // the client identifier, where begin has no room for it
}

// idRoom is how long a client identifier may be to need no memory of its own. Those of RFC
// 4361 section 6.1 have 15 to 23 octets, as far as their DUIDs are of the types of RFC 8415.
const idRoom = 32

func (a *asked) id() []byte {
	if a.long != "" {
		return []byte(a.long)
	}
	return a.begin[:a.length]
}

// of is what was asked for where a transaction began; nil if that is not known.
func (o *origin) of(known bool) *asked {
	if !known || !o.asks {
		return nil
	}
	return &o.asked
}

// askedBy is what a message on a link asks for; false if none that may be answered by a lease.
func (l *link) askedBy(p *inbound.Packet, m dhcp4.Message) (a asked, asks bool) {
	if t := m.Type(); t != dhcp4.Request && (t != dhcp4.Discover || !has(m, dhcp4.OptionRapidCommit)) {
		return a, false
	}
	about := named(m)
	a.address, a.own = about.As4(), l.isOwn(p, m, about)
	if id := clientIDOf(m); len(id) <= idRoom {
		a.length = uint8(copy(a.begin[:], id))
	} else {
		a.long = string(id)
	}
	return a, true
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

// note takes in that a message came on a link, and was given a giaddr. What somebody has asked
// for who has shown that he is the client is not forgotten for another's word.
func (p *pending) note(now instant.Instant, m dhcp4.Message, giaddr netip.Addr, began origin) {
	if p.young.all == nil {
		p.young, p.old = newGeneration(), newGeneration()
	}
	t := transactionOf(m, giaddr)
	o := p.last(t)
	live := o.link != 0 && now < o.at.After(answerTime)
	if live && o.link != began.link {
		o.contested = o.at.After(answerTime)
	}
	if live && o.asks && o.link == began.link && (!began.asks || o.asked.own && !began.asked.own) {
		began.asks, began.asked = o.asks, o.asked
	}
	o.link, o.line, o.added, o.asks, o.asked, o.at = began.link, began.line, began.added, began.asks, began.asked, now
	if len(p.young.all) >= maxPending/2 {
		p.young, p.old = p.old, p.young
		p.young.clear()
	}
	p.young.put(t, o)
}

// last is what is known of a transaction, however long ago that was.
func (p *pending) last(t transaction) origin {
	o, ok := p.young.find(t)
	if !ok {
		o, _ = p.old.find(t)
	}
	return o
}

// find is where the transaction of a reply began, if a message of it came of late.
func (p *pending) find(now instant.Instant, m dhcp4.Message) (o origin, ok bool) {
	if p.young.all == nil { // nothing was ever worth it
		return o, false
	}
	o = p.last(transactionOf(m, m.GIAddr()))
	return o, o.link != 0 && now < o.at.After(answerTime)
}
