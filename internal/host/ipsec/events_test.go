package ipsec

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
)

// subscribed answers a subscription, and then sends what the script has for it.
func subscribed(say map[string][][]byte) func(*line) {
	return func(l *line) {
		kind, name, err := l.ask()
		if err != nil || kind != isRegister {
			return
		}
		if l.say(packet(isConfirm)) == nil && l.say(say[name]...) == nil {
			l.rest()
		}
	}
}

// collect reads that many events.
func collect(t *testing.T, events <-chan hop.Event, n int) map[hop.Event]int {
	t.Helper()
	got := make(map[hop.Event]int)
	for range n {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("events ended after %v", got)
			}
			got[e]++
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	return got
}

func logged(name, id, text string) []byte {
	parts := [][]byte{kv("group", "IKE"), kv("level", "1")}
	if id != "" {
		parts = append(parts, kv("ikesa-name", name), kv("ikesa-uniqueid", id))
	}
	return event("log", append(parts, kv("msg", text))...)
}

// Each kind of event is read as strongSwan writes it. Events of other programs' connections are
// skipped, and so are log lines that give no reason.
func TestReadEvents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	child := inside("child-sas", inside("dhcp-3", kv("name", "dhcp")))
	s := scripted(t, subscribed(map[string][][]byte{
		"ike-updown": {
			event("ike-updown", kv("up", "yes"), inside("theirs", kv("uniqueid", "1"))),
			event("ike-updown", kv("up", "yes"), inside("fairlead-relay-a~b", kv("uniqueid", "2"))),
			event("ike-updown", inside("fairlead-relay-a~b", kv("uniqueid", "2"))),
			event("ike-updown", inside("fairlead-guard-x", kv("uniqueid", "3"))),
		},
		"child-updown": {
			event("child-updown", kv("up", "yes"), inside("fairlead-relay-a", child)),
			event("child-updown", inside("fairlead-relay-a", child)),
			event("child-updown", inside("theirs", child)),
		},
		"ike-rekey":   {event("ike-rekey", inside("fairlead-relay-a", inside("old"), inside("new")))},
		"child-rekey": {event("child-rekey", inside("fairlead-relay-a", inside("child-sas", inside("dhcp", inside("old"), inside("new")))))},
		"log": {
			logged("fairlead-relay-a", "5", "sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (80 bytes)"),
			logged("fairlead-relay-a", "5", "authentication of '192.0.2.2' with pre-shared key successful"),
			logged("theirs", "6", "no shared key found for 'x' - 'y'"),
			logged("fairlead-relay-a", "5", "received AUTHENTICATION_FAILED notify error"),
			logged("(unnamed)", "7", "looking for peer configs matching 2001:db8::1[me]...2001:db8::2[you]"),
			logged("(unnamed)", "7", "no matching peer config found"),
			logged("theirs", "7", "received NO_PROPOSAL_CHOSEN notify error"), // the SA turned out to be that of another administrator
			logged("(unnamed)", "8", "2001:db8::9 is initiating an IKE_SA"),
			logged("(unnamed)", "8", "received proposals unacceptable"),
			logged("", "", "no IKE config found for 2001:db8::1...2001:db8::2, sending NO_PROPOSAL_CHOSEN"),
			logged("fairlead-relay-a", "5", "received "+strings.Repeat("long ", 100)+" notify error"),
		},
	}))
	s.remember([]hop.Hop{{Name: "six", Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::2")}})
	events := s.Events(ctx)
	want := map[hop.Event]int{
		{Hop: "a.b", Kind: hop.EventIKEUp}:                                                                                         1,
		{Hop: "a.b", Kind: hop.EventIKEDown}:                                                                                       1,
		{Hop: "a", Kind: hop.EventChildUp, Child: "dhcp"}:                                                                          1,
		{Hop: "a", Kind: hop.EventChildDown, Child: "dhcp"}:                                                                        1,
		{Hop: "a", Kind: hop.EventIKERekeyed}:                                                                                      1,
		{Hop: "a", Kind: hop.EventChildRekeyed, Child: "dhcp"}:                                                                     1,
		{Hop: "a", Kind: hop.EventFailed, Text: "received AUTHENTICATION_FAILED notify error"}:                                     1,
		{Hop: "six", Kind: hop.EventFailed, Text: "no matching peer config found"}:                                                 1,
		{Hop: "six", Kind: hop.EventFailed, Text: "no IKE config found for 2001:db8::1...2001:db8::2, sending NO_PROPOSAL_CHOSEN"}: 1,
		{Hop: "a", Kind: hop.EventFailed, Text: ("received " + strings.Repeat("long ", 100))[:256]}:                                1,
	}
	got := collect(t, events, len(want))
	for e := range got {
		if want[e] != 1 || got[e] != 1 {
			t.Errorf("event %+v came %d times, want %d", e, got[e], want[e])
		}
	}
	cancel()
	for e := range events {
		t.Errorf("one more event: %+v", e)
	}
}

// What is remembered of SAs that have no name yet is bounded: anyone who can send with a peer's
// address can begin as many as he likes.
func TestTracesAreBounded(t *testing.T) {
	s := Open(Options{Owner: hop.OwnerRelay})
	s.remember([]hop.Hop{{Name: "six", Local: netip.MustParseAddr("2001:db8::1"), Remote: netip.MustParseAddr("2001:db8::2")}})
	f := newFailures(s)
	for id := range 4 * maxTraced {
		for _, text := range []string{"2001:db8::2 is initiating an IKE_SA", "no issuer certificate found for \"CN=a\""} {
			m, err := parameters("ikesa-name", "(unnamed)", "ikesa-uniqueid", strconv.Itoa(id+1), "msg", text)
			if err != nil {
				t.Fatal(err)
			}
			f.read(m)
		}
		if f.peers[strconv.Itoa(id+1)] == nil || f.doubts[strconv.Itoa(id+1)] == "" {
			t.Fatalf("nothing is known of SA %d", id+1)
		}
	}
	if len(f.peers) > maxTraced || len(f.doubts) > maxTraced {
		t.Errorf("%d and %d SAs are remembered, more than %d", len(f.peers), len(f.doubts), maxTraced)
	}
}

// Whatever happens to a session, a new one follows.
func TestEventsGoOn(t *testing.T) {
	up := event("ike-updown", kv("up", "yes"), inside("fairlead-relay-a"))
	for name, trouble := range map[string]func(*line){
		"cut at once":         func(*line) {},
		"cut when asked":      func(l *line) { _, _, _ = l.ask() },
		"garbage":             func(l *line) { _, _, _ = l.ask(); _ = l.say(packet(9)); l.rest() },
		"refused":             func(l *line) { _, _, _ = l.ask(); _ = l.say(packet(isRefused)); l.rest() },
		"event too early":     func(l *line) { _, _, _ = l.ask(); _ = l.say(up); l.rest() },
		"cut when subscribed": func(l *line) { _, _, _ = l.ask(); _ = l.say(packet(isConfirm)) },
		"garbage afterwards":  func(l *line) { _, _, _ = l.ask(); _ = l.say(packet(isConfirm), packet(9)); l.rest() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			good := subscribed(map[string][][]byte{"ike-updown": {up}})
			s := scripted(t, func(l *line) {
				if l.number < 5 { // the first session of each kind of event
					trouble(l)
					return
				}
				good(l)
			})
			events := s.Events(ctx)
			if got := collect(t, events, 1); got[hop.Event{Hop: "a", Kind: hop.EventIKEUp}] != 1 {
				t.Errorf("got %v", got)
			}
			cancel()
			for range events { //nolint:revive // until it is closed
			}
		})
	}
}

// A charon that never answers a subscription blocks nobody.
func TestEventsHang(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 5)
	s := scripted(t, func(l *line) {
		_, _, _ = l.ask()
		asked <- struct{}{}
		l.rest()
	})
	events := s.Events(ctx)
	for range cap(asked) {
		<-asked
	}
	cancel()
	for e := range events {
		t.Errorf("an event out of nothing: %+v", e)
	}
}

// If nobody reads, events are lost, and nothing grows or hangs.
func TestEventsUnread(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan struct{}, 5)
	up := event("ike-updown", kv("up", "yes"), inside("fairlead-relay-a"))
	s := scripted(t, func(l *line) {
		_, name, _ := l.ask()
		_ = l.say(packet(isConfirm))
		for n := 0; name == "ike-updown" && n < 4*burstRoom; n++ {
			if l.say(up) != nil {
				return
			}
		}
		said <- struct{}{}
		l.rest()
	})
	events := s.Events(ctx)
	for range cap(said) {
		<-said
	}
	cancel()
	n := 0
	for range events {
		n++
	}
	if n > eventRoom {
		t.Errorf("%d events were kept, beyond %d", n, eventRoom)
	}
}
