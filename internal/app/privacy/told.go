package privacy

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"fairlead/internal/app/api"
)

// Watchers are those who watch: a control.Feed.
type Watchers interface {
	Active() bool // somebody watches
	Offer(e api.Event)
}

// Told is a log whose warnings and errors become events too, for those who watch. Their texts are
// masked as in the log, but by the rule for watches: the message here, the rest where Events
// hands them out.
func (r *Rules) Told(log *slog.Logger, feed Watchers) *slog.Logger {
	return slog.New(&told{next: log.Handler(), rules: r, feed: feed})
}

type told struct {
	next  slog.Handler
	rules *Rules
	feed  Watchers
	attrs []slog.Attr
}

// trouble is the lowest level of which those who watch are told.
const trouble = slog.LevelWarn

func (h *told) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l) || l >= trouble && h.feed.Active()
}

func (h *told) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= trouble && h.feed.Active() {
		h.feed.Offer(h.event(&r))
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// event makes an event from a message: its link, peer and error are in fields of their own,
// everything else is in the reason.
func (h *told) event(r *slog.Record) api.Event {
	e := api.Event{Time: r.Time, Kind: api.EventTrouble, Text: h.rules.Trace().Text(r.Message)}
	var words []string
	add := func(a slog.Attr) bool {
		text := a.Value.Resolve().String()
		switch {
		case a.Key == "link" && a.Value.Kind() == slog.KindString:
			e.Link = text
		case a.Key == "peer":
			e.Peer = text
		case a.Key == "error":
			e.Error = text
		case a.Key == "stack": // the log has it
		case a.Key == "reason":
			words = append(words, text)
		default:
			words = append(words, fmt.Sprintf("%s %s", a.Key, text))
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	e.Reason = strings.Join(words, ", ")
	return e
}

func (h *told) WithAttrs(attrs []slog.Attr) slog.Handler {
	all := append(append([]slog.Attr(nil), h.attrs...), attrs...)
	return &told{next: h.next.WithAttrs(attrs), rules: h.rules, feed: h.feed, attrs: all}
}

func (h *told) WithGroup(name string) slog.Handler {
	return &told{next: h.next.WithGroup(name), rules: h.rules, feed: h.feed, attrs: h.attrs}
}
