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
	// declinedFor is how long nobody gets an address that a client has declined. Another host uses
	// the address, and an operator has to find out which one.
	declinedFor = 24 * time.Hour
	// expiredFor is how long a lease waits for its client after it has expired or was taken back. A
	// client that was away gets the same lease again. Where the answer that takes a lease back got
	// lost, the client still uses it.
	expiredFor = 10 * time.Minute
	// clearedFor bounds how long a lease waits after an operator has ended it. Its client may use
	// it until its lifetime is over.
	clearedFor = 24 * time.Hour
	// elsewhereFor is how long nobody gets a lease that another server with the same store has
	// given. Only a new try can show whether the lease is free again.
	elsewhereFor = 10 * time.Minute
)

// quarantine has the leases that for some time nobody gets, or only one client. In the pools they
// are taken.
type quarantine struct {
	declined map[netip.Prefix]declined
	by       map[linkaddr.Addr]int // how many addresses each host has declined, if the host is known
	waiting  map[netip.Prefix]waiting
	whose    map[place]netip.Prefix // the leases that wait, by their IA; if there are several, the others are at the next numbers
	ends     endings
}

// declined is an address that a client has declined. It is kept in the store.
type declined struct {
	until  instant.Instant
	wall   time.Time     // until by the wall clock; zero: that clock could not be trusted
	bootID string        // the boot that until belongs to
	by     linkaddr.Addr // the host that has declined it; invalid: not known
}

// waiting is a lease that has ended and waits for its client.
type waiting struct {
	until  instant.Instant
	of     place
	alone  bool     // nobody else gets it before until, as a client may still use it
	before *waiting // whom it waited for when it was last given; that grant may turn out not to be kept
}

// place stands for one IA of a client, whose identity is not kept. In the pools of the link, the
// search for its leases begins at the number.
type place struct {
	link   string
	number uint64
}

func newQuarantine() quarantine {
	return quarantine{declined: map[netip.Prefix]declined{}, by: map[linkaddr.Addr]int{}, waiting: map[netip.Prefix]waiting{}, whose: map[place]netip.Prefix{}}
}

