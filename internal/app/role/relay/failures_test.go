package relay

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
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
	f := network.NewFailures(slog.New(slog.DiscardHandler), notes.NewLimiter(time.Hour))
	if got := f.Trouble(time.Now()); got != "" {
		t.Errorf("nothing failed: %q", got)
	}
	f.Report(udp.Outgoing{Link: linkA, Dest: netip.MustParseAddrPort("[fe80::1]:546")}, errors.New("network is down"))
	if got := f.Trouble(time.Now()); !strings.Contains(got, "1 answers could not be sent") || !strings.Contains(got, "network is down") {
		t.Errorf("an answer failed: %q", got)
	}
	if got := f.Trouble(time.Now().Add(network.Recent + time.Minute)); got != "" {
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
	f.Report(udp.Outgoing{Kind: udp.ToPeer, Dest: netip.AddrPortFrom(server.Address, dhcp6.ServerPort)}, engine.ErrNotKept)
	f.Count(core)
	f.Count(core)
	if sent() != 1 {
		t.Errorf("%d messages count as sent, want the one that left", sent())
	}
}

// solicit is a client's message on a link.
func solicit(link int, xid uint32) *inbound.Packet {
	return &inbound.Packet{
		Link: link, Source: netip.MustParseAddrPort("[fe80::1]:546"), Dest: dhcp6.AllRelayAgentsAndServers,
		Payload: dhcp6.AppendElapsedTime(dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, xid), 0),
	}
}
