package control_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/clock"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

var wall = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

var now = instant.Now{Boot: instant.Instant(100 * time.Second), Wall: wall}

func lease() binding.Binding {
	return binding.Binding{
		Link: "lan0", VRF: "red", Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Kind: binding.Prefix,
		Client: binding.DUID("\x00\x01\x02"), IAID: 7, NextHop: netip.MustParseAddr("fe80::1"), LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, 0, 1}),
		Preferred: now.Boot.After(30 * time.Minute), Valid: now.Boot.After(time.Hour), Lifetime: 2 * time.Hour,
		Server: "kea1", Source: binding.FromReply, Granted: wall.Add(-time.Hour), Changed: wall.Add(-time.Minute),
	}
}

func leaseInWords() api.Delegation {
	return api.Delegation{
		Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Kind: "prefix", Link: "lan0", VRF: "red", Client: "\x00\x01\x02", IAID: api.IAID{ID: 7, Known: true},
		NextHop: netip.MustParseAddr("fe80::1"), LinkLayer: "02:00:00:00:00:01",
		Preferred: api.Lifetime(30 * time.Minute), Valid: api.Lifetime(time.Hour), Expires: wall.Add(time.Hour),
		Lifetime: api.Lifetime(2 * time.Hour), Server: "kea1", Source: "reply",
		Granted: wall.Add(-time.Hour), Changed: wall.Add(-time.Minute),
	}
}

func TestDelegationOf(t *testing.T) {
	d := lease()
	if diff := cmp.Diff(leaseInWords(), control.DelegationOf(&d, now), values); diff != "" {
		t.Errorf("a lease of an hour (-want +got):\n%s", diff)
	}
	d.Preferred, d.Valid, d.Lifetime = instant.Never, instant.Never, binding.Infinite
	want := leaseInWords()
	want.Preferred, want.Valid, want.Lifetime, want.Expires = api.Infinite, api.Infinite, api.Infinite, time.Time{}
	if diff := cmp.Diff(want, control.DelegationOf(&d, now), values); diff != "" {
		t.Errorf("a lease without end (-want +got):\n%s", diff)
	}
}

