package ledger

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// A Reply can take something from its client: it ends a binding or shortens its lifetime. The store
// keeps that after the Reply has left. If it were kept before, a crash between the two would leave
// the client with a prefix that the relay no longer knows. The table and the limits have the change
// at once.

// take reports whether events take anything from the client of their Reply.
func take(events []binding.Event) bool {
	for i := range events {
		if e := &events[i]; withdrawn(e) || shortens(e, e) {
			return true
		}
	}
	return false
}

// withdrawn reports whether an event is an end that a Reply tells the client of.
func withdrawn(e *binding.Event) bool {
	return e.Kind == binding.Ended && e.Reason == binding.Withdrawn
}

// shortens reports whether an event leaves its client with less time than it had before the event
// before, which may be the same one.
func shortens(e, before *binding.Event) bool {
	return e.New.Valid < before.Old.Valid && before.Old.Client == e.New.Client && before.Old.Link == e.New.Link &&
		(e.Kind == binding.Extended || e.Kind == binding.Moved || e.Kind == binding.Granted)
}

// Tell turns what a Reply to a client has changed into Changes. It returns the Change that the Reply
// waits for; 0: it waits for none. Tell sets extends to false if the Reply must not leave unless
// that Change is kept.
func (l *Ledger) Tell(now instant.Now, k Client, events []binding.Event, extends *bool, eff *effect.Effects) effect.ChangeID {
	if l.waiting.n == 0 && !take(events) {
		return l.InOrder(k, l.Commit(now, events, eff), extends)
	}
	prior := l.ordered[k]
	first, then := l.draft(len(events)), new(following)
	for i := range events {
		e := &events[i]
		eff.NoteEvent(e, e.Subject())
		before := e
		if w := l.waiting.find(PlaceOf(e.Subject())); w != nil {
			before = w // that event waits still: neither the client nor the store knows of it
		}
		known := before.Old
		switch {
		case withdrawn(e):
			asLong(&e.Old, &known)
			l.waiting.add(then, e)
		case shortens(e, before):
			longer := *e
			asLong(&longer.New, &known)
			if l.changesHost(e) || !l.pending[prior].durable() {
				l.enter(now, &first, &longer)
			}
			l.waiting.add(then, &binding.Event{Kind: binding.Extended, Old: longer.New, New: e.New})
		default:
			l.enter(now, &first, e)
		}
	}
	if len(then.events) == 0 {
		return l.InOrder(k, l.submit(now, first, eff), extends)
	}
	if prior == 0 && first.empty() { // the Reply leaves at once
		if l.follow(now, then, eff) != 0 {
			eff.Changes[len(eff.Changes)-1].Follows = true
		}
		return 0
	}
	// If nothing has to be done before the Reply leaves, the Change is empty. It keeps the Reply
	// behind the earlier Changes that its client waits for.
	own := l.change(first.Change, first.p, eff)
	l.following[own] = then
	own = l.InOrder(k, own, extends)
	then.whole = !*extends
	return own
}

// asLong gives a delegation the lifetimes of another.
func asLong(d, as *binding.Binding) {
	d.Preferred, d.Valid, d.Lifetime = as.Preferred, as.Valid, as.Lifetime
}

// following are the events by which a Reply takes something from its client. They are kept once the
// Reply has left.
type following struct {
	events []binding.Event
	whole  bool // the Reply leaves only if the Change that it waits for is kept
}

// follow makes a Change of such events, after their Reply has left or was given up.
func (l *Ledger) follow(now instant.Now, f *following, eff *effect.Effects) effect.ChangeID {
	d := l.draft(len(f.events))
	for i := range f.events {
		e := &f.events[i]
		l.waiting.drop(PlaceOf(e.Subject()))
		if e.Kind == binding.Ended {
			l.enter(now, &d, e)
			continue
		}
		// The binding is gone if the Change that granted it was not kept.
		if held, ok := l.table.Lookup(e.New.VRF, e.New.Prefix); ok && held.Link == e.New.Link && held.Client == e.New.Client {
			l.keep(now, &d, &held)
		}
	}
	return l.submit(now, d, eff)
}

// stay gives back to the client what a Reply was to take from it, since that Reply was given up. The
// kernel still has it.
func (l *Ledger) stay(f *following) {
	for i := range f.events {
		e := &f.events[i]
		l.waiting.drop(PlaceOf(e.Subject()))
		if e.Kind == binding.Ended {
			l.table.Put(e.Old)
			l.core.Stays(&e.Old)
			continue
		}
		if s := l.table.At(e.New.VRF, e.New.Prefix); s != nil {
			if held := l.table.Read(s); held.Link == e.New.Link && held.Client == e.New.Client {
				asLong(&held, &e.Old)
				l.table.Extend(s, &held)
			}
		}
	}
}

// Takes reports whether a Reply takes something from its client, and waits for a Change without which it is given up.
// Only then is it clear what the client has.
func (l *Ledger) Takes(k Client) bool {
	if l.waiting.n == 0 {
		return false
	}
	f := l.following[l.ordered[k]]
	return f != nil && f.whole
}

// Untold reports whether a prefix overlaps with something that a Reply takes from its client and
// that Reply has not left yet. Until then the client may use it.
func (l *Ledger) Untold(p netip.Prefix) bool {
	if l.waiting.n == 0 {
		return false
	}
	for _, space := range l.waiting.spaces {
		if space.OverlapsPrefix(p) {
			return true
		}
	}
	return false
}

// overtake moves events that wait into this Change if they must not be kept after it. These are an
// event of the same prefix, whose record would be older, and, if this event grants a prefix, the
// ends of other clients' prefixes that overlap with it.
func (l *Ledger) overtake(now instant.Now, d *draft, e *binding.Event) {
	subject := e.Subject()
	if w, ok := l.waiting.take(PlaceOf(subject)); ok && w.Kind == binding.Ended {
		d.Keep = l.keepPast(d.Keep, now, &w.Old, w.Reason)
		if w.Old.Link != subject.Link {
			d.Host = l.deleted(d.Host, &w.Old)
		}
	}
	if e.Kind != binding.Granted && e.Kind != binding.Moved {
		return
	}
	for _, k := range l.waiting.overlapping(PlaceOf(subject)) {
		if w := l.waiting.find(k); w.Kind == binding.Ended && (w.Old.Client != subject.Client || w.Old.Link != subject.Link) {
			ended, _ := l.waiting.take(k)
			l.enter(now, d, &ended)
		}
	}
}

// waiting finds events that follow Replies, by their place. There is at most one for each place.
type waiting struct{ places[*following] }

// find is the event that waits for a place, or nil.
func (w *waiting) find(k Place) *binding.Event {
	f, ok := w.get(k)
	if !ok {
		return nil
	}
	return &f.events[f.index(k)]
}

func (f *following) index(k Place) int {
	for i := range f.events {
		if PlaceOf(f.events[i].Subject()) == k {
			return i
		}
	}
	return -1
}

// add makes an event follow a Reply. It replaces an older event of the same place.
func (w *waiting) add(f *following, e *binding.Event) {
	k := PlaceOf(e.Subject())
	w.take(k)
	f.events = append(f.events, *e)
	w.put(k, f)
}

// take removes the event that waits for a place, and returns it.
func (w *waiting) take(k Place) (e binding.Event, ok bool) {
	f, ok := w.get(k)
	if !ok {
		return e, false
	}
	i := f.index(k)
	e = f.events[i]
	f.events = slices.Delete(f.events, i, i+1)
	w.drop(k)
	return e, true
}
