package relay6_test

import (
	"fmt"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// told is what clients know: what the Replies that reached them gave and took. After
// every deed of the shell the store has all of it, so that a crash loses none.
type told struct {
	w      *world
	until  map[holding]instant.Instant
	unread map[string][]news // of Replies that have not left, by client, in their order
}

// holding is one lease of one client.
type holding struct{ link, client, vrf, prefix string }

func holdingOf(d *binding.Binding) holding {
	return holding{d.Link, d.Client.DUID(), d.VRF, d.Prefix.String()}
}

// news is what one Reply says that the relay took note of.
type news []binding.Event

// listen follows what the clients of a world are told.
func listen(w *world) *told {
	t := &told{w: w, until: make(map[holding]instant.Instant), unread: make(map[string][]news)}
	w.watch = t.watch
	w.sees = t.saw
	return t
}

func (t *told) watch(eff *effect.Effects) {
	var said news
	for _, n := range eff.Notes {
		if n.Kind != effect.NoteDelegation || n.Event.Kind == binding.Refused {
			continue
		}
		e := n.Event
		said = append(said, e)
		if e.Kind == binding.Moved && holdingOf(&e.Old) != holdingOf(&e.New) || e.Kind == binding.Ended && e.Reason != binding.Withdrawn {
			t.forget(holdingOf(&e.Old))
		}
	}
	for i := range eff.Sends {
		if c := clientOf(&eff.Sends[i]); c != "" {
			t.unread[c] = append(t.unread[c], said)
		}
	}
}

// clientOf is who gets a Reply; empty if a datagram is none.
func clientOf(s *effect.Send) string {
	if s.ToPeer || s.Payload[0] != byte(dhcp6.Reply) {
		return ""
	}
	return fmt.Sprint(s.Link, s.Dest)
}

// forget takes away what ended without a word to its client, also out of Replies that
// are still to leave.
func (t *told) forget(h holding) {
	delete(t.until, h)
	for _, of := range t.unread {
		for i := range of {
			of[i] = slices.DeleteFunc(slices.Clone(of[i]), func(e binding.Event) bool { return holdingOf(e.Subject()) == h })
		}
	}
}

func (t *told) saw(d deed) {
	if d.send != nil {
		if c := clientOf(d.send); c != "" {
			said := t.unread[c][0]
			t.unread[c] = t.unread[c][1:]
			t.read(said, d.name == "send" && d.keep == nil)
		}
	}
	t.check(d.name)
}

// read is a Reply that has reached its client. One that was given up, or whose change
// could not be kept, counts only as far as it takes something away: the server has.
func (t *told) read(said news, whole bool) {
	for _, e := range said {
		h := holdingOf(e.Subject())
		before, known := t.until[h]
		switch {
		case e.Kind == binding.Ended:
			delete(t.until, h)
		case known && e.New.Valid < before:
			t.until[h] = e.New.Valid
		case whole && e.Kind == binding.Extended && e.New.Valid < e.Old.Valid:
			// What is shortened may have been longer than what could be kept.
		case whole:
			t.until[h] = e.New.Valid
		}
	}
}

// check is a crash: all that clients know is in the store.
func (t *told) check(after string) {
	kept := make(map[holding]binding.Record)
	records, _, _ := t.w.kept()
	for _, r := range records {
		kept[holdingOf(&r.Binding)] = r
	}
	for h, until := range t.until {
		if r, ok := kept[h]; until > t.w.now.Boot && (!ok || r.Valid < until) {
			t.w.Fatalf("a crash after %q: %s was told that it has %s for %s, and the store has it for %s", after, h.client, h.prefix, t.w.left(until), t.w.left(r.Valid))
		}
	}
}

// crash is the process gone and back: what was not yet told will never be.
func (t *told) crash() {
	clear(t.unread)
	t.w.restart()
	t.check("restart")
}
