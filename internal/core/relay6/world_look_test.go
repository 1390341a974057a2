package relay6_test

import (
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
)

// delegations are all live delegations as text, sorted: link, prefix, next hop,
// seconds left.
func (w *world) delegations() []string {
	var all []string
	for d := range w.core.Delegations {
		all = append(all, d.Link+" "+d.Prefix.String()+" via "+d.NextHop.String()+" for "+w.left(d.Valid))
	}
	slices.Sort(all)
	return all
}

func (w *world) left(i instant.Instant) string {
	if i == instant.Never {
		return "ever"
	}
	return w.now.Until(i).String()
}

func (w *world) counts(link string) relay6.LinkCounters {
	for _, l := range w.core.Links() {
		if l.Name == link {
			return l.Counters
		}
	}
	w.Fatalf("no link %s", link)
	return relay6.LinkCounters{}
}

// setLink changes a link, in the kernel and then in the core.
func (w *world) setLink(name string, change func(*links.Link)) {
	l := w.links[name]
	if change != nil {
		change(&l)
	}
	w.links[name] = l
	w.kernel.Link(l.Index, l.Up)
	w.core.SetLink(l, &w.eff)
	w.carryOut()
}

func (w *world) removeLink(name string) {
	w.kernel.Link(w.links[name].Index, false)
	delete(w.links, name)
	w.core.RemoveLink(name, &w.eff)
	w.carryOut()
}

// wants compares the live delegations with what they should be.
func (w *world) wants(want ...string) {
	w.Helper()
	slices.Sort(want)
	if got := w.delegations(); !slices.Equal(got, want) {
		w.Errorf("delegations:\n got  %q\n want %q", got, want)
	}
}

// wantRoutes compares the kernel's routes of one prefix.
func (w *world) wantRoutes(p string, want ...string) {
	w.Helper()
	if got := w.kernel.RoutesOf(p); !slices.Equal(got, want) {
		w.Errorf("routes of %s:\n got  %q\n want %q", p, got, want)
	}
}

// dropped reports how often a reason was given since the world began.
func (w *world) dropped(d effect.Drop) (n int) {
	for _, x := range w.drops {
		if x.Reason == d {
			n++
		}
	}
	return n
}

// noted are the reasons of all notes of a kind about refused delegations, or
// the texts of any other kind.
func (w *world) noted(k effect.NoteKind) (all []string) {
	for _, n := range w.notes {
		switch {
		case n.Kind != k:
		case k == effect.NoteDelegation && n.Event.Kind != binding.Refused:
		case k == effect.NoteDelegation:
			all = append(all, n.Event.Reason.String())
		default:
			all = append(all, n.Text)
		}
	}
	return all
}

// holder is who holds a prefix now.
func (w *world) holder(p string) (found binding.Binding, ok bool) {
	w.core.Delegations(func(d binding.Binding) bool {
		if d.Prefix == cidr(p) {
			found, ok = d, true
		}
		return !ok
	})
	return found, ok
}
