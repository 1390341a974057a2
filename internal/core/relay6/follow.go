package relay6

import (
	"slices"

	"github.com/gaissmai/bart"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// What a Reply takes from its client, by an end or by a shorter lifetime, is kept
// after the Reply has left: were it kept before, a crash between the two would leave
// the client with a prefix that the relay no longer knows. The table has it at once,
// and so does every limit.

// take reports whether events take anything from the client of the Reply that they are
// of.
func take(events []delegation.Event) bool {
	for i := range events {
		if e := &events[i]; withdrawn(e) || shortens(e, e) {
			return true
		}
	}
	return false
}

// withdrawn reports whether an event is an end of which a Reply tells.
func withdrawn(e *delegation.Event) bool {
	return e.Kind == delegation.Ended && e.Reason == delegation.Withdrawn
}

// shortens reports whether an event leaves its client with less time than it had
// before another one.
func shortens(e, before *delegation.Event) bool {
	return e.New.Valid < before.Old.Valid && before.Old.Client == e.New.Client && before.Old.Link == e.New.Link &&
		(e.Kind == delegation.Extended || e.Kind == delegation.Moved || e.Kind == delegation.Granted)
}

// tell turns what a Reply to a client has changed into Changes, and returns the one
// that the Reply waits for, if any. Extends becomes false where the Reply must not
// leave unless that one is kept.
func (r *Relay) tell(now instant.Now, k orderKey, events []delegation.Event, extends *bool, eff *effect.Effects) effect.ChangeID {
	if r.waiting.n == 0 && !take(events) {
		return r.inOrder(k, r.commit(now, events, eff), extends)
	}
	prior := r.ordered[k]
	first, then := r.draft(len(events)), new(following)
	for i := range events {
		e := &events[i]
		eff.NoteEvent(e, e.Subject())
		before := e
		if w := r.waiting.find(place(e.Subject())); w != nil {
			before = w // neither the client nor the store has heard of that one yet
		}
		known := before.Old
		switch {
		case withdrawn(e):
			asLong(&e.Old, &known)
			r.waiting.add(then, e)
		case shortens(e, before):
			longer := *e
			asLong(&longer.New, &known)
			if r.changesHost(e) || !r.pending[prior].durable() {
				r.enter(now, &first, &longer)
			}
			r.waiting.add(then, &delegation.Event{Kind: delegation.Extended, Old: longer.New, New: e.New})
		default:
			r.enter(now, &first, e)
		}
	}
	if len(then.events) == 0 {
		return r.inOrder(k, r.submit(now, first, eff), extends)
	}
	if prior == 0 && first.empty() { // the Reply leaves at once
		if r.follow(now, then, eff) != 0 {
			eff.Changes[len(eff.Changes)-1].Follows = true
		}
		return 0
	}
	// Where nothing is to be done before the Reply leaves, an empty change marks its
	// place behind what its client waits for already.
	own := r.change(first.Change, first.p, eff)
	r.following[own] = then
	return r.inOrder(k, own, extends)
}

// asLong gives a delegation the lifetimes of another.
func asLong(d, as *delegation.Delegation) {
	d.Preferred, d.Valid, d.Lifetime = as.Preferred, as.Valid, as.Lifetime
}

// following is what a Reply takes from its client: it is kept once the Reply has left.
type following struct{ events []delegation.Event }

// follow makes a Change of what followed a Reply that has left, or was given up.
func (r *Relay) follow(now instant.Now, f *following, eff *effect.Effects) effect.ChangeID {
	d := r.draft(len(f.events))
	for i := range f.events {
		e := &f.events[i]
		r.waiting.drop(place(e.Subject()))
		if e.Kind == delegation.Ended {
			r.enter(now, &d, e)
			continue
		}
		// If it is not there any more, the change that was to grant it was not kept.
		if held, ok := r.table.Lookup(e.New.VRF, e.New.Prefix); ok && held.Link == e.New.Link && held.Client == e.New.Client {
			d.Keep = append(d.Keep, r.keepOp(now, &held))
			d.p.deeds = append(d.p.deeds, deed{kind: delegation.Extended, place: place(&held), link: held.Link, client: held.Client})
		}
	}
	return r.submit(now, d, eff)
}

// overtake adds to a change what waits and must not come after it: of the place of an
// event, whose record is the newer one, and, if something is granted there, the ends
// of what others had that overlaps with it.
func (r *Relay) overtake(now instant.Now, d *draft, e *delegation.Event) {
	subject := e.Subject()
	if w, ok := r.waiting.take(place(subject)); ok && w.Kind == delegation.Ended {
		d.Keep = r.keepPast(d.Keep, now, &w.Old, w.Reason)
		if w.Old.Link != subject.Link {
			d.Host = r.host.Delete(d.Host, w.Old.Link, w.Old.Prefix)
		}
	}
	if e.Kind != delegation.Granted && e.Kind != delegation.Moved {
		return
	}
	for _, k := range r.waiting.overlapping(place(subject)) {
		if w := r.waiting.find(k); w.Kind == delegation.Ended && (w.Old.Client != subject.Client || w.Old.Link != subject.Link) {
			ended, _ := r.waiting.take(k)
			r.enter(now, d, &ended)
		}
	}
}

// waiting finds what follows Replies by its place. Of one place there is one event.
type waiting struct {
	spaces map[string]*bart.Table[*following] // by VRF
	n      int
}

// find is the event of a place that waits, or nil.
func (w *waiting) find(k placeKey) *delegation.Event {
	space := w.spaces[k.vrf]
	if w.n == 0 || space == nil {
		return nil
	}
	f, ok := space.Get(k.prefix)
	if !ok {
		return nil
	}
	return &f.events[f.index(k)]
}

func (f *following) index(k placeKey) int {
	for i := range f.events {
		if place(f.events[i].Subject()) == k {
			return i
		}
	}
	return -1
}

// add has an event follow a Reply. It takes the place of an older one.
func (w *waiting) add(f *following, e *delegation.Event) {
	k := place(e.Subject())
	w.take(k)
	f.events = append(f.events, *e)
	if w.spaces == nil {
		w.spaces = make(map[string]*bart.Table[*following])
	}
	if w.spaces[k.vrf] == nil {
		w.spaces[k.vrf] = new(bart.Table[*following])
	}
	w.spaces[k.vrf].Insert(k.prefix, f)
	w.n++
}

// take takes out what waits at a place.
func (w *waiting) take(k placeKey) (e delegation.Event, ok bool) {
	if w.find(k) == nil {
		return e, false
	}
	f, _ := w.spaces[k.vrf].Get(k.prefix)
	i := f.index(k)
	e = f.events[i]
	f.events = slices.Delete(f.events, i, i+1)
	w.drop(k)
	return e, true
}

// drop forgets where an event waits.
func (w *waiting) drop(k placeKey) {
	w.spaces[k.vrf].Delete(k.prefix)
	w.n--
}

// overlapping are the places of what waits and overlaps with a place.
func (w *waiting) overlapping(k placeKey) (found []placeKey) {
	space := w.spaces[k.vrf]
	if w.n == 0 || space == nil {
		return nil
	}
	for p := range space.Supernets(k.prefix) {
		found = append(found, placeKey{k.vrf, p})
	}
	for p := range space.Subnets(k.prefix) {
		if p != k.prefix {
			found = append(found, placeKey{k.vrf, p})
		}
	}
	return found
}
