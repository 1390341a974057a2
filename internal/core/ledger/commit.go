package ledger

import (
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// pending is a Change whose outcome is not known yet, with what is needed to undo it.
type pending struct {
	deeds   []deed
	grants  bool // the Change grants something, which is not durable until the Change is kept
	builds  bool // the Change extends something that an unfinished Change grants
	told    bool // the clients know of the Change, so what it grants is not taken back
	order   Client
	records []string // the keys of the core's own records in the Change
}

// durable reports whether a client loses nothing if the Change is not kept.
func (p *pending) durable() bool { return p == nil || !p.grants && !p.builds }

// deed is one event of a pending Change.
type deed struct {
	kind   binding.EventKind
	place  Place
	link   string // with client: who has the binding now
	client binding.Client
	old    *binding.Binding      // the binding before a move; else nil
	orphan *hoststate.Delegation // the orphan that the delegation has replaced; nil: none
	value  []byte                // the record to keep, if the store was told what to expect; else nil
}

// Commit turns events of the table into one Change: what to keep, then what to install. It
// returns 0 if there is nothing to do.
func (l *Ledger) Commit(now instant.Now, events []binding.Event, eff *effect.Effects) effect.ChangeID {
	if len(events) == 0 {
		return 0
	}
	d := l.draft(len(events))
	for i := range events {
		eff.NoteEvent(&events[i], events[i].Subject())
		l.enter(now, &d, &events[i])
	}
	return l.submit(now, d, eff)
}

// commitAtOnce bounds how many events one Change of CommitAll has.
const commitAtOnce = 256

// CommitAll is Commit for any number of events that no message tells of. It makes Changes of a
// bounded size.
func (l *Ledger) CommitAll(now instant.Now, events []binding.Event, eff *effect.Effects) {
	for some := range slices.Chunk(events, commitAtOnce) {
		l.Commit(now, some, eff)
	}
}

// Told is Commit for events that the clients already know, or are told by a message that does not
// wait for the Change. A grant that the store does not take is not taken back; it is kept once the
// store works again.
func (l *Ledger) Told(now instant.Now, events []binding.Event, eff *effect.Effects) {
	if id := l.Commit(now, events, eff); id != 0 {
		eff.Changes[len(eff.Changes)-1].Follows = true
		p := l.pending[id]
		p.told, p.grants = true, false
	}
}

// draft is a Change that is being made.
type draft struct {
	effect.Change
	p *pending
}

func (l *Ledger) draft(events int) draft {
	d := draft{
		Change: effect.Change{Keep: l.rooms.operations(events + 1)},
		p:      &pending{deeds: make([]deed, 0, events), records: l.joining},
	}
	for _, key := range l.joining {
		d.Keep = append(d.Keep, effect.KeepOp{Key: []byte(key), Value: l.core.Record(key)})
	}
	l.joining = nil
	return d
}

func (d *draft) empty() bool { return len(d.Keep) == 0 && len(d.Host) == 0 }

// enter adds an event to a Change.
func (l *Ledger) enter(now instant.Now, d *draft, e *binding.Event) {
	var orphan *hoststate.Delegation
	switch e.Kind {
	case binding.Ended:
		d.Keep = l.keepPast(append(d.Keep, l.forgetOp(&e.Old)), now, &e.Old, e.Reason)
		d.Host = l.deleted(d.Host, &e.Old)
		delete(l.uninstalled, PlaceOf(&e.Old))
	case binding.Moved:
		d.Keep = l.keepPast(d.Keep, now, &e.Old, binding.MovedAway)
		fallthrough
	case binding.Granted:
		if l.inKernel(e.New.Link) {
			orphan = l.host.Orphan(e.New.Link, e.New.Prefix)
		}
		d.p.grants = true
		fallthrough
	case binding.Extended:
		d.Keep = append(d.Keep, l.keepOp(now, &e.New))
		d.Host = l.hostOps(d.Host, e)
	default:
		return
	}
	d.p.deeds = append(d.p.deeds, deedOf(e, e.Subject()))
	d.p.deeds[len(d.p.deeds)-1].orphan = orphan
	if l.records.Shared && e.Kind != binding.Ended {
		l.expect(d, e.Kind)
	}
	if l.waiting.n > 0 {
		l.overtake(now, d, e)
	}
	if e.Kind != binding.Ended {
		l.forgetEnded(d, PlaceOf(&e.New))
	}
}

// keep adds a binding to a Change, as the table has it.
func (l *Ledger) keep(now instant.Now, d *draft, held *binding.Binding) {
	d.Keep = append(d.Keep, l.keepOp(now, held))
	d.p.deeds = append(d.p.deeds, deed{kind: binding.Extended, place: PlaceOf(held), link: held.Link, client: held.Client})
	l.forgetEnded(d, PlaceOf(held))
}

// forget has a Change take out of the store what has no binding.
func (l *Ledger) forget(d *draft, k Place) {
	l.unkept.drop(k)
	d.Keep = append(d.Keep, effect.KeepOp{Key: binding.Key(nil, l.in, k.VRF, k.Prefix)})
	d.p.deeds = append(d.p.deeds, deed{kind: binding.Ended, place: k})
}

// forgetEnded has a Change that keeps a prefix take out of the store what overlaps with that, has ended, and was not
// taken out before, or perhaps will not be. Else a crash could leave both in the store. A Change that only extends
// does so too, because it grants the prefix if the Change before it fails.
func (l *Ledger) forgetEnded(d *draft, granted Place) {
	for _, k := range append(l.unkept.overlapping(granted), l.ending.overlapping(granted)...) {
		if _, stands := l.table.Lookup(k.VRF, k.Prefix); stands || k == granted || l.waiting.find(k) != nil {
			continue
		}
		l.forget(d, k)
	}
}

// expect makes the store keep the newest record of a Change only if no other server has kept one
// before. A new grant expects that the store has no record of the prefix. A Change that extends a
// grant which is not durable yet expects the record of that grant.
func (l *Ledger) expect(d *draft, kind binding.EventKind) {
	op, of := &d.Keep[len(d.Keep)-1], &d.p.deeds[len(d.p.deeds)-1]
	var newest effect.ChangeID
	for id, p := range l.pending {
		for i := range p.deeds {
			if earlier := &p.deeds[i]; id > newest && earlier.place == of.place && earlier.value != nil {
				newest, op.Expect = id, earlier.value
			}
		}
	}
	if newest == 0 && kind == binding.Granted {
		op.Expect = effect.Absent
	}
	if op.Expect != nil {
		of.value = op.Value
	}
}

// submit adds a Change to the Effects, if it is not empty.
func (l *Ledger) submit(now instant.Now, d draft, eff *effect.Effects) effect.ChangeID {
	if d.empty() {
		return 0
	}
	// The time of a clock that is not synchronised is not kept.
	if since := now.Wall.Sub(l.wallKept); now.Synced && (since < 0 || since >= wallEvery) {
		d.Keep = append(d.Keep, clockOp(now))
		l.wallKept = now.Wall
	}
	return l.change(d.Change, d.p, eff)
}

// hostOps appends what installs a delegation that was granted, extended or moved.
func (l *Ledger) hostOps(ops []hoststate.Op, e *binding.Event) []hoststate.Op {
	if !l.changesHost(e) {
		if e.Kind == binding.Moved && e.Old.Link != e.New.Link {
			ops = l.deleted(ops, &e.Old)
		}
		return ops
	}
	if l.isUninstalled(&e.New) {
		ops = l.host.Delete(ops, e.New.Link, e.New.Prefix)
		delete(l.uninstalled, PlaceOf(&e.New))
	}
	wanted := l.core.ForKernel(&e.New)
	wanted.New = e.Kind == binding.Granted || e.Kind == binding.Moved && e.Old.Client != e.New.Client
	ops = l.host.Put(ops, wanted)
	if e.Kind == binding.Moved && e.Old.Link != e.New.Link { // after Put, so that there is a route all the time
		ops = l.deleted(ops, &e.Old)
	}
	return l.cover(ops, &e.New)
}

// deleted appends the operations that remove a delegation from the kernel.
func (l *Ledger) deleted(ops []hoststate.Op, d *binding.Binding) []hoststate.Op {
	if !l.inKernel(d.Link) {
		return ops
	}
	return l.cover(l.host.Delete(ops, d.Link, d.Prefix), d)
}

// changesHost reports whether an event changes anything in the kernel. A new lifetime alone does
// not.
func (l *Ledger) changesHost(e *binding.Event) bool {
	return l.inKernel(e.New.Link) && (e.Kind != binding.Extended || e.Old.NextHop != e.New.NextHop || e.Old.LinkLayer != e.New.LinkLayer ||
		e.Old.Line != e.New.Line || e.Old.Exclude != e.New.Exclude || l.isUninstalled(&e.New))
}

func (l *Ledger) isUninstalled(d *binding.Binding) bool {
	if len(l.uninstalled) == 0 {
		return false
	}
	_, missing := l.uninstalled[PlaceOf(d)]
	return missing
}

func deedOf(e *binding.Event, subject *binding.Binding) deed {
	d := deed{kind: e.Kind, place: PlaceOf(subject), link: subject.Link, client: subject.Client}
	if e.Kind == binding.Moved {
		old := e.Old
		d.old = &old
	}
	return d
}

func (l *Ledger) change(c effect.Change, p *pending, eff *effect.Effects) effect.ChangeID {
	l.lastChange++
	c.ID = l.lastChange
	l.pending[c.ID] = p
	for i := range p.deeds {
		if d := &p.deeds[i]; d.kind == binding.Ended {
			n, _ := l.ending.get(d.place)
			l.ending.put(d.place, n+1)
		}
	}
	eff.Changes = append(eff.Changes, c)
	return c.ID
}

// InOrder is the Change that a client's next datagram waits for: its own one, or else the client's
// newest unfinished one, so that datagrams do not overtake each other. InOrder sets extends to
// false if the datagram must not leave unless that Change is kept.
func (l *Ledger) InOrder(k Client, own effect.ChangeID, extends *bool) effect.ChangeID {
	prior := l.ordered[k]
	if !l.pending[prior].durable() {
		*extends = false // the client's earlier Change is not durable yet
		if own != 0 {
			l.pending[own].builds = true
		}
	}
	if own == 0 {
		return prior
	}
	l.ordered[k] = own
	l.pending[own].order = k
	return own
}

func (l *Ledger) keepOp(now instant.Now, d *binding.Binding) effect.KeepOp {
	if l.records.Minimal {
		needed := *d
		needed.Granted, needed.Changed, needed.Server = time.Time{}, time.Time{}, ""
		d = &needed
	}
	key := binding.Key(l.rooms.record(), l.in, d.VRF, d.Prefix)
	both := binding.AppendRecord(key, l.in, d, now, l.bootID)
	l.rooms.taken(both)
	return effect.KeepOp{Key: both[:len(key):len(key)], Value: both[len(key):len(both):len(both)]}
}

func (l *Ledger) forgetOp(d *binding.Binding) effect.KeepOp {
	return effect.KeepOp{Key: binding.Key(nil, l.in, d.VRF, d.Prefix)}
}
