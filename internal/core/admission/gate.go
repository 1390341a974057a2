package admission

import "fairlead/internal/core/instant"

// Verdict is what a Gate says about one message.
type Verdict uint8

// The verdicts. Known and Newcomer admit the message; the other verdicts name the limit
// that the message exceeds.
const (
	Known         Verdict = iota // from a source that was admitted before, or one that has no entry of its own
	Newcomer                     // from a source that is new on the link
	OverLink                     // the link as a whole sends too much
	OverSource                   // the source sends too much
	OverNewcomers                // too much at once from sources that are new or not yet established
)

func (v Verdict) String() string {
	return [...]string{"known", "newcomer", "over-link", "over-source", "over-newcomers"}[v]
}

// Admitted reports whether the message may go on.
func (v Verdict) Admitted() bool { return v <= Newcomer }

// DefaultSources is how many sources a Gate knows unless told otherwise, with 16
// octets of memory each.
const DefaultSources = 1 << 17

// Gate holds the token buckets of links and of sources on links.
//
// A source that was admitted once is known: its messages are charged to its own bucket and
// to the link's. The messages of all other sources are charged to one more bucket of their
// link, that of newcomers. A flood from invented addresses empties the bucket of
// newcomers, and takes nothing from known sources.
//
// A source is established from its fourth message on. Once half of the link's bucket is used,
// the other half is for established sources, so that addresses which are used for an exchange
// or two take nothing from them either. (A host that goes on using more addresses than the
// link's limit serves counts as so many sources; a switch can limit how many addresses a
// port has.)
//
// Where the table of sources is full, a newcomer takes the place of a source that is not
// established; if there is none, of a source whose bucket is full and that is on the
// newcomer's own link, or on a link with more than its share of entries. A source whose
// bucket is in use keeps its place: the newcomer then stays a newcomer.
type Gate struct {
	key    Key
	table  table
	places map[int]int // of a link's index in links
	links  []gateLink
	free   []int // places without link and entries
	gone   int   // places without link, but with entries
}

// gateLink is one link of a Gate.
type gateLink struct {
	link, source, newcomers pace

	full         instant.Instant // the link's bucket
	newcomerFull instant.Instant
	entries      int // its entries in the table
	gone         bool
}

// maxGone bounds the links that are gone and still have entries in the table.
const maxGone = 1024

// NewGate makes a gate without links, whose table has room for at least so many sources.
// The table is allocated at once.
func NewGate(key Key, sources int) *Gate {
	return &Gate{key: key, table: newTable(sources), places: make(map[int]int)}
}

// Set gives a link its limits. Its known sources stay known.
func (g *Gate) Set(link int, l Limits) {
	p, ok := g.places[link]
	if !ok {
		p = g.place()
		g.places[link] = p
	}
	at := &g.links[p]
	at.link, at.source, at.newcomers = paceOf(l.Link), paceOf(l.Source), paceOf(l.Newcomers)
}

func (g *Gate) place() int {
	if n := len(g.free); n > 0 {
		p := g.free[n-1]
		g.free = g.free[:n-1]
		return p
	}
	g.links = append(g.links, gateLink{})
	return len(g.links) - 1
}

// Remove forgets a link and its sources.
func (g *Gate) Remove(link int) {
	p, ok := g.places[link]
	if !ok {
		return
	}
	delete(g.places, link)
	g.links[p] = gateLink{entries: g.links[p].entries, gone: true}
	if g.links[p].entries == 0 {
		g.vacate(p)
		return
	}
	if g.gone++; g.gone > maxGone {
		g.sweep()
	}
}

// vacate makes a place ready for another link.
func (g *Gate) vacate(place int) {
	g.links[place] = gateLink{}
	g.free = append(g.free, place)
}

// sweep takes the entries of links that are gone out of the table.
func (g *Gate) sweep() {
	for i := range g.table.entries {
		if e := &g.table.entries[i]; e.owner != 0 && g.links[e.owner.place()].gone {
			g.evict(e)
		}
	}
}

// evict empties an entry.
func (g *Gate) evict(e *entry) {
	p := e.owner.place()
	*e = entry{}
	g.table.used--
	l := &g.links[p]
	if l.entries--; l.entries == 0 && l.gone {
		g.gone--
		g.vacate(p)
	}
}

// Sources is how many sources are known.
func (g *Gate) Sources() int { return g.table.used }

// Admit decides on one message. A link that has no limits admits everything. A
// message that is refused costs no bucket anything.
func (g *Gate) Admit(now instant.Instant, link int, s Source) Verdict {
	p, ok := g.places[link]
	if !ok {
		return Known
	}
	l := &g.links[p]
	l.link.bound(&l.full, now)
	l.newcomers.bound(&l.newcomerFull, now)
	if s.many || (l.source.interval == 0 && l.newcomers.interval == 0) {
		return l.admit(now, Known, true)
	}
	hash := g.key.of(link, s)
	if e := g.table.find(hash, ownerOf(p)); e != nil {
		if l.source.bound(&e.full, now); !l.source.allows(e.full, now) {
			return OverSource
		}
		v := l.admit(now, Known, e.owner.established())
		if v == Known {
			e.full = l.source.charge(e.full, now)
			e.owner = e.owner.again()
		}
		return v
	}
	if !l.newcomers.allows(l.newcomerFull, now) {
		return OverNewcomers
	}
	v := l.admit(now, Newcomer, false)
	if v == Newcomer {
		l.newcomerFull = l.newcomers.charge(l.newcomerFull, now)
		g.remember(now, hash, p)
	}
	return v
}

// admit charges the link's bucket if there is room in the part of it that a source may
// use, established or not. Where newcomers have no limit, every source may use the whole
// bucket.
func (l *gateLink) admit(now instant.Instant, v Verdict, established bool) Verdict {
	if !l.link.allows(l.full, now) {
		return OverLink
	}
	if !established && l.newcomers.interval != 0 && !l.link.allowsHalf(l.full, now) {
		return OverNewcomers
	}
	l.full = l.link.charge(l.full, now)
	return v
}

// remember makes a source known, if there is an entry for it.
func (g *Gate) remember(now instant.Instant, hash uint64, place int) {
	e := g.table.vacant(hash)
	if e == nil {
		if e = g.victim(now, hash, place); e == nil {
			return
		}
		g.evict(e)
	}
	l := &g.links[place]
	*e = entry{full: l.source.charge(0, now), print: uint32(hash >> 32), owner: ownerOf(place)}
	l.entries++
	g.table.used++
}

// victim is the entry that a newcomer on the link at a place may replace; nil if there is
// none.
func (g *Gate) victim(now instant.Instant, hash uint64, place int) *entry {
	share := len(g.table.entries) / len(g.places)
	return g.table.worst(hash, func(e *entry) int {
		l := &g.links[e.owner.place()]
		switch {
		case l.gone:
			return 3
		case e.full > now:
			return 0
		case !e.owner.established():
			return 2
		case e.owner.place() == place || l.entries > share:
			return 1
		}
		return 0
	})
}
