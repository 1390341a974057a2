package binding

import (
	"cmp"
	"iter"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/slab"
	"fairlead/internal/wire/linkaddr"
)

// Table holds the live bindings, one for each prefix in a VRF.
type Table struct {
	slots   slab.Slab[Slot]
	names   names
	spaces  map[string]*bart.Table[ref] // by VRF; one live binding per prefix
	clients map[clientKey]ref           // the first of a client's, chained by sibling
	links   map[nameID]*linkState
	hosts   map[hostKey]int32
	expiry  expiryHeap
	count   [Kinds]int

	unchecked uint32 // bindings that were put in without a look for overlaps, plus 1

	excluded map[ref]netip.Prefix // of the few bindings from which a part is excluded

	waiting  map[ref]int64   // restored while the wall clock could not be trusted: when they end by it, nanoseconds
	minWall  time.Time       // a synchronised clock that is behind this is not believed,
	doubtEnd instant.Instant // until this
}

type clientKey struct{ link, client nameID }

type hostKey struct {
	link nameID
	host linkaddr.Addr
	kind Kind
}

type linkState struct {
	head    ref
	count   [Kinds]int
	clients Tally
	hosts   Tally
}

// NewTable is an empty table.
func NewTable() *Table {
	t := &Table{
		names:    newNames(),
		spaces:   make(map[string]*bart.Table[ref]),
		clients:  make(map[clientKey]ref),
		links:    make(map[nameID]*linkState),
		hosts:    make(map[hostKey]int32),
		waiting:  make(map[ref]int64),
		excluded: make(map[ref]netip.Prefix),

		unchecked: 1,
	}
	t.expiry.slots = &t.slots
	return t
}

// Len is the number of live bindings of a kind.
func (t *Table) Len(k Kind) int { return t.count[k] }

// LinkLen is the number of live bindings of a kind on a link.
func (t *Table) LinkLen(link string, k Kind) int {
	if l := t.links[t.names.find(link)]; l != nil {
		return l.count[k]
	}
	return 0
}

// Lookup is the live binding of exactly this prefix.
func (t *Table) Lookup(vrf string, p netip.Prefix) (Binding, bool) {
	if s := t.At(vrf, p); s != nil {
		return t.Read(s), true
	}
	return Binding{}, false
}

// At is the live binding of exactly this prefix, or nil.
func (t *Table) At(vrf string, p netip.Prefix) *Slot {
	space := t.spaces[vrf]
	if space == nil {
		return nil
	}
	if r, ok := space.Get(p); ok {
		return t.slots.At(r)
	}
	return nil
}

// All are the live bindings, link by link in the order of their names.
func (t *Table) All() iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for _, id := range t.sortedLinks() {
			for s := range t.onLink(id) {
				if !yield(t.Read(s)) {
					return
				}
			}
		}
	}
}

// OnLink are the live bindings of one link.
func (t *Table) OnLink(link string) iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		for s := range t.Slots(link) {
			if !yield(t.Read(s)) {
				return
			}
		}
	}
}

func (t *Table) sortedLinks() []nameID {
	return slices.SortedFunc(maps.Keys(t.links), func(a, b nameID) int { return cmp.Compare(t.names.text(a), t.names.text(b)) })
}

// Links are the names of the links with bindings, in alphabetical order.
func (t *Table) Links() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, id := range t.sortedLinks() {
			if !yield(t.names.text(id)) {
				return
			}
		}
	}
}

// Covering are the live bindings of prefixes that a prefix lies in, but for its own.
func (t *Table) Covering(vrf string, p netip.Prefix) iter.Seq[*Slot] {
	return t.near(vrf, p, (*bart.Table[ref]).Supernets)
}

// Within are the live bindings of prefixes that lie in a prefix, but for its own.
func (t *Table) Within(vrf string, p netip.Prefix) iter.Seq[*Slot] {
	return t.near(vrf, p, (*bart.Table[ref]).Subnets)
}

func (t *Table) near(vrf string, p netip.Prefix, look func(*bart.Table[ref], netip.Prefix) iter.Seq2[netip.Prefix, ref]) iter.Seq[*Slot] {
	return func(yield func(*Slot) bool) {
		space := t.spaces[vrf]
		if space == nil {
			return
		}
		for at, r := range look(space, p) {
			if at != p && !yield(t.slots.At(r)) {
				return
			}
		}
	}
}

// Find is the live binding of exactly this prefix in any VRF, or nil. It is for a role that has each
// prefix once.
func (t *Table) Find(p netip.Prefix) *Slot {
	for _, space := range t.spaces {
		if r, ok := space.Get(p); ok {
			return t.slots.At(r)
		}
	}
	return nil
}

// Overlaps reports whether a prefix is that of a live binding in any VRF, contains one, or lies in one.
func (t *Table) Overlaps(p netip.Prefix) bool {
	for _, space := range t.spaces {
		if space.OverlapsPrefix(p) {
			return true
		}
	}
	return false
}

// VRFs are all VRFs that ever had a binding.
func (t *Table) VRFs() iter.Seq[string] { return maps.Keys(t.spaces) }