func TestEventOf(t *testing.T) {
	was, is := lease(), lease()
	was.Link = "lan9"
	wasInWords, isInWords := leaseInWords(), leaseInWords()
	wasInWords.Link = "lan9"
	tests := []struct {
		name string
		note effect.Note
		want api.Event
	}{
		{
			"granted",
			effect.Note{Kind: effect.NoteDelegation, Link: "lan0", Client: is.Client, IAID: 7, Text: "granted", Event: binding.Event{Kind: binding.Granted, New: is}},
			api.Event{Time: wall, Kind: "delegation", Text: "granted", Link: "lan0", Client: "\x00\x01\x02", IAID: 7, Delegation: &isInWords},
		},
		{
			"moved",
			effect.Note{Kind: effect.NoteDelegation, Link: "lan0", Text: "moved", Event: binding.Event{Kind: binding.Moved, Old: was, New: is}},
			api.Event{Time: wall, Kind: "delegation", Text: "moved", Link: "lan0", Delegation: &isInWords, Previous: &wasInWords},
		},
		{
			"ended",
			effect.Note{Kind: effect.NoteDelegation, Link: "lan9", Text: "ended", Reason: "expired", Event: binding.Event{Kind: binding.Ended, Old: was}},
			api.Event{Time: wall, Kind: "delegation", Text: "ended", Link: "lan9", Reason: "expired", Delegation: &wasInWords},
		},
		{
			"limit",
			effect.Note{Kind: effect.NoteLimit, Link: "lan0", Client: binding.DUID("\x00\x01\x02"), Type: dhcp6.Request.String(), XID: 0x123456, Reason: "limit-client", Text: "request not forwarded: limit met"},
			api.Event{Time: wall, Kind: "limit", Text: "request not forwarded: limit met", Link: "lan0", Client: "\x00\x01\x02", Type: "Request", XID: 0x123456, Reason: "limit-client"},
		},
		{
			"store",
			effect.Note{Kind: effect.NoteStore, Text: "not kept", Err: errors.New("disk full")},
			api.Event{Time: wall, Kind: "store", Text: "not kept", Error: "disk full"},
		},
	}
	for _, tt := range tests {
		got := control.EventOf(&tt.note, now)
		if diff := cmp.Diff(tt.want, got, values); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestLinkCountersOf(t *testing.T) {
	var c relay6.LinkCounters
	c.Received[dhcp6.Solicit], c.Received[dhcp6.RelayForward], c.Received[0] = 5, 6, 7
	c.Sent[dhcp6.Reply] = 8
	c.Drops[effect.DropMalformed], c.Drops[effect.DropSendFailed] = 9, 10
	c.Refused, c.SensitiveOmitted = 11, 12
	want := api.LinkCounters{
		Received:   map[string]uint64{"solicit": 5, "relay-forward": 6, "other": 7},
		Delivered:  map[string]uint64{"reply": 8},
		Drops:      map[string]uint64{"malformed": 9, "send-failed": 10},
		LinkCounts: api.LinkCounts{Refused: 11, SensitiveOmitted: 12},
	}
	if diff := cmp.Diff(want, control.LinkCountersOf(&c)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestPeerOf(t *testing.T) {
	p := trust.Peer{
		Name: "kea", Address: netip.MustParseAddr("ff02::1:2"), Zone: "eth0", Role: trust.Server,
		Interfaces: []string{"eth0"}, Protection: trust.ProtectionNone,
	}
	v := peers.View{Name: "kea", Answered: true}
	v.Counters.Sent, v.Counters.LastReceived, v.LastType = 3, wall, dhcp6.RelayReply
	want := api.Peer{
		PeerProtection: api.PeerProtection{Name: "kea", Role: "server", Protection: "none"},
		Address:        netip.MustParseAddr("ff02::1:2%eth0"), Interfaces: []string{"eth0"},
		PeerCounters: api.PeerCounters{Sent: 3, LastReceived: wall}, LastType: "Relay-reply", Answered: true,
	}
	if diff := cmp.Diff(want, control.PeerOf(&p, &v, nil), values); diff != "" {
		t.Errorf("peer (-want +got):\n%s", diff)
	}
	v.LastType = nil
	if got := control.PeerOf(&p, &v, nil).LastType; got != "" {
		t.Errorf("never heard, and yet with %q", got)
	}
}

func TestTotalsOf(t *testing.T) {
	r := relay6.Totals{Figures: relay6.Figures{Prefixes: 1}, Progress: ledger.Progress{Unkept: 2, KeepFailed: 3, InstallFailed: 4}, Refusals: map[string]uint64{"a": 5, "b": 6}}
	r.Traffic.Unknown[effect.DropUnknownLink], r.Traffic.Unknown[effect.DropMalformed] = 7, 8
	want := api.Totals{Figures: api.Figures{Prefixes: 1}, Progress: api.Progress{Unkept: 2, KeepFailed: 3, InstallFailed: 4}, Refusals: 11, UnknownDrops: 15}
	if got := control.TotalsOf(&r); got != want {
		t.Errorf("totals:\n got %+v\nwant %+v", got, want)
	}
}

// RFC 8987 O-3: the clock is synchronised, it is not, and the kernel does not say.
func TestClockOf(t *testing.T) {
	got := control.ClockOf(clock.Status{Synchronised: true, State: "ok", OffsetNanos: 1, MaxErrorMicros: 2, EstErrorMicros: 3}, nil)
	if want := (api.ClockStatus{Clock: api.Clock{Synchronised: true, State: "ok", OffsetNanos: 1, MaxErrorMicros: 2, EstErrorMicros: 3}}); got != want {
		t.Errorf("synchronised: %+v, want %+v", got, want)
	}
	got = control.ClockOf(clock.Status{State: "unsynchronised"}, nil)
	if want := (api.ClockStatus{Clock: api.Clock{State: "unsynchronised"}}); got != want {
		t.Errorf("not synchronised: %+v, want %+v", got, want)
	}
	got = control.ClockOf(clock.Status{Synchronised: true}, errors.New("adjtimex: refused"))
	if want := (api.ClockStatus{Clock: api.Clock{State: "unknown"}, Error: "adjtimex: refused"}); got != want {
		t.Errorf("no answer: %+v, want %+v", got, want)
	}
}

func TestNeedsRestart(t *testing.T) {
	base := controlConfig()
	if control.NeedsRestart(&base, &base) {
		t.Error("nothing changed, and yet a restart")
	}
	others := controlConfig()
	others.Operators, others.Listen.Key = numbers(5), "elsewhere.pem"
	if control.NeedsRestart(&base, &others) {
		t.Error("operators and the key need no restart")
	}
	for i, c := range sockets() {
		if !control.NeedsRestart(&base, &c) {
			t.Errorf("change %d of a socket needs a restart", i)
		}
	}
}

func controlConfig() config.Control {
	return config.Control{
		Socket: "/run/a.sock", Group: "fairlead",
		Listen: &config.ControlTLS{Address: netip.MustParseAddrPort("[::1]:9548"), Key: "key.pem"},
	}
}

// sockets are configurations that differ from controlConfig in one socket.
func sockets() []config.Control {
	var all []config.Control
	for _, change := range []func(*config.Control){
		func(c *config.Control) { c.Socket = "/run/b.sock" },
		func(c *config.Control) { c.Group = "wheel" },
		func(c *config.Control) { c.Listen = nil },
		func(c *config.Control) { c.Listen.Address = netip.MustParseAddrPort("[::1]:9549") },
	} {
		c := controlConfig()
		change(&c)
		all = append(all, c)
	}
	return all
}
