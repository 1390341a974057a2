package relay6

import (
	"cmp"
	"maps"
	"slices"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// undo takes back what a change that could not be kept had granted. What it had
// extended or ended stays so, for the old record is no worse than none, and is
// kept once the store is back.
func (r *Relay) undo(now instant.Now, id ChangeID, p *pending, eff *Effects) {
	if len(r.unkept) == 0 {
		r.retryAt = now.Boot.After(retryEvery)
	}
	var ops []hoststate.Op
	for i := len(p.events) - 1; i >= 0; i-- {
		e := &p.events[i]
		switch e.Kind {
		case delegation.Granted, delegation.Moved:
			if !r.handOn(id, e) {
				ops = r.takeBack(ops, e)
			}
			r.unkept[place(&e.New)] = struct{}{}
		case delegation.Extended:
			r.unkept[place(&e.New)] = struct{}{}
		case delegation.Ended:
			r.unkept[place(&e.Old)] = struct{}{}
		}
	}
	r.install(ops, eff)
}

// takeBack undoes one grant that was not kept, if it still stands.
func (r *Relay) takeBack(ops []hoststate.Op, e *delegation.Event) []hoststate.Op {
	d, ok := r.table.Lookup(e.New.VRF, e.New.Prefix)
	if !ok || d.Link != e.New.Link || d.Client != e.New.Client {
		return ops
	}
	r.refusals[delegation.NotKept]++
	r.table.Remove(e.New.VRF, e.New.Prefix)
	if e.Kind == delegation.Moved {
		r.table.Put(e.Old)
		ops = r.host.Put(ops, r.lease(&e.Old))
		if e.Old.Link == e.New.Link {
			return ops
		}
	}
	return r.host.Delete(ops, e.New.Link, e.New.Prefix)
}

// handOn leaves the undoing of a grant to the next unfinished change of the same
// place, which may yet be kept: what that one extends is new now as well. It
// reports whether there is such a change.
func (r *Relay) handOn(id ChangeID, e *delegation.Event) bool {
	var heir *delegation.Event
	var of ChangeID
	for other, p := range r.pending {
		if other < id || of != 0 && other > of {
			continue
		}
		for i := range p.events {
			if place(p.events[i].Subject()) == place(&e.New) {
				heir, of = &p.events[i], other
				break
			}
		}
	}
	if heir == nil {
		return false
	}
	switch {
	case heir.Kind == delegation.Extended:
		heir.Kind, heir.Old = e.Kind, e.Old
		r.pending[of].grants = true
	case heir.Kind == delegation.Moved && e.Kind == delegation.Granted:
		heir.Kind = delegation.Granted
	case heir.Kind == delegation.Moved:
		heir.Old = e.Old
	}
	return true
}

// keepAtOnce bounds one try to keep what the store has not got.
const keepAtOnce = 1024

// keepAgain keeps what the store has not got, as it is now.
func (r *Relay) keepAgain(now instant.Now, eff *Effects) {
	c := Change{}
	p := &pending{}
	places := slices.SortedFunc(maps.Keys(r.unkept), func(a, b placeKey) int {
		return cmp.Or(cmp.Compare(a.vrf, b.vrf), a.prefix.Compare(b.prefix))
	})
	for _, k := range places[:min(len(places), keepAtOnce)] {
		d, ok := r.table.Lookup(k.vrf, k.prefix)
		e := delegation.Event{Kind: delegation.Extended, New: d}
		op := KeepOp{Key: delegation.Key(nil, k.vrf, k.prefix)}
		if ok {
			op = r.keepOp(now, &d)
		} else {
			e = delegation.Event{Kind: delegation.Ended, Old: delegation.Delegation{VRF: k.vrf, Prefix: k.prefix}}
		}
		c.Keep = append(c.Keep, op)
		p.events = append(p.events, e)
		delete(r.unkept, k)
	}
	r.retryAt = now.Boot.After(retryEvery)
	r.change(c, p, eff)
}
