package relay

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/dhcp6"
)

// notes takes the core's typed events to the log, to those who watch and to the
// hook program. What of a client the first two get is masked behind it, by type;
// the hook program needs it all. take is the loop's; the rest is safe for all.
type notes struct {
	log     *slog.Logger
	privacy *privacy.Rules // nil: of nobody's concern
	feed    *control.Feed
	hook    hooked
	once    *limiter
	refused refusedGrants
}

// hooked is app/hook.
type hooked interface {
	Wants(k binding.EventKind) bool
	Offer(e binding.Event, now instant.Now)
}

// hearExtensions reports whether anybody hears of delegations that are extended.
func (n *notes) hearExtensions() bool {
	return n.log.Enabled(context.Background(), delegationLevel(binding.Extended)) ||
		n.feed.Active() || n.hook != nil && n.hook.Wants(binding.Extended)
}

func (n *notes) take(eff *effect.Effects) {
	if len(eff.Notes) == 0 && len(eff.Drops) == 0 {
		return
	}
	at := service.Now()
	for i := range eff.Notes {
		note := &eff.Notes[i]
		n.write(note, at.Boot)
		if n.feed.Active() {
			n.feed.Offer(control.EventOf(note, at))
		}
		if note.Kind == effect.NoteDelegation {
			n.refused.take(&note.Event, at.Wall)
			if n.hook != nil {
				n.hook.Offer(note.Event, at)
			}
		}
	}
	for _, d := range eff.Drops {
		if times, due := n.once.due(d.Reason.String()+" "+d.Link, at.Boot); due {
			n.log.Info("datagrams dropped", "link", d.Link, "reason", d.Reason.String(), "source", d.Source, "times", times)
			if n.feed.Active() {
				n.feed.Offer(api.Event{Time: time.Now(), Kind: api.EventTrouble, Text: fmt.Sprintf("dropped %d", times), Link: d.Link, Reason: d.Reason.String()})
			}
		}
	}
	eff.Notes, eff.Drops = eff.Notes[:0], eff.Drops[:0]
}

func (n *notes) write(note *effect.Note, at instant.Instant) {
	level := levelOf(note)
	if !n.log.Enabled(context.Background(), level) {
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
	if duid := note.Client.DUID(); duid != "" {
		add(slog.Any("client", dhcp6.DUID(duid)))
	}
	if note.XID != 0 {
		add(slog.String("xid", api.XID(note.XID).String()))
	}
	if note.Event.Kind != 0 {
		d := note.Event.Subject()
		add(slog.Uint64("iaid", uint64(n.privacy.Log().IAID(d.Client.DUID(), d.IAID))))
		add(slog.Any("prefix", d.Prefix))
		add(slog.Any("next_hop", d.NextHop))
	}
	if c := note.Lease; c != nil {
		add(slog.Uint64("iaid", uint64(n.privacy.Log().IAID(note.Client.DUID(), c.IAID))))
		if c.Prefix.IsValid() {
			add(slog.Any("prefix", c.Prefix))
			add(slog.Any("valid", api.Lifetime(c.Valid)))
			add(slog.Any("preferred", api.Lifetime(c.Preferred)))
		}
		if c.StatusSet {
			add(slog.String("status", c.Status.String()))
		}
	}
	if note.Kind == effect.NoteTrace {
		add(slog.String("type", note.Type.String()))
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
		times, due := n.once.due(note.Text+note.Reason+note.Event.Detail+note.Link+note.Peer, at)
		if !due {
			return
		}
		add(slog.Uint64("times", times))
	}
	text := note.Text
	if note.Kind == effect.NoteDelegation {
		text = "delegation " + text
	}
	n.log.LogAttrs(context.Background(), level, text, attrs...)
}

func levelOf(note *effect.Note) slog.Level {
	switch note.Kind {
	case effect.NoteDelegation:
		return delegationLevel(note.Event.Kind)
	case effect.NoteTrace:
		return slog.LevelDebug
	case effect.NoteRelease, effect.NoteServerUnicast, effect.NoteLimit, effect.NoteLinkAddress, effect.NoteStore, effect.NoteForeign, effect.NoteClock:
		return slog.LevelWarn
	case effect.NotePeer:
		if note.Reason != "" || note.Err != nil { // it is about something that is wrong
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

// limiter lets each of a bounded number of subjects speak once an interval, and
// says how often it wanted to. Those that find no room are one subject together:
// with more subjects than room the log would else be as long as the flood.
type limiter struct {
	every time.Duration

	mu    sync.Mutex // guards all following fields
	last  map[string]*spoken
	rest  spoken          // those without room
	again instant.Instant // when room is looked for next
}

type spoken struct {
	after instant.Instant // it may speak again
	times uint64
}

const maxSubjects = 4096

func newLimiter(every time.Duration) *limiter {
	return &limiter{every: every, last: make(map[string]*spoken)}
}

// due reports whether a subject may speak now, and how often it wanted to since
// it last did.
func (l *limiter) due(subject string, at instant.Instant) (times uint64, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.last[subject]
	if s == nil {
		s = l.add(subject, at)
	}
	s.times++
	if at < s.after {
		return 0, false
	}
	times, s.times, s.after = s.times, 0, at.After(l.every)
	return times, true
}

// add makes room for a subject, if need be in the place of those that may speak
// again anyway.
func (l *limiter) add(subject string, at instant.Instant) *spoken {
	if len(l.last) >= maxSubjects && at >= l.again {
		l.again = at.After(l.every)
		maps.DeleteFunc(l.last, func(_ string, s *spoken) bool { return at >= s.after })
	}
	if len(l.last) >= maxSubjects {
		return &l.rest
	}
	s := &spoken{after: at}
	l.last[subject] = s
	return s
}
