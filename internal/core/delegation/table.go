package delegation

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

// Table holds the live delegations.
type Table struct {
	slots   slab.Slab[slot]
	names   names
	spaces  map[string]*bart.Table[ref] // by VRF; one live delegation per prefix
	clients map[clientKey]ref           // the first of a client's, chained by sibling
	links   map[nameID]*linkState
	hosts   map[hostKey]int32
	expiry  expiryHeap
	blocks  map[Block]struct{}
	count   [kinds]int
	excess  excess

	unchecked uint32 // delegations that were put in without a look for overlaps, plus 1

	excluded map[ref]netip.Prefix // of the few delegations from which a part is excluded

	held     map[ref]int64   // restored while the wall clock could not be trusted: when they end by it, nanoseconds
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
	count   [kinds]int
	clients tally
	hosts   tally
}

// New is an empty table.
func New() *Table {
	t := &Table{
		names:    newNames(),
		spaces:   make(map[string]*bart.Table[ref]),
		clients:  make(map[clientKey]ref),
		links:    make(map[nameID]*linkState),
		hosts:    make(map[hostKey]int32),
		blocks:   make(map[Block]struct{}),
		held:     make(map[ref]int64),
		excluded: make(map[ref]netip.Prefix),
		excess:   newExcess(),

		unchecked: 1,
	}
	t.expiry.slots = &t.slots
	return t
}

// Len is the number of live delegations of a kind.
func (t *Table) Len(k Kind) int { return t.count[k] }

// LinkLen is the number of live delegations of a kind on a link.
func (t *Table) LinkLen(link string, k Kind) int {
	if l := t.links[t.names.find(link)]; l != nil {
		return l.count[k]
	}
	return 0
}

// Lookup is the live delegation of exactly this prefix.
func (t *Table) Lookup(vrf string, p netip.Prefix) (Delegation, bool) {
	if r := t.at(vrf, p); r != 0 {
		return t.read(t.slots.At(r)), true
	}
	return Delegation{}, false
}

// All are the live delegations, link by link in the order of their names.
func (t *Table) All() iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		for _, id := range t.sortedLinks() {
			for s := range t.onLink(id) {
				if !yield(t.read(s)) {
					return
				}
			}
		}
	}
}

// OnLink are the live delegations of one link.
func (t *Table) OnLink(link string) iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		for s := range t.onLink(t.names.find(link)) {
			if !yield(t.read(s)) {
				return
			}
		}
	}
}

// OfClient are the live delegations that a client holds on one link.
func (t *Table) OfClient(link, client string) iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		for s := range t.ofClient(link, client) {
			if !yield(t.read(s)) {
				return
			}
		}
	}
}

func (t *Table) sortedLinks() []nameID {
	return slices.SortedFunc(maps.Keys(t.links), func(a, b nameID) int { return cmp.Compare(t.names.text(a), t.names.text(b)) })
}

// Links are the names of the links that hold anything, in their order.
func (t *Table) Links() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, id := range t.sortedLinks() {
			if !yield(t.names.text(id)) {
				return
			}
		}
	}
}

// Covering are the live delegations of prefixes that a prefix lies in.
func (t *Table) Covering(vrf string, p netip.Prefix) iter.Seq[Delegation] {
	return func(yield func(Delegation) bool) {
		space := t.spaces[vrf]
		if space == nil {
			return
		}
		for at, r := range space.Supernets(p) {
			if at != p && !yield(t.read(t.slots.At(r))) {
				return
			}
		}
	}
}

// VRFs are all in which anything was ever delegated.
func (t *Table) VRFs() iter.Seq[string] { return maps.Keys(t.spaces) }

// Deadline is when the next delegation may end, or what was not installed, and Expire
// has something to look at; false if none ever does. One that was extended since may be
// behind it.
func (t *Table) Deadline() (instant.Instant, bool) {
	at := instant.Never
	if len(t.expiry.due) > 0 {
		at = t.expiry.due[0].at
	}
	if len(t.excess.due) > 0 {
		at = min(at, t.excess.due[0].until)
	}
	return at, at != instant.Never
}

