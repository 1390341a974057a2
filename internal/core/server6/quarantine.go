package server6

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

const (
	// declinedFor is how long nobody gets an address that a client has declined: another host has
	// it, and an operator has to find out which.
	declinedFor = 24 * time.Hour
	// expiredFor is how long a lease waits for its client that has expired, or was taken from it. A
	// client that was away gets what it had, and one that the answer has not reached may use it yet.
	expiredFor = 10 * time.Minute
	// clearedFor is the longest time that a lease waits which an operator has ended, and which its
	// client may use until its lifetime is over.
	clearedFor = 24 * time.Hour
	// elsewhereFor is how long nobody gets a lease of which the store has said that another server
	// has given it. Only a try can tell whether it is free again.
	elsewhereFor = 10 * time.Minute
)

// quarantine has what is given to nobody, or to one client alone, for some time. In the pools it
// is taken.
type quarantine struct {
	declined map[netip.Prefix]declined
	by       map[linkaddr.Addr]int // how many of them a host has declined, where that is known
	waiting  map[netip.Prefix]waiting
	whose    map[place]netip.Prefix // what waits, by whom it waits for; of several the next ones are in the next places
	ends     endings
}

// declined is an address that a client has declined. It is kept in the store.
type declined struct {
	until  instant.Instant
	wall   time.Time // the same by the wall clock; zero: that could not be trusted
	bootID string    // of until
	by     linkaddr.Addr
}

// waiting is a lease that has ended and waits for its client.
type waiting struct {
	until   instant.Instant
	of      place
	cleared bool // by an operator: its client may use it yet
}

// place tells one IA of a client: who it was is not kept. In the pools of the link the search for
// its leases begins at the number.
type place struct {
	link   string
	number uint64
}

func newQuarantine() quarantine {
	return quarantine{declined: map[netip.Prefix]declined{}, by: map[linkaddr.Addr]int{}, waiting: map[netip.Prefix]waiting{}, whose: map[place]netip.Prefix{}}
}

// take takes in new pools what is in quarantine.
func (q *quarantine) take(n *networks) {
	for p := range q.declined {
		n.take(p)
	}
	var waited []late
	for p, x := range q.waiting {
		n.take(p)
		if !x.cleared {
			waited = append(waited, late{p, x.until})
		}
	}
	slices.SortFunc(waited, func(a, b late) int { return cmp.Or(cmp.Compare(a.until, b.until), a.lease.Compare(b.lease)) })
	for _, l := range waited {
		if pl := n.poolOf(l.lease); pl != nil {
			pl.late = append(pl.late, l)
		}
	}
}

// decline puts an address that a client has given back into quarantine. One host can put as
// many there as one client may have on its link: else it could decline a whole pool.
func (s *Server) decline(now instant.Now, r *request, p netip.Prefix, eff *effect.Effects) {
	if r.linkLayer.IsValid() && s.quarantine.by[r.linkLayer] >= r.policy.ClientLimit {
		return
	}
	d := declined{until: now.Boot.After(declinedFor), bootID: s.bootID, by: r.linkLayer}
	if now.Synced {
		d.wall = now.Wall.Add(declinedFor)
	}
	s.quarantine.decline(p, d)
	s.networks.take(p)
	s.ledger.KeepRecord(declinedKey(p), eff)
}

func (q *quarantine) decline(p netip.Prefix, d declined) {
	q.declined[p] = d
	if d.by.IsValid() {
		q.by[d.by]++
	}
	heap.Push(&q.ends, ending{p, d.until})
}

// isDeclined reports whether a client has declined an address.
func (q *quarantine) isDeclined(p netip.Prefix) bool {
	_, in := q.declined[p]
	return in
}

// await has a lease that has ended wait for its client. What is reserved, or of no pool, waits
// for nobody.
func (s *Server) await(until instant.Instant, b *binding.Binding, cleared bool) {
	pl := s.networks.poolOf(b.Prefix)
	if pl == nil || s.networks.reserved.Get(b.Prefix) {
		return
	}
	x := waiting{until, place{b.Link, s.number(b.Kind, []byte(b.Client.DUID()), b.IAID)}, cleared}
	s.quarantine.waiting[b.Prefix] = x
	s.quarantine.whose[s.quarantine.freePlace(x.of)] = b.Prefix
	heap.Push(&s.quarantine.ends, ending{b.Prefix, until})
	if !cleared {
		pl.late = append(pl.late, late{b.Prefix, until})
	}
}

// giveWay has nobody get a lease that another server has given out of the same store.
func (s *Server) giveWay(now instant.Now, p netip.Prefix) {
	if s.table.Find(p) != nil {
		return
	}
	until := now.Boot.After(elsewhereFor)
	s.quarantine.waiting[p] = waiting{until: until, cleared: true} // for nobody
	heap.Push(&s.quarantine.ends, ending{p, until})
	s.networks.take(p)
}

