package delegation

import (
	"container/heap"
	"iter"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Table holds the live delegations.
type Table struct {
	spaces  map[string]*bart.Table[*entry] // by VRF; one live delegation per prefix
	clients map[clientKey][]*entry
	duids   map[string]int // links that a client holds delegations on
	links   map[string]*linkState
	hosts   map[hostKey]int
	expiry  expiryHeap
	blocks  map[Block]struct{}
	count   [kinds]int

	held    []*entry // restored while the wall clock could not be trusted
	minWall time.Time
}

type entry struct {
	Delegation
	heapIndex  int
	prev, next *entry // of the same link
	wall       time.Time
}

type clientKey struct{ link, client string }

type hostKey struct {
	link string
	host linkaddr.Addr
	kind Kind
}

type linkState struct {
	head  *entry
	count [kinds]int
}

// New is an empty table.
func New() *Table {
	return &Table{
		spaces:  make(map[string]*bart.Table[*entry]),
		clients: make(map[clientKey][]*entry),
		duids:   make(map[string]int),
		links:   make(map[string]*linkState),
		hosts:   make(map[hostKey]int),
		blocks:  make(map[Block]struct{}),
	}
}

// Len is the number of live delegations of a kind.
func (t *Table) Len(k Kind) int { return t.count[k] }

// LinkLen is the number of live delegations of a kind on a link.
func (t *Table) LinkLen(link string, k Kind) int {
	if l := t.links[link]; l != nil {
		return l.count[k]
	}
	return 0
}

// Lookup is the live delegation of exactly this prefix.
func (t *Table) Lookup(vrf string, p netip.Prefix) (Delegation, bool) {
	if e := t.find(vrf, p); e != nil {
		return e.Delegation, true
	}
	return Delegation{}, false
}

// All are the live delegations, link by link in the order of their names.
func (t *Table) All() iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		for _, name := range slices.Sorted(maps.Keys(t.links)) {
			for e := t.links[name].head; e != nil; e = e.next {
				if !yield(e.Delegation) {
					return
				}
			}
		}
	}
}

// OnLink are the live delegations of one link.
func (t *Table) OnLink(link string) iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		l := t.links[link]
		if l == nil {
			return
		}
		for e := l.head; e != nil; {
			next := e.next
			if !yield(e.Delegation) {
				return
			}
			e = next
		}
	}
}

// OfClient are the live delegations that a client holds on one link.
func (t *Table) OfClient(link, client string) iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		for _, e := range t.clients[clientKey{link, client}] {
			if !yield(e.Delegation) {
				return
			}
		}
	}
}

// Deadline is when the next delegation ends; false if none ever does.
func (t *Table) Deadline() (instant.Instant, bool) {
	if len(t.expiry) == 0 || t.expiry[0].Valid == instant.Never {
		return 0, false
	}
	return t.expiry[0].Valid, true
}

// Expire ends every delegation whose valid lifetime has elapsed (RFC 8987 G-8)
// and appends an event for each.
func (t *Table) Expire(events []Event, now instant.Now) []Event {
	t.settle(now)
	for len(t.expiry) > 0 && t.expiry[0].Valid <= now.Boot {
		events = append(events, t.end(t.expiry[0], Expired))
	}
	return events
}

// Put sets a delegation as it is, without any check: to restore what was kept
// or to undo what could not be.
func (t *Table) Put(d Delegation) {
	if e := t.find(d.VRF, d.Prefix); e != nil {
		t.remove(e)
	}
	t.insert(&entry{Delegation: d})
}

// Rehome moves a delegation to another VRF, as its link did; false if another
// one is there.
func (t *Table) Rehome(vrf string, p netip.Prefix, to string) bool {
	e := t.find(vrf, p)
	if e == nil || t.find(to, p) != nil {
		return false
	}
	t.remove(e)
	e.VRF = to
	t.insert(e)
	return true
}

// Remove takes a delegation away without an event: the undoing of a grant.
func (t *Table) Remove(vrf string, p netip.Prefix) {
	if e := t.find(vrf, p); e != nil {
		t.remove(e)
	}
}

func (t *Table) find(vrf string, p netip.Prefix) *entry {
	s := t.spaces[vrf]
	if s == nil {
		return nil
	}
	e, _ := s.Get(p)
	return e
}

func (t *Table) space(vrf string) *bart.Table[*entry] {
	s := t.spaces[vrf]
	if s == nil {
		s = new(bart.Table[*entry])
		t.spaces[vrf] = s
	}
	return s
}

func (t *Table) insert(e *entry) {
	t.space(e.VRF).Insert(e.Prefix, e)
	ck := clientKey{e.Link, e.Client}
	if len(t.clients[ck]) == 0 {
		t.duids[e.Client]++
	}
	t.clients[ck] = append(t.clients[ck], e)
	l := t.links[e.Link]
	if l == nil {
		l = new(linkState)
		t.links[e.Link] = l
	}
	e.prev, e.next = nil, l.head
	if l.head != nil {
		l.head.prev = e
	}
	l.head = e
	l.count[e.Kind]++
	t.count[e.Kind]++
	if e.LinkLayer.IsValid() {
		t.hosts[hostKey{e.Link, e.LinkLayer, e.Kind}]++
	}
	heap.Push(&t.expiry, e)
}

func (t *Table) remove(e *entry) {
	t.space(e.VRF).Delete(e.Prefix)
	ck := clientKey{e.Link, e.Client}
	own := t.clients[ck]
	for i, o := range own {
		if o == e {
			own[i] = own[len(own)-1]
			own[len(own)-1] = nil
			own = own[:len(own)-1]
			break
		}
	}
	if len(own) > 0 {
		t.clients[ck] = own
	} else {
		delete(t.clients, ck)
		if t.duids[e.Client]--; t.duids[e.Client] == 0 {
			delete(t.duids, e.Client)
		}
	}
	l := t.links[e.Link]
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	l.count[e.Kind]--
	t.count[e.Kind]--
	if l.head == nil {
		delete(t.links, e.Link)
	}
	if e.LinkLayer.IsValid() {
		hk := hostKey{e.Link, e.LinkLayer, e.Kind}
		if t.hosts[hk]--; t.hosts[hk] == 0 {
			delete(t.hosts, hk)
		}
	}
	heap.Remove(&t.expiry, e.heapIndex)
	e.heapIndex = -1
}

func (t *Table) end(e *entry, r Reason) Event {
	t.remove(e)
	return Event{Kind: Ended, Reason: r, Old: e.Delegation}
}

// lifetimes turns granted durations into instants.
func lifetimes(now instant.Now, preferred, valid time.Duration) (p, v instant.Instant) {
	return now.Boot.After(preferred), now.Boot.After(valid)
}

// Infinite is the duration of an infinite lifetime.
const Infinite time.Duration = math.MaxInt64

type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].Valid < h[j].Valid }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}

func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.heapIndex = len(*h)
	*h = append(*h, e)
}

func (h *expiryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
