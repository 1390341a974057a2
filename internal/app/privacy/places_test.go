package privacy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/core/binding"
	"fairlead/internal/wire/dhcp6"
)

var hiding = []config.Identifiers{config.IdentifiersHashed, config.IdentifiersNone}

type stringer struct{ text string }

func (s stringer) String() string { return s.text }

func somebody() binding.Binding {
	return binding.Binding{
		Link: "lan0", Client: binding.DUID(somebodysDUID), IAID: 7, Prefix: netip.MustParsePrefix(somebodysPrefix),
		NextHop: netip.MustParseAddr(somebodysLocal), LinkLayer: mac(), Server: "srv", Granted: time.Unix(1, 0),
	}
}

// Whatever the type of an attribute, in a group or before the message: no octet
// of somebody reaches the log.
func TestLoggerMasksByType(t *testing.T) {
	local := netip.MustParseAddr(somebodysLocal)
	attrs := []slog.Attr{
		slog.Any("addr", local), slog.Any("addrport", netip.AddrPortFrom(local, 546)), slog.Any("prefix", netip.MustParsePrefix(somebodysPrefix)),
		slog.Any("duid", dhcp6.DUID(somebodysDUID)), slog.Any("shown", api.Identifier(somebodysDUID)), slog.Any("mac", mac()),
		slog.Any("error", fmt.Errorf("route %s: %w", somebodysPrefix, errors.New("file exists"))),
		slog.Any("stringer", stringer{"element " + somebodysPrefix}), slog.String("text", "via "+somebodysLocal),
		slog.Any("list", []string{somebodysLocal}), slog.Group("in", slog.Any("addr", local), slog.Group("deeper", slog.String("who", somebodysMAC))),
		slog.Any("null", nil), slog.Int("count", 14), slog.Any("server", netip.MustParseAddr(serverAddr)), slog.Any("as-is", privacy.Verbatim("as it is")),
	}
	for _, how := range hiding {
		for format, next := range map[string]func(*bytes.Buffer) slog.Handler{
			"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var out bytes.Buffer
			log := privacy.Logger(slog.New(next(&out)), rules(how))
			log.LogAttrs(context.Background(), slog.LevelInfo, "met", attrs...)
			log.With("client", dhcp6.DUID(somebodysDUID)).WithGroup("g").Info("met", "addr", local)
			leaks(t, fmt.Sprint(how, format), out.String())
			for _, want := range []string{"file exists", "14", serverAddr, "as it is"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%v %s: %q is not in\n%s", how, format, want, &out)
				}
			}
			if strings.Count(out.String(), "\n") != 2 {
				t.Errorf("%v %s: not two lines:\n%s", how, format, &out)
			}
		}
	}
}

func TestLoggerShowsAllIfItMay(t *testing.T) {
	var out bytes.Buffer
	r := rules(config.IdentifiersFull)
	log := privacy.Logger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})), r)
	log.Info("not at this level")
	log.Warn("met", "addr", netip.MustParseAddr(somebodysAddr), "duid", dhcp6.DUID(somebodysDUID))
	if got := out.String(); !strings.Contains(got, "addr="+somebodysAddr+" duid=00:01:00:01:2a:3b:4c:5d:02:00:5e:77:88:99\n") || strings.Contains(got, "not at") {
		t.Errorf("%s", got)
	}
	r.Reconfigure(config.Privacy{Log: config.IdentifiersHashed}, nil) // holds at once
	out.Reset()
	log.Warn("met", "addr", netip.MustParseAddr(somebodysAddr))
	leaks(t, "after a reload", out.String())
}

func TestEventsAreMasked(t *testing.T) {
	d := somebody()
	shown := api.Delegation{Prefix: d.Prefix, Client: api.Identifier(d.Client.DUID()), NextHop: d.NextHop, LinkLayer: d.LinkLayer.String(), Link: "lan0", Server: "srv", IAID: api.IAID{ID: 7, Known: true}}
	before := shown
	for _, how := range hiding {
		r := rules(how)
		in := make(chan api.Event, 2)
		in <- api.Event{Kind: "delegation", Text: "moved", Client: api.Identifier(d.Client.DUID()), Delegation: &shown, Previous: &shown, IAID: 7}
		in <- api.Event{Kind: "foreign", Text: "kernel differed: mended", Reason: "missing route " + somebodysPrefix + " via " + somebodysLocal, Error: "element " + somebodysPrefix}
		close(in)
		n := 0
		for e := range r.Events(context.Background(), in) {
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			leaks(t, how.String(), string(text))
			var read api.Event
			if err := json.Unmarshal(text, &read); err != nil {
				t.Errorf("%v: the reader cannot read %s: %v", how, text, err)
			}
			if e.Delegation != nil && (e.Delegation.Link != "lan0" || e.Delegation.Server != "srv" || e.Delegation.IAID.ID == 7 || e.IAID != e.Delegation.IAID.ID || !e.Delegation.Prefix.IsValid()) {
				t.Errorf("%v: %s", how, text)
			}
			n++
		}
		if n != 2 || shown != before {
			t.Errorf("%v: %d events, and what others read too is %+v", how, n, shown)
		}
	}
}

// Who stops listening stops the masking too.
func TestEventsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	in := make(chan api.Event, 1)
	in <- api.Event{}
	out := rules(config.IdentifiersHashed).Events(ctx, in)
	cancel()
	for range out {
		continue
	}
}

