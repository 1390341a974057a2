package ledger

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// Settle takes in the outcome of a Change, after all datagrams that name it have left or were given
// up. It returns the places that were granted here although another server had granted them before
// (effect.ErrTaken). The core decides on them again.
func (l *Ledger) Settle(now instant.Now, o effect.Outcome, eff *effect.Effects) (taken []Place) {
	p := l.pending[o.ID]
	if p == nil {
		return nil
	}
	delete(l.pending, o.ID)
	for i := range p.deeds {
		if d := &p.deeds[i]; d.kind == binding.Ended {
			if n, _ := l.ending.get(d.place); n > 1 {
				l.ending.put(d.place, n-1)
			} else {
				l.ending.drop(d.place)
			}
		}
	}
	if l.ordered[p.order] == o.ID {
		delete(l.ordered, p.order)
	}
	if o.Keep != nil {
		l.progress.KeepFailed++
		eff.Note(effect.Note{Kind: effect.NoteStore, Text: "not kept", Err: o.Keep})
		taken = l.undo(now, o, p, eff)
	}
	if f := l.following[o.ID]; f != nil {
		delete(l.following, o.ID)
		if o.Keep != nil && f.whole && l.core.Stays != nil {
			l.stay(f)
		} else {
			l.follow(now, f, eff)
		}
	}
	for _, f := range o.Install {
		l.progress.InstallFailed++
		l.notInstalled(f, eff)
	}
	return taken
}

// notInstalled deals with an operation that the kernel did not take. A unicast route over an
// interface that is down or gone gets a stand-in route. Anything else is tried again by the next
// comparison, and when the prefix is granted the next time.
func (l *Ledger) notInstalled(f effect.FailedOp, eff *effect.Effects) {
	if f.Op.Route != nil && !f.Op.Remove && errors.Is(f.Err, effect.ErrRefused) {
		l.Install(l.host.Refused(nil, *f.Op.Route), eff)
		return
	}
	eff.Note(effect.Note{Kind: effect.NoteForeign, Text: "not installed", Err: f.Err})
	if f.Op.Remove {
		return
	}
	prefix := netip.Prefix{}
	switch {
	case f.Op.Route != nil:
		prefix = f.Op.Route.Prefix
	case f.Op.Element != nil:
		prefix = f.Op.Element.Prefix
	}
	for vrf := range l.table.VRFs() {
		if d, ok := l.table.Lookup(vrf, prefix); ok {
			l.uninstalled[PlaceOf(&d)] = struct{}{}
		}
	}
}

// retryEvery is the time between two tries to keep what the store does not have.
const retryEvery = 2 * time.Second

// undo takes back what a Change granted that could not be kept. What the Change extended or ended
// stays so, since the old record in the store does no harm; it is kept once the store works again.
// Where another server has kept a record before (effect.ErrTaken), ours is not tried again, since
// the record in the store is not ours.
func (l *Ledger) undo(now instant.Now, o effect.Outcome, p *pending, eff *effect.Effects) (taken []Place) {
	other := errors.Is(o.Keep, effect.ErrTaken)
	if l.unkept.n == 0 {
		l.retryAt = now.Boot.After(retryEvery)
	}
	for _, key := range p.records {
		l.lacking[key] = struct{}{}
	}
	var ops []hoststate.Op
	for i := len(p.deeds) - 1; i >= 0; i-- {
		d := &p.deeds[i]
		if other && d.value != nil {
			ops = l.takeBack(ops, d)
			taken = append(taken, d.place)
			continue
		}
		if !p.told && (d.kind == binding.Granted || d.kind == binding.Moved) && !l.handOn(o.ID, d) {
			ops = l.takeBack(ops, d)
		}
		l.unkept.put(d.place, struct{}{})
	}
	l.Install(ops, eff)
	return taken
}

// takeBack undoes one grant that was not kept, if the client still has it.
func (l *Ledger) takeBack(ops []hoststate.Op, d *deed) []hoststate.Op {
	held, ok := l.table.Lookup(d.place.VRF, d.place.Prefix)
	if !ok {
		return l.takeBackEnded(ops, d)
	}
	if held.Link != d.link || held.Client != d.client {
		return ops
	}
	l.takenBack++
	l.table.Remove(d.place.VRF, d.place.Prefix)
	if l.core.TakenBack != nil && d.kind != binding.Moved {
		l.core.TakenBack(&held)
	}
	if d.kind == binding.Moved {
		l.table.Put(*d.old)
		if l.inKernel(d.old.Link) {
			ops = l.cover(l.host.Put(ops, l.core.ForKernel(d.old)), d.old)
		}
		if d.old.Link == d.link {
			return ops
		}
	}
	if d.orphan != nil {
		return l.cover(l.host.PutOrphan(ops, *d.orphan), &held)
	}
	return l.deleted(ops, &held)
}

// takeBackEnded undoes a grant that was not kept where a Reply that has not left takes it from its
// client again: there was nothing to take.
func (l *Ledger) takeBackEnded(ops []hoststate.Op, d *deed) []hoststate.Op {
	e := l.waiting.find(d.place)
	if e == nil || e.Kind != binding.Ended || e.Old.Link != d.link || e.Old.Client != d.client {
		return ops
	}
	never, _ := l.waiting.take(d.place)
	l.takenBack++
	if l.core.TakenBack != nil {
		l.core.TakenBack(&never.Old)
	}
	return l.deleted(ops, &never.Old)
}

// handOn leaves it to the next unfinished Change of the same place to undo a grant, since that
// Change may still be kept. Where that Change extends the grant, it counts as a grant from now on.
// handOn reports whether there is such a Change.
func (l *Ledger) handOn(id effect.ChangeID, d *deed) bool {
	var heir *deed
	var of effect.ChangeID
	for other, p := range l.pending {
		if other < id || of != 0 && other > of {
			continue
		}
		for i := range p.deeds {
			if p.deeds[i].place == d.place {
				heir, of = &p.deeds[i], other
				break
			}
		}
	}
	if heir == nil {
		return false
	}
	switch {
	case heir.kind == binding.Extended:
		heir.kind, heir.old, heir.orphan = d.kind, d.old, d.orphan
		l.pending[of].grants = true
	case heir.kind == binding.Moved && d.kind == binding.Granted:
		heir.kind, heir.old, heir.orphan = binding.Granted, nil, d.orphan
	case heir.kind == binding.Moved:
		heir.old = d.old
	}
	return true
}

// keepAtOnce bounds how many delegations, and how many records, one try has.
const keepAtOnce = 1024

// keepAgain tries again to keep what the store does not have, as it is now.
func (l *Ledger) keepAgain(now instant.Now, eff *effect.Effects) {
	var places []Place
	for k := range l.unkept.inOrder() {
		if places = append(places, k); len(places) == keepAtOnce {
			break
		}
	}
	d := l.draft(len(places))
	for _, k := range places {
		if _, lacks := l.unkept.get(k); !lacks || l.waiting.find(k) != nil {
			continue // this Change forgets it already, or it is kept once its Reply has left
		}
		if held, ok := l.table.Lookup(k.VRF, k.Prefix); ok {
			l.unkept.drop(k)
			l.keep(now, &d, &held)
		} else {
			l.forget(&d, k)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.lacking))[:min(len(l.lacking), keepAtOnce)] {
		d.Keep = append(d.Keep, effect.KeepOp{Key: []byte(key), Value: l.core.Record(key)})
		d.p.records = append(d.p.records, key)
		delete(l.lacking, key)
	}
	l.retryAt = now.Boot.After(retryEvery)
	if !d.empty() {
		l.change(d.Change, d.p, eff)
	}
}