// expireAtOnce bounds how many delegations one Expire ends.
const expireAtOnce = 512

// Expire ends delegations whose valid lifetime has elapsed (RFC 8987 G-8), a
// bounded number of them, and appends an event for each. While more are due,
// Deadline is not after now.
func (t *Table) Expire(events []Event, now instant.Now) []Event {
	t.settle(now)
	t.excess.expire(now)
	for range expireAtOnce {
		if len(t.expiry.due) == 0 || t.expiry.due[0].at > now.Boot {
			break
		}
		if t.expiry.postpone() {
			continue
		}
		events = append(events, t.end(t.entry(t.expiry.due[0].ref), Expired))
	}
	return events
}

// Put sets a delegation as it is, without any check: to restore what was kept
// or to undo what could not be.
func (t *Table) Put(d Delegation) {
	t.Remove(d.VRF, d.Prefix)
	t.insert(&entry{Delegation: d})
}

// Rehome moves a delegation to another VRF, as its link did; false if another
// one is there.
func (t *Table) Rehome(vrf string, p netip.Prefix, to string) bool {
	e := t.find(vrf, p)
	if e == nil || t.at(to, p) != 0 {
		return false
	}
	t.change(e, func() { e.VRF = to })
	return true
}

// Rename moves all delegations of a link to another name, which the link has now.
func (t *Table) Rename(link, to string) {
	var all []*entry
	for s := range t.onLink(t.names.find(link)) {
		all = append(all, t.entry(s.ref))
	}
	for _, e := range all {
		t.change(e, func() { e.Link = to })
	}
	t.excess.rename(link, to)
}

// change takes an entry out, has it changed and puts it in again: what is restored
// and waits for a trustworthy clock goes on waiting.
func (t *Table) change(e *entry, by func()) {
	end, held := t.held[e.ref]
	t.remove(e)
	by()
	t.insert(e)
	if held {
		t.held[e.ref] = end
	}
}

// Remove takes a delegation away without an event: the undoing of a grant.
func (t *Table) Remove(vrf string, p netip.Prefix) {
	if e := t.find(vrf, p); e != nil {
		t.remove(e)
	}
}

// at is where the live delegation of a prefix is, or 0.
func (t *Table) at(vrf string, p netip.Prefix) ref {
	space := t.spaces[vrf]
	if space == nil {
		return 0
	}
	r, _ := space.Get(p)
	return r
}

func (t *Table) find(vrf string, p netip.Prefix) *entry {
	if r := t.at(vrf, p); r != 0 {
		return t.entry(r)
	}
	return nil
}

// insert puts in what nobody has looked at: it may overlap with anything.
func (t *Table) insert(e *entry) {
	t.unchecked++
	t.add(e)
}

// add puts in what overlaps with nobody else's.
func (t *Table) add(e *entry) *slot {
	r, s := t.slots.Add()
	s.ref, e.ref = r, r
	t.fill(s, &e.Delegation)
	space := t.spaces[e.VRF]
	if space == nil {
		space = new(bart.Table[ref])
		t.spaces[e.VRF] = space
	}
	space.Insert(e.Prefix, s.ref)
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

func (t *Table) remove(e *entry) {
	s := t.slots.At(e.ref)
	t.spaces[e.VRF].Delete(e.Prefix)
	delete(t.held, s.ref)
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
	e.ref = 0
}

// extend gives a delegation that stays where it is, and whose, new lifetimes.
func (t *Table) extend(r ref, d *Delegation) {
	s := t.slots.At(r)
	delete(t.held, r)
	if t.names.text(s.server) != d.Server {
		before := s.server
		s.server = t.names.hold(d.Server)
		t.names.release(before)
	}
	t.fillRest(s, d)
	t.expiry.fix(s)
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