// Deadline is when Expire has something to do. It may be too early if a binding was extended
// since.
func (t *Table) Deadline() instant.Instant {
	if len(t.expiry.due) == 0 {
		return instant.Never
	}
	return t.expiry.due[0].at
}

// expireAtOnce bounds how many bindings one Expire ends.
const expireAtOnce = 512

// Expire ends bindings whose valid lifetime has elapsed (RFC 8987 G-8), a bounded
// number of them, and appends an event for each. While more are due, Deadline is not
// after now.
func (t *Table) Expire(events []Event, now instant.Now) []Event {
	t.endWaiting(now)
	for range expireAtOnce {
		if len(t.expiry.due) == 0 || t.expiry.due[0].at > now.Boot {
			break
		}
		if t.expiry.postpone() {
			continue
		}
		events = append(events, t.End(t.slots.At(t.expiry.due[0].ref), Expired))
	}
	return events
}

// Put sets a binding without any check: for restoring a stored binding, and for undoing a
// change that failed.
func (t *Table) Put(b Binding) {
	t.Remove(b.VRF, b.Prefix)
	t.insert(&b)
}

// Rehome moves a binding to another VRF, as its link did; false if another one is
// there.
func (t *Table) Rehome(vrf string, p netip.Prefix, to string) bool {
	s := t.At(vrf, p)
	if s == nil || t.At(to, p) != nil {
		return false
	}
	t.change(s, func(b *Binding) { b.VRF = to })
	return true
}

// Rename moves all bindings of a link to another name, which the link has now.
func (t *Table) Rename(link, to string) {
	for _, s := range slices.Collect(t.Slots(link)) {
		t.change(s, func(b *Binding) { b.Link = to })
	}
}

// change removes a binding, has it changed and puts it in again. A restored binding that
// waits for a trustworthy clock goes on waiting.
func (t *Table) change(s *Slot, by func(*Binding)) {
	end, waits := t.waiting[s.ref]
	b := t.Take(s)
	by(&b)
	if s = t.insert(&b); waits {
		t.waiting[s.ref] = end
	}
}

// Remove takes a binding away without an event: the undoing of a grant.
func (t *Table) Remove(vrf string, p netip.Prefix) {
	if s := t.At(vrf, p); s != nil {
		t.remove(s)
	}
}

// Take takes a binding out, and returns it.
func (t *Table) Take(s *Slot) Binding {
	b := t.Read(s)
	t.remove(s)
	return b
}

// End takes a binding out, and returns the event of its end.
func (t *Table) End(s *Slot, why Reason) Event {
	return Event{Kind: Ended, Reason: why, Old: t.Take(s)}
}

// Unchecked counts the bindings that were put in without a look for overlaps. While it
// stays as it is, bindings come by Add alone.
func (t *Table) Unchecked() uint32 { return t.unchecked }

// insert puts in what nobody has looked at: it may overlap with anything.
func (t *Table) insert(b *Binding) *Slot {
	t.unchecked++
	return t.add(b)
}

// Add puts in a binding that overlaps with nobody else's, where there is none.
func (t *Table) Add(b *Binding) { t.add(b).Apart = t.unchecked }

func (t *Table) add(b *Binding) *Slot {
	r, s := t.slots.Add()
	s.ref = r
	t.fill(s, b)
	space := t.spaces[b.VRF]
	if space == nil {
		space = new(bart.Table[ref])
		t.spaces[b.VRF] = space
	}
	space.Insert(b.Prefix, r)
	t.joinClient(s)
	t.joinLink(s)
	t.count[s.kind]++
	if s.linkLayer.IsValid() {
		t.hosts[hostKey{s.link, s.linkLayer, s.kind}]++
	}
	t.countUse(s, 1)
	t.expiry.add(s)
	return s
}

func (t *Table) remove(s *Slot) {
	t.spaces[t.names.text(s.vrf)].Delete(s.Prefix())
	delete(t.waiting, s.ref)
	t.countUse(s, -1)
	delete(t.excluded, s.ref)
	t.partClient(s)
	t.partLink(s)
	t.count[s.kind]--
	if s.linkLayer.IsValid() {
		host := hostKey{s.link, s.linkLayer, s.kind}
		if t.hosts[host]--; t.hosts[host] == 0 {
			delete(t.hosts, host)
		}
	}
	t.expiry.remove(s)
	t.letGo(s)
	t.slots.Remove(s.ref)
}

// Extend gives a binding that stays where it is, and whose, new lifetimes.
func (t *Table) Extend(s *Slot, b *Binding) {
	delete(t.waiting, s.ref)
	if t.names.text(s.server) != b.Server {
		before := s.server
		s.server = t.names.acquire(b.Server)
		t.names.release(before)
	}
	t.fillRest(s, b)
	t.expiry.fix(s)
}

// Lifetimes turns granted durations into instants.
func Lifetimes(now instant.Now, preferred, valid time.Duration) (p, v instant.Instant) {
	return now.Boot.After(preferred), now.Boot.After(valid)
}

// Infinite is the duration of an infinite lifetime.
const Infinite time.Duration = math.MaxInt64