func TestPastIsMaskedAndCanBeKept(t *testing.T) {
	for _, how := range []config.Identifiers{config.IdentifiersShort, config.IdentifiersHashed} {
		m := rules(how).History()
		d := somebody()
		m.Past(&d)
		text := fmt.Sprintf("%v %v %x %v", d.Prefix, d.NextHop, d.Client, d.LinkLayer)
		if how == config.IdentifiersHashed {
			leaks(t, "hashed", text)
		}
		if d.LinkLayer.IsValid() || d.Link != "lan0" || (d.IAID == 7) != (how == config.IdentifiersShort) || d.Prefix != d.Prefix.Masked() {
			t.Errorf("%v: %s", how, text)
		}
		again := d
		if m.Past(&again); again != d {
			t.Errorf("%v: masked once %+v, and again %+v", how, d, again)
		}
		other := somebody()
		other.Prefix = netip.MustParsePrefix("2001:db8:beef:7800::/56")
		if m.Past(&other); how == config.IdentifiersHashed && (other.Prefix == d.Prefix || other.Client != d.Client) {
			t.Errorf("hashed: another prefix of the same client: %+v, first %+v", other, d)
		}
	}
	d := somebody()
	if rules(config.IdentifiersFull).History().Past(&d); d != somebody() {
		t.Errorf("full: %+v", d)
	}
}

func TestShortPseudonyms(t *testing.T) {
	m := rules(config.IdentifiersShort).History()
	d := somebody()
	m.Past(&d)
	if d.Client.DUID() != "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x88\x99" || d.NextHop.String() != "fe80::8899" || d.Prefix.String() != "2001:db8::/56" {
		t.Errorf("%x %v %v", d.Client, d.NextHop, d.Prefix)
	}
	if got := m.DUID("\x00\x03\x02\x01"); got != "\x00\x00\x00\x00" {
		t.Errorf("a short DUID keeps %x", got)
	}
}

// A lease of DHCPv4 is masked as a delegation is: its client stays one of its kind.
func TestPastOfDHCPv4(t *testing.T) {
	const clientID = "\x01\x02\x00\x5e\x77\x88\x99"
	client, ok := binding.ParseClient("\x02" + clientID)
	if !ok || client.Kind() != binding.ByClientID {
		t.Fatalf("client %v", client)
	}
	lease := binding.Binding{
		Link: "lan0", Client: client, NoIAID: true, Prefix: netip.MustParsePrefix("203.0.113.77/32"), NextHop: netip.MustParseAddr("203.0.113.77"), Kind: binding.Address,
	}
	for how, want := range map[config.Identifiers]string{config.IdentifiersShort: "203.0.0.0/32 203.0.0.77 01020000008899", config.IdentifiersNone: "::/0 :: "} {
		d := lease
		rules(how).History().Past(&d)
		if got := fmt.Sprintf("%v %v %x", d.Prefix, d.NextHop, d.Client.Identifier()); got != want {
			t.Errorf("%v: %s, want %s", how, got, want)
		}
	}
	d := lease
	m := rules(config.IdentifiersHashed).History()
	m.Past(&d)
	if text := fmt.Sprintf("%v %v %x", d.Prefix, d.NextHop, d.Client.Identifier()); strings.Contains(text, "203.") || strings.Contains(text, "7788") || d.Client.Kind() != binding.ByClientID {
		t.Errorf("hashed: %s", text)
	}
	again := d
	if m.Past(&again); again != d {
		t.Errorf("masked once %+v, and again %+v", d, again)
	}
}

// planted panics as a decision on a packet might: with what is in it.
func planted(r *privacy.Rules, cause any, addr netip.Addr, duid string) (attrs []slog.Attr) {
	defer func() { attrs = r.Panic(recover()) }()
	decide(cause, addr, duid)
	return nil
}

//go:noinline
func decide(cause any, addr netip.Addr, duid string) {
	if addr.IsValid() && duid != "" {
		panic(cause)
	}
}

func TestPanicReportHasNobody(t *testing.T) {
	addr := netip.MustParseAddr(somebodysAddr)
	for _, cause := range []any{
		"no such client " + somebodysDUID, errors.New("route " + somebodysPrefix), fmt.Errorf("%q", somebodysDUID), somebody(), addr, somebodysDUID,
	} {
		for _, how := range hiding {
			var out bytes.Buffer
			r := rules(how)
			attrs := planted(r, cause, addr, somebodysDUID)
			privacy.Logger(slog.New(slog.NewTextHandler(&out, nil)), r).LogAttrs(context.Background(), slog.LevelError, "panic", attrs...)
			leaks(t, fmt.Sprintf("%v, %T", how, cause), out.String())
			for _, want := range []string{"privacy_test.decide", "places_test.go:", fmt.Sprintf("%T", cause)} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%v, %T: %q is not in\n%s", how, cause, want, &out)
				}
			}
		}
	}
}

// The runtime's own words tell where the mistake is, and of nobody.
func TestPanicOfTheRuntime(t *testing.T) {
	var index []int
	r := rules(config.IdentifiersNone)
	var attrs []slog.Attr
	func() {
		defer func() { attrs = r.Panic(recover()) }()
		_ = index[len(somebodysDUID)]
	}()
	if got := attrs[0].Value.String(); got != "runtime error: index out of range [14] with length 0" {
		t.Errorf("cause %q", got)
	}
	full := planted(rules(config.IdentifiersFull), "cause", netip.IPv6Loopback(), "x")
	if got := full[0].Value.String(); got != "cause" || !strings.Contains(full[1].Value.String(), "goroutine ") {
		t.Errorf("full: %v", full)
	}
}
