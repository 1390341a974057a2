package relay6

import (
	"cmp"
	"maps"
	"slices"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// undo takes back what a change that could not be kept had granted. What it had
// extended or ended stays so, for the old record is no worse than none, and is
// kept once the store is back.
func (r *Relay) undo(now instant.Now, id effect.ChangeID, p *pending, eff *effect.Effects) {
	if len(r.unkept) == 0 {
		r.retryAt = now.Boot.After(retryEvery)
	}
	for _, name := range p.addresses {
		r.unkeptAddresses[name] = struct{}{}
	}
	var ops []hoststate.Op
	for i := len(p.deeds) - 1; i >= 0; i-- {
		d := &p.deeds[i]
		if (d.kind == delegation.Granted || d.kind == delegation.Moved) && !r.handOn(id, d) {
			ops = r.takeBack(ops, d)
		}
		r.unkept[d.place] = struct{}{}
	}
	r.install(ops, eff)
}

// takeBack undoes one grant that was not kept, if it still stands.
func (r *Relay) takeBack(ops []hoststate.Op, d *deed) []hoststate.Op {
	held, ok := r.table.Lookup(d.place.vrf, d.place.prefix)
	if !ok || held.Link != d.link || held.Client != d.client {
		return ops
	}
	r.refusals[delegation.NotKept]++
	r.table.Remove(d.place.vrf, d.place.prefix)
	if d.kind == delegation.Moved {
		r.table.Put(*d.old)
		ops = r.host.Put(ops, r.lease(d.old))
		if d.old.Link == d.link {
			return ops
		}
	}
	return r.host.Delete(ops, d.link, d.place.prefix)
}

// handOn leaves the undoing of a grant to the next unfinished change of the same
// place, which may yet be kept: what that one extends is new now as well. It
// reports whether there is such a change.
func (r *Relay) handOn(id effect.ChangeID, d *deed) bool {
	var heir *deed
	var of effect.ChangeID
	for other, p := range r.pending {
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
	case heir.kind == delegation.Extended:
		heir.kind, heir.old = d.kind, d.old
		r.pending[of].grants = true
	case heir.kind == delegation.Moved && d.kind == delegation.Granted:
		heir.kind, heir.old = delegation.Granted, nil
	case heir.kind == delegation.Moved:
		heir.old = d.old
	}
	return true
}

// keepAtOnce bounds one try to keep what the store has not got.
const keepAtOnce = 1024

// keepAgain keeps what the store has not got, as it is now.
func (r *Relay) keepAgain(now instant.Now, eff *effect.Effects) {
	c := effect.Change{}
	p := &pending{}
	places := slices.SortedFunc(maps.Keys(r.unkept), func(a, b placeKey) int {
		return cmp.Or(cmp.Compare(a.vrf, b.vrf), a.prefix.Compare(b.prefix))
	})
	for _, k := range places[:min(len(places), keepAtOnce)] {
		if r.waiting.find(k) != nil {
			continue // it is kept once it is told
		}
		d, ok := r.table.Lookup(k.vrf, k.prefix)
		op, kind := effect.KeepOp{Key: delegation.Key(nil, k.vrf, k.prefix)}, delegation.Ended
		if ok {
			op, kind = r.keepOp(now, &d), delegation.Extended
		}
		c.Keep = append(c.Keep, op)
		p.deeds = append(p.deeds, deed{kind: kind, place: k, link: d.Link, client: d.Client})
		delete(r.unkept, k)
	}
	c.Keep, p.addresses = r.keepAddresses(c.Keep)
	r.retryAt = now.Boot.After(retryEvery)
	if len(c.Keep) > 0 {
		r.change(c, p, eff)
	}
}
