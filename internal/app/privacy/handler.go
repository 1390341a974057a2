package privacy

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"fairlead/internal/app/api"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Verbatim is a text that is logged unchanged, because its writer has masked it.
type Verbatim string

// Logger is a log that masks its attributes: by their type, and texts, errors and the message by
// what is found in them.
func Logger(log *slog.Logger, r *Rules) *slog.Logger {
	return slog.New(&handler{next: log.Handler(), rules: r})
}

type handler struct {
	next  slog.Handler
	rules *Rules
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	m := h.rules.Log()
	masked := slog.NewRecord(r.Time, r.Level, m.Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		masked.AddAttrs(m.attr(a))
		return true
	})
	return h.next.Handle(ctx, masked)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{next: h.next.WithAttrs(h.rules.Log().attrs(attrs)), rules: h.rules}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{next: h.next.WithGroup(name), rules: h.rules}
}

func (m Mask) attrs(all []slog.Attr) []slog.Attr {
	masked := make([]slog.Attr, len(all))
	for i, a := range all {
		masked[i] = m.attr(a)
	}
	return masked
}

func (m Mask) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(m.Text(v.String()))
	case slog.KindGroup:
		a.Value = slog.GroupValue(m.attrs(v.Group())...)
	case slog.KindAny:
		a.Value = m.value(v)
	}
	return a
}

// value masks a value by its type. A value that has no type of ours is written as text.
func (m Mask) value(v slog.Value) slog.Value {
	switch x := v.Any().(type) {
	case nil:
		return v
	case Verbatim:
		return slog.StringValue(string(x))
	case dhcp6.DUID:
		return slog.StringValue(m.DUIDText(string(x)))
	case api.Identifier:
		return slog.StringValue(m.DUIDText(string(x)))
	case netip.Addr:
		return slog.StringValue(m.AddrText(x))
	case netip.AddrPort:
		return slog.StringValue(m.addrPort(x))
	case netip.Prefix:
		return slog.StringValue(m.PrefixText(x))
	case linkaddr.Addr:
		return slog.StringValue(m.LinkLayerText(x))
	case error:
		return slog.StringValue(m.Text(x.Error()))
	case fmt.Stringer:
		return slog.StringValue(m.Text(x.String()))
	}
	if m.Shows() {
		return v
	}
	return slog.StringValue(m.Text(fmt.Sprint(v.Any())))
}

func (m Mask) addrPort(a netip.AddrPort) string {
	if !m.hides(a.Addr()) {
		return a.String()
	}
	return fmt.Sprintf("[%s]:%d", m.AddrText(a.Addr()), a.Port())
}
