package delegation

import (
	"container/heap"
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// excess are the grants that the relay did not install: those above a limit, and those in
// the answer to a Release. They have left the server's pool all the same, so they count
// against the limits of their host and link until their lifetimes have elapsed: otherwise
// one host could empty the pool, one refused prefix after another. The excess is not kept:
// a new process begins without.
type excess struct {
	at     map[excessPlace]*surplus
	onLink map[excessLink]int
	ofHost map[excessHost]int
	inIA   map[excessIA]int
	due    surplusHeap // by the end
}

// surplus is one such grant.
type surplus struct {
	excessPlace
	excessIA
	host  linkaddr.Addr
	until instant.Instant
	index int
}

type excessPlace struct {
	vrf    string
	prefix netip.Prefix
}

type excessLink struct {
	link string
	kind binding.Kind
}

type excessHost struct {
	excessLink
	host linkaddr.Addr
}

type excessIA struct {
	excessLink
	client binding.Client
	iaid   uint32
}

// maxExcess bounds how many there are. When it is reached the one that ends first
// gives way.
const maxExcess = 1 << 16

func newExcess() excess {
	return excess{
		at: make(map[excessPlace]*surplus), onLink: make(map[excessLink]int),
		ofHost: make(map[excessHost]int), inIA: make(map[excessIA]int),
	}
}

// Charge counts a grant that was refused by a limit alone. For one link it counts no more
// grants than make a difference to its limits.
func (t *Table) Charge(now instant.Now, g Grant, p *Policy) {
	x := &t.excess
	at := excessPlace{g.VRF, g.Prefix}
	x.remove(x.at[at])
	on := excessLink{g.Link, g.Kind}
	_, until := binding.Lifetimes(now, g.Preferred, g.Lifetime)
	if until <= now.Boot || x.onLink[on] >= 2*p.LinkLimit {
		return
	}
	if len(x.due) == maxExcess {
		x.remove(x.due[0])
	}
	s := &surplus{excessPlace: at, excessIA: excessIA{on, g.Client, g.IAID}, until: until}
	if !g.Contested {
		s.host = g.LinkLayer
	}
	x.at[at] = s
	x.count(s, 1)
	heap.Push(&x.due, s)
}

// Succeed takes over the excess of the table before, which is not in the store.
func (t *Table) Succeed(other *Table) { t.excess, t.met = other.excess, other.met }

// Charged is how many grants in an IA are counted and not installed.
func (t *Table) Charged(link string, client binding.Client, iaid uint32, k binding.Kind) int {
	return t.excess.inIA[excessIA{excessLink{link, k}, client, iaid}]
}

// Exhausted is the limit that a host or a link has reached twice over, with the excess
// counted, or NoReason. No further grant of the server would be installed there.
func (t *Table) Exhausted(link string, host linkaddr.Addr, k binding.Kind, p *Policy) binding.Reason {
	on := excessLink{link, k}
	switch {
	case t.LinkLen(link, k)+t.excess.onLink[on] >= 2*p.LinkLimit:
		return binding.LimitLink
	case p.HostLimit > 0 && host.IsValid() && t.HostLen(link, host, k)+t.excess.ofHost[excessHost{on, host}] >= 2*p.HostLimit:
		return binding.LimitHost
	}
	return binding.NoReason
}

func (x *excess) count(s *surplus, n int) {
	add(x.onLink, s.excessLink, n)
	add(x.inIA, s.excessIA, n)
	if s.host.IsValid() {
		add(x.ofHost, excessHost{s.excessLink, s.host}, n)
	}
}

// add changes a count, and deletes it where it becomes 0.
func add[K comparable](counts map[K]int, k K, n int) {
	if counts[k] += n; counts[k] == 0 {
		delete(counts, k)
	}
}

// remove takes one out; nil is none.
func (x *excess) remove(s *surplus) {
	if s == nil {
		return
	}
	delete(x.at, s.excessPlace)
	x.count(s, -1)
	heap.Remove(&x.due, s.index)
}

// expire takes out what has ended.
func (x *excess) expire(now instant.Now) {
	for len(x.due) > 0 && x.due[0].until <= now.Boot {
		x.remove(x.due[0])
	}
}

// rename gives what is counted on a link to its new name.
func (x *excess) rename(link, to string) {
	for _, one := range x.at {
		if one.link == link {
			x.count(one, -1)
			one.link = to
			x.count(one, 1)
		}
	}
}

// clear takes out the grants that an operator selects.
func (x *excess) clear(s Selection) {
	for _, one := range x.at {
		if s.selects(one.prefix, one.client, one.link) {
			x.remove(one)
		}
	}
}

type surplusHeap []*surplus

func (h surplusHeap) Len() int           { return len(h) }
func (h surplusHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h surplusHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push and Pop are for container/heap.
func (h *surplusHeap) Push(s any) {
	one := s.(*surplus)
	one.index = len(*h)
	*h = append(*h, one)
}

func (h *surplusHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
