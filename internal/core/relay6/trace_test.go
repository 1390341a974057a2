package relay6_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/wire/dhcp6"
)

func (w *world) tracef(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf(format, args...))
	}
}

// name is what a scenario calls an address or a DUID.
func (w *world) name(of string) string {
	for name, c := range people {
		if c.addr == of || c.duid == of {
			return name
		}
	}
	return of
}

var people = map[string]client{"alice": alice, "bob": bob, "carol": carol}

func (w *world) traceEffects() {
	for _, n := range w.eff.Notes {
		switch n.Kind {
		case effect.NoteDelegation:
			if n.Event.Kind == binding.Refused || n.Event.Kind == binding.Ended || n.Event.Kind == binding.Moved {
				w.tracef("%s", strings.TrimSpace(fmt.Sprintf("note    %s %s %s %s", n.Event.Kind, n.Event.Subject().Prefix, w.name(n.Client.DUID()), n.Reason)))
			}
		case effect.NoteTrace:
		default:
			w.tracef("note    %s %s", n.Kind, n.Text)
		}
	}
	for _, d := range w.eff.Drops {
		w.tracef("drop    %s %s", d.Reason, d.Link)
	}
	for _, p := range w.eff.Probes {
		if p.Prefix.IsValid() {
			w.tracef("probe   %s on %s, if it has used %s", w.name(p.NextHop.Addr.String()), p.NextHop.Link, p.Prefix)
			continue
		}
		w.tracef("probe   %s on %s", w.name(p.NextHop.Addr.String()), p.NextHop.Link)
	}
}

func (w *world) traceKeep(k effect.KeepOp) {
	switch {
	case w.trace == nil || letter(k.Key) == 'm' || letter(k.Key) == 'a':
	case letter(k.Key) == 'h':
		past, err := ledger.ParsePast(k.Key, k.Value)
		if err != nil {
			w.Errorf("history: %v", err)
		}
		w.tracef("keep    history: %s %s %s", past.Prefix, w.name(past.Client.DUID()), past.Reason)
	case letter(k.Key) == 'b':
		w.tracef("keep    block")
	case k.Value == nil:
		bits := k.Key[len(k.Key)-1]
		a := netip.AddrFrom16([16]byte(k.Key[len(k.Key)-17:]))
		w.tracef("forget  %s", netip.PrefixFrom(a, int(bits)))
	default:
		rec, err := binding.ParseRecord(k.Value)
		if err != nil {
			w.Errorf("record: %v", err)
		}
		w.tracef("keep    %s/%d %s until %s", w.name(rec.Client.DUID()), rec.IAID, rec.Prefix, "+"+w.left(rec.Valid))
	}
}

func (w *world) traceOp(op hoststate.Op, err error) {
	sign, tail := "+", ""
	if op.Remove {
		sign = "-"
	}
	if err != nil {
		tail = ": " + err.Error()
	}
	switch {
	case op.Route != nil:
		text := strings.TrimSuffix(op.Route.String(), " table 254 metric 1024")
		for name, l := range w.links {
			text = strings.Replace(text, fmt.Sprintf("dev %d", l.Index), "dev "+name, 1)
		}
		w.tracef("kernel  %s route %s%s", sign, text, tail)
	default:
		w.tracef("kernel  %s filter %s%s", sign, op.Element, tail)
	}
}

func (w *world) traceSend(prefix string, s effect.Send) {
	if w.trace == nil {
		return
	}
	to := w.name(s.Dest.Addr().String())
	if s.Dest.Addr() == addr(serverAddr) {
		to = "srv"
	}
	line := fmt.Sprintf("relay -> %s  %s", to, summary(s.Payload))
	if s.Dest.Port() != 547 && s.Dest.Port() != 546 {
		line += fmt.Sprintf(" port=%d", s.Dest.Port())
	}
	if prefix != "" {
		line = prefix + ": " + line
	}
	w.trace(line)
}

// summary is a message in one line.
func summary(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	mt := dhcp6.MessageType(b[0])
	name := strings.ToUpper(mt.String())
	if mt.IsRelay() {
		m, err := dhcp6.ParseRelay(b)
		if err != nil {
			return name + " malformed"
		}
		s := fmt.Sprintf("%s hops=%d link=%s", name, m.HopCount(), m.LinkAddress())
		if id, ok := m.Options().First(dhcp6.OptionInterfaceID); ok {
			s += " id=" + string(id)
		}
		if p, ok := m.Options().First(dhcp6.OptionRelayPort); ok && len(p) == 2 {
			s += fmt.Sprintf(" relay-port=%d", binary.BigEndian.Uint16(p))
		}
		inner, _ := m.Inner()
		return s + " [" + summary(inner) + "]"
	}
	m, err := dhcp6.ParseMessage(b)
	if err != nil {
		return name + " malformed"
	}
	for code, body := range m.Options().All() {
		switch code {
		case dhcp6.OptionIAPD:
			name += summaryIA("pd", body)
		case dhcp6.OptionIANA:
			name += summaryIA("na", body)
		}
	}
	return name
}

func summaryIA(kind string, body []byte) string {
	ia, err := dhcp6.ParseIA(body)
	if err != nil {
		return " " + kind + "=malformed"
	}
	s := fmt.Sprintf(" %s=%d", kind, ia.IAID)
	for code, b := range ia.Options.All() {
		if p, err := dhcp6.ParseIAPrefix(b); err == nil && code == dhcp6.OptionIAPrefix {
			s += fmt.Sprintf(":%s:%s", p.Prefix, p.Valid)
		}
		if a, err := dhcp6.ParseIAAddr(b); err == nil && code == dhcp6.OptionIAAddr {
			s += fmt.Sprintf(":%s:%s", a.Address, a.Valid)
		}
	}
	return s
}
