// Package notes takes the notes of a core to the log, to those who watch and to the hook program.
package notes

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// Notes takes the notes of a core to the log, to those who watch and to the hook program. For the
// first two, clients are masked by types after it; the hook program gets everything. Only the
// loop calls Take; any goroutine may call the other methods.
type Notes struct {
	Log     *slog.Logger
	Privacy *privacy.Rules // nil: nothing is masked
	Feed    *control.Feed
	Hook    Hook // nil: there is none
	Once    *Limiter
	// Happened is called too for what happened to a binding; nil: it is not.
	Happened func(e *binding.Event, now time.Time)
}

// Hook is app/hook.
type Hook interface {
	Wants(event string) bool
	Offer(n *effect.Note, now instant.Now)
}

// HearExtensions reports whether anybody wants to hear of delegations that are extended.
func (n *Notes) HearExtensions() bool {
	return n.Log.Enabled(context.Background(), delegationLevel(binding.Extended)) ||
		n.Feed.Active() || n.Hook != nil && n.Hook.Wants(binding.Extended.String())
}

// Take hands the notes and drops of eff to those who want to know of them.
func (n *Notes) Take(eff *effect.Effects) {
	if len(eff.Notes) == 0 && len(eff.Drops) == 0 {
		return
	}
	at := service.Now()
	for i := range eff.Notes {
		note := &eff.Notes[i]
		n.write(note, at.Boot)
		if n.Feed.Active() {
			n.Feed.Offer(control.EventOf(note, at))
		}
		if note.Kind == effect.NoteDelegation && n.Happened != nil {
			n.Happened(&note.Event, at.Wall)
		}
		if n.Hook != nil {
			n.Hook.Offer(note, at)
		}
	}
	for _, d := range eff.Drops {
		if times, due := n.Once.Due(d.Reason.String()+" "+d.Link, at.Boot); due {
			n.Log.Info("datagrams dropped", "link", d.Link, "reason", d.Reason.String(), "source", d.Source, "times", times)
			if n.Feed.Active() {
				n.Feed.Offer(api.Event{Time: time.Now(), Kind: api.EventTrouble, Text: fmt.Sprintf("dropped %d", times), Link: d.Link, Reason: d.Reason.String()})
			}
		}
	}
	eff.Notes, eff.Drops = eff.Notes[:0], eff.Drops[:0]
}

func (n *Notes) write(note *effect.Note, at instant.Instant) {
	level := levelOf(note)
	if !n.Log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	add := func(a slog.Attr) { attrs = append(attrs, a) }
	if note.Link != "" {
		add(slog.String("link", note.Link))
	}
	if note.Peer != "" {
		add(slog.String("peer", note.Peer))
	}
	client := note.Client.Identifier()
	if client != "" {
		add(slog.Any("client", api.Identifier(client)))
	}
	if note.XID != 0 {
		add(slog.String("xid", api.XID(note.XID).String()))
	}
	if note.Event.Kind != 0 {
		d := note.Event.Subject()
		if !d.NoIAID {
			add(slog.Uint64("iaid", uint64(n.Privacy.Log().IAID(d.Client.Identifier(), d.IAID))))
		}
		add(slog.Any("prefix", d.Prefix))
		add(slog.Any("next_hop", d.NextHop))
	}
	if c := note.Lease; c != nil {
		if c.IA != 0 {
			add(slog.Uint64("iaid", uint64(n.Privacy.Log().IAID(client, c.IAID))))
		}
		if c.Prefix.IsValid() {
			add(slog.Any("prefix", c.Prefix))
			add(slog.Any("valid", api.Lifetime(c.Valid)))
			add(slog.Any("preferred", api.Lifetime(c.Preferred)))
		}
		if c.StatusSet {
			add(slog.String("status", c.Status.String()))
		}
	}
	pool := ""
	if p := note.Pool; p != nil {
		pool = (*api.Server6Pool)(p).Name()
		add(slog.String("pool", pool))
		add(slog.String("subnet", p.Subnet.String()))
		add(slog.Uint64("taken", p.Taken))
		add(slog.Uint64("size", p.Size))
	}
	if note.Kind == effect.NoteTrace {
		add(slog.String("type", note.Type))
		add(slog.String("source", note.Reason)) // where the message comes from
	} else if note.Reason != "" {
		add(slog.String("reason", note.Reason))
	}
	if note.Event.Detail != "" {
		add(slog.String("detail", note.Event.Detail))
	}
	if note.Err != nil {
		add(slog.Any("error", note.Err))
	}
	if level >= slog.LevelWarn {
		times, due := n.Once.Due(note.Text+note.Reason+note.Event.Detail+note.Link+note.Peer+pool, at)
		if !due {
			return
		}
		add(slog.Uint64("times", times))
	}
	text := note.Text
	if note.Kind == effect.NoteDelegation {
		text = noun(&note.Event) + " " + text
	}
	n.Log.LogAttrs(context.Background(), level, text, attrs...)
}

// noun is what the log calls the binding of an event: a prefix is delegated, an address is leased.
func noun(e *binding.Event) string {
	if e.Subject().Kind == binding.Address {
		return "lease"
	}
	return "delegation"
}

func levelOf(note *effect.Note) slog.Level {
	switch note.Kind {
	case effect.NoteDelegation:
		return delegationLevel(note.Event.Kind)
	case effect.NoteTrace:
		return slog.LevelDebug
	case effect.NoteRelease, effect.NoteServerUnicast, effect.NoteLimit, effect.NoteLinkAddress, effect.NoteStore, effect.NoteForeign, effect.NoteClock:
		return slog.LevelWarn
	case effect.NotePool:
		if note.Pool.NearlyFull {
			return slog.LevelWarn
		}
	case effect.NotePeer:
		if note.Reason != "" || note.Err != nil { // the note tells of something that is wrong
			return slog.LevelWarn
		}
	}
	return slog.LevelInfo
}

func delegationLevel(k binding.EventKind) slog.Level {
	switch k {
	case binding.Refused:
		return slog.LevelWarn
	case binding.Extended:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