// leave takes a lease that somebody has now out of quarantine.
func (q *quarantine) leave(p netip.Prefix) {
	x, waits := q.waiting[p]
	if !waits {
		return
	}
	delete(q.waiting, p)
	for at := x.of; ; at.number++ {
		switch q.whose[at] {
		case p:
			last := q.freePlace(at)
			last.number--
			q.whose[at] = q.whose[last]
			delete(q.whose, last)
			return
		case netip.Prefix{}:
			return
		}
	}
}

// freePlace is the first place from an IA's on that has nothing.
func (q *quarantine) freePlace(at place) place {
	for {
		if _, taken := q.whose[at]; !taken {
			return at
		}
		at.number++
	}
}

// waitingFor yields what waits for an IA.
func (q *quarantine) waitingFor(at place) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for ; ; at.number++ {
			if p, waits := q.whose[at]; !waits || !yield(p) {
				return
			}
		}
	}
}

// late is a lease that waits since expiredFor before until.
type late struct {
	lease netip.Prefix
	until instant.Instant
}

// isOver reports whether a lease does not wait any more.
func (q *quarantine) isOver(l late) bool {
	x, waits := q.waiting[l.lease]
	return !waits || x.until != l.until
}

// trim forgets what does not wait any more.
func (p *leasePool) trim(q *quarantine) {
	for len(p.late) > 0 && q.isOver(p.late[0]) {
		p.late = p.late[1:]
	}
}

func (q *quarantine) deadline() instant.Instant {
	if len(q.ends) == 0 {
		return instant.Never
	}
	return q.ends[0].until
}

// endAtOnce bounds how many ends one Tick looks at.
const endAtOnce = 512

// endQuarantine ends what is over.
func (s *Server) endQuarantine(now instant.Now, eff *effect.Effects) {
	q := &s.quarantine
	for range endAtOnce {
		if len(q.ends) == 0 || q.ends[0].until > now.Boot {
			return
		}
		e := heap.Pop(&q.ends).(ending)
		if x, waits := q.waiting[e.lease]; waits && x.until == e.until {
			q.leave(e.lease)
			s.release(e.lease)
		}
		if d, in := q.declined[e.lease]; in && d.until == e.until {
			delete(q.declined, e.lease)
			if q.by[d.by]--; q.by[d.by] <= 0 {
				delete(q.by, d.by)
			}
			s.release(e.lease)
			s.ledger.KeepRecord(declinedKey(e.lease), eff)
		}
	}
}

// release gives back to its pool what has left quarantine.
func (s *Server) release(p netip.Prefix) {
	if pl := s.networks.poolOf(p); pl != nil {
		pl.trim(&s.quarantine)
	}
	if s.table.Find(p) == nil {
		s.networks.free(p)
	}
}

// ending is when something leaves quarantine, unless it has left already.
type ending struct {
	lease netip.Prefix
	until instant.Instant
}

// endings are a heap, the next one first.
type endings []ending

func (h endings) Len() int           { return len(h) }
func (h endings) Less(i, j int) bool { return h[i].until < h[j].until }
func (h endings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for container/heap.
func (h *endings) Push(e any) { *h = append(*h, e.(ending)) }

func (h *endings) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// declinedKey is the key of the record of a declined address: the role's space, a letter, the
// address.
func declinedKey(p netip.Prefix) []byte {
	a := p.Addr().As16()
	return append(append([]byte(binding.Server6), declinedLetter), a[:]...)
}

// declinedOf is the reverse of declinedKey.
func declinedOf[K ~string | ~[]byte](key K) (netip.Prefix, bool) {
	from, _ := binding.Range(binding.Server6, declinedLetter)
	if len(key) != len(from)+16 || string(key[:len(from)]) != string(from) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(key[len(from):]))), addressBits), true
}

// record is the record of a declined address; nil if it is not in quarantine any more. It has the
// end by both clocks, and the boot that the first one is of.
func (q *quarantine) record(key string) []byte {
	p, ok := declinedOf(key)
	d, in := q.declined[p]
	if !ok || !in {
		return nil
	}
	var wall int64
	if !d.wall.IsZero() {
		wall = d.wall.UnixNano()
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(d.until))
	return append(binary.BigEndian.AppendUint64(b, uint64(wall)), d.bootID...)
}

// restoreDeclined takes in the record of a declined address; errors are ErrRecord. After a
// reboot the wall clock says how much of the time is left; where it cannot be trusted, the time
// begins anew.
func (s *Server) restoreDeclined(now instant.Now, key, value []byte) error {
	p, ok := declinedOf(key)
	if !ok || len(value) < 16 {
		return ErrRecord
	}
	d := declined{until: instant.Instant(binary.BigEndian.Uint64(value)), bootID: string(value[16:])}
	if wall := int64(binary.BigEndian.Uint64(value[8:])); wall != 0 {
		d.wall = time.Unix(0, wall)
	}
	left := declinedFor
	switch {
	case d.bootID == s.bootID:
		left = min(left, now.Until(d.until))
	case now.Synced && !d.wall.IsZero():
		left = min(left, d.wall.Sub(now.Wall))
	}
	d.until, d.bootID = now.Boot.After(left), s.bootID
	s.quarantine.decline(p, d)
	s.networks.take(p)
	return nil
}
