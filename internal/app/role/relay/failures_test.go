package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// An answer that could not be sent is in status for a while. A message that did not
// leave for a peer is not counted as sent to it.
func TestWhatDidNotLeave(t *testing.T) {
	f := newFailures(slog.New(slog.DiscardHandler), newLimiter(time.Hour))
	if got := f.trouble(time.Now()); got != "" {
		t.Errorf("nothing failed: %q", got)
	}
	f.report(udp.Outgoing{Link: linkA, Dest: netip.MustParseAddrPort("[fe80::1]:546")}, errors.New("network is down"))
	if got := f.trouble(time.Now()); !strings.Contains(got, "1 answers could not be sent") || !strings.Contains(got, "network is down") {
		t.Errorf("an answer failed: %q", got)
	}
	if got := f.trouble(time.Now().Add(recent + time.Minute)); got != "" {
		t.Errorf("long after: %q", got)
	}

	server := trust.Peer{
		Name: "server", Address: netip.MustParseAddr("2001:db8:ff::2"), Prefix: netip.MustParsePrefix("2001:db8:ff::2/128"),
		Role: trust.Server, Interfaces: []string{"u0"}, Protection: trust.ProtectionNone,
	}
	l := quietPlayed(t)
	core, at := l.Core, service.Now()
	sent := func() uint64 { return core.Peers(at)[0].Counters.Sent }
	forwarded := solicit(linkA, 1)
	var eff effect.Effects
	core.Handle(at, &inbound.Packet{Link: linkA, Source: forwarded.Source, Payload: forwarded.Payload}, &eff)
	core.Handle(at, &inbound.Packet{Link: linkA, Source: forwarded.Source, Payload: forwarded.Payload}, &eff)
	if sent() != 2 {
		t.Fatalf("%d messages forwarded, want 2", sent())
	}
	f.report(udp.Outgoing{Kind: udp.ToPeer, Dest: netip.AddrPortFrom(server.Address, dhcp6.ServerPort)}, engine.ErrNotKept)
	f.count(core)
	f.count(core)
	if sent() != 1 {
		t.Errorf("%d messages count as sent, want the one that left", sent())
	}
}

// Every discard has a counter on its link: what was held back and why, and what
// a socket did not take.
func TestWhatDidNotLeaveIsCounted(t *testing.T) {
	l := quietPlayed(t)
	to := udp.Outgoing{Link: linkA}
	for _, err := range []error{
		fmt.Errorf("%w: disk full", engine.ErrNotKept), fmt.Errorf("%w: refused", engine.ErrNotInstalled), fmt.Errorf("%w: refused", engine.ErrNotInstalled), errors.New("no route"),
	} {
		l.lost.report(to, err)
	}
	l.Before(service.Now(), l.Core, new(effect.Effects))
	want := map[effect.Drop]uint64{effect.DropNotKept: 1, effect.DropNotInstalled: 2, effect.DropSendFailed: 1}
	for _, v := range l.Core.Links() {
		for d, n := range v.Counters.Drops {
			expected := uint64(0)
			if v.Index == linkA {
				expected = want[effect.Drop(d)]
			}
			if n != expected {
				t.Errorf("link %s: %d drops for %s, want %d", v.Name, n, effect.Drop(d), expected)
			}
		}
	}
}

// solicit is a client's message on a link.
func solicit(link int, xid uint32) *inbound.Packet {
	return &inbound.Packet{
		Link: link, Source: netip.MustParseAddrPort("[fe80::1]:546"), Dest: dhcp6.AllRelayAgentsAndServers,
		Payload: dhcp6.AppendElapsedTime(dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, xid), 0),
	}
}