// take marks what is in quarantine as taken in new pools.
func (q *quarantine) take(n *networks) {
	for p := range q.declined {
		n.take(p)
	}
	var waited []late
	for p, x := range q.waiting {
		n.take(p)
		if !x.alone {
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

// decline puts a declined address into quarantine. One host can put there only as many as the limit
// for one client on its link; without this bound it could decline a whole pool.
func (s *Server) decline(now instant.Now, r *request, p netip.Prefix) {
	if r.linkLayer.IsValid() && s.quarantine.by[r.linkLayer] >= r.policy.ClientLimit {
		return
	}
	d := declined{until: now.Boot.After(declinedFor), bootID: s.bootID, by: r.linkLayer}
	if now.Synced {
		d.wall = now.Wall.Add(declinedFor)
	}
	s.quarantine.decline(p, d)
	s.networks.take(p)
	s.ledger.Join(declinedKey(p))
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

// await makes a lease that has ended wait for its client. A lease that is reserved, or belongs to
// no pool, does not wait. With alone, nobody else gets it meanwhile.
func (s *Server) await(until instant.Instant, b *binding.Binding, alone bool) {
	before := s.quarantine.leave(b.Prefix)
	if before != nil {
		before.before = nil
	}
	pl := s.networks.poolOf(b.Prefix)
	if pl == nil || s.networks.reserved.Get(b.Prefix) {
		return
	}
	of := place{b.Link, s.number(b.Kind, []byte(b.Client.DUID()), b.IAID)}
	s.quarantine.wait(b.Prefix, waiting{until, of, alone, before})
	if !alone {
		pl.late = append(pl.late, late{b.Prefix, until})
	}
}

// wait makes a lease wait for an IA.
func (q *quarantine) wait(p netip.Prefix, x waiting) {
	q.waiting[p] = x
	q.whose[q.freePlace(x.of)] = p
	heap.Push(&q.ends, ending{p, x.until})
}

// giveWay puts a lease into quarantine that another server with the same store has given. Nobody
// gets it there.
func (s *Server) giveWay(now instant.Now, p netip.Prefix) {
	if s.table.Find(p) != nil {
		return
	}
	until := now.Boot.After(elsewhereFor)
	s.quarantine.leave(p)
	s.quarantine.waiting[p] = waiting{until: until, alone: true} // for nobody
	heap.Push(&s.quarantine.ends, ending{p, until})
	s.networks.take(p)
}

// given notes that a lease is given to a client. It goes on waiting, as the grant may turn out not to be
// kept, but no other client gets it because it waits.
func (q *quarantine) given(p netip.Prefix) {
	if x, waits := q.waiting[p]; waits {
		x.alone = true
		q.waiting[p] = x
	}
}

// leave takes a lease out of quarantine. If it was not the last one of its IA, the last one moves to
// its number, so that the numbers stay without gaps. It returns how the lease has waited; nil: it did not wait.
func (q *quarantine) leave(p netip.Prefix) *waiting {
	x, waits := q.waiting[p]
	if !waits {
		return nil
	}
	delete(q.waiting, p)
	for at := x.of; ; at.number++ {
		switch q.whose[at] {
		case p:
			last := q.freePlace(at)
			last.number--
			q.whose[at] = q.whose[last]
			delete(q.whose, last)
			return &x
		case netip.Prefix{}:
			return &x
		}
	}
}

// freePlace is the first place without a lease, from an IA's place on.
func (q *quarantine) freePlace(at place) place {
	for {
		if _, taken := q.whose[at]; !taken {
			return at
		}
		at.number++
	}
}

// waitingFor yields the leases that wait for an IA.
func (q *quarantine) waitingFor(at place) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for ; ; at.number++ {
			if p, waits := q.whose[at]; !waits || !yield(p) {
				return
			}
		}
	}
}

// late is a lease that waits for its client. It began to wait expiredFor before until.
type late struct {
	lease netip.Prefix
	until instant.Instant
}

// isOver reports whether a lease waits no more, waits for its client alone, or has ended once more since
// and waits anew.
func (q *quarantine) isOver(l late) bool {
	x, waits := q.waiting[l.lease]
	return !waits || x.alone || x.until != l.until
}

// trim removes the first leases of the list that wait no more.
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

// endAtOnce bounds how many endings one Tick looks at.
const endAtOnce = 512

// endQuarantine takes leases out of quarantine whose time is over.
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

// release marks a lease as free in its pool after it has left quarantine.
func (s *Server) release(p netip.Prefix) {
	if pl := s.networks.poolOf(p); pl != nil {
		pl.trim(&s.quarantine)
	}
	if s.table.Find(p) == nil {
		s.networks.free(p)
	}
}

// ending says when a lease leaves quarantine, unless it has left before.
type ending struct {
	lease netip.Prefix
	until instant.Instant
}

// endings are a heap; the next ending is first.
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

// declinedKey is the key of a declined address's record: the role's space, a letter, the address in
// 16 octets.
func declinedKey(p netip.Prefix) []byte {
	a := p.Addr().As16()
	return append(append([]byte(binding.Server6), declinedLetter), a[:]...)
}

// declinedOf is the address in a key of declinedKey; false: it is another key.
func declinedOf[K ~string | ~[]byte](key K) (netip.Prefix, bool) {
	from, _ := binding.Range(binding.Server6, declinedLetter)
	if len(key) != len(from)+16 || string(key[:len(from)]) != string(from) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(key[len(from):]))), addressBits), true
}

// record is the record of a declined address; nil if the address is not in quarantine any more. It
// has until and wall, in 8 octets each (wall in nanoseconds since 1970, 0: not known), and the
// boot's id.
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

// restoreDeclined takes in the record of a declined address; errors are ErrRecord. After a reboot,
// the wall clock says how much time is left. If the wall clock cannot be trusted, the address stays
// in quarantine for declinedFor from now.
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
