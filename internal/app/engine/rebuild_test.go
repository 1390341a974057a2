package engine

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// relayReply is a Relay-reply from the server for clients on the link with that link-address.
func relayReply(linkAddress string, xid uint32) *message {
	inner := dhcp6.AppendMessageHeader(nil, dhcp6.Advertise, xid)
	a := netip.MustParseAddr(linkAddress).As16()
	peer := netip.MustParseAddr("fe80::1").As16()
	b := append([]byte{byte(dhcp6.RelayReply), 0}, a[:]...)
	b = append(b, peer[:]...)
	b = append(b, 0, byte(dhcp6.OptionRelayMessage), 0, byte(len(inner)))
	return &message{Packet: inbound.Packet{Link: uplink, Source: netip.MustParseAddrPort("[2001:db8:ff::2]:547"), Payload: append(b, inner...)}}
}

// If the answers to one client make the core panic, what the server sends to that client's link
// is muted, but not the uplink by which all answers come.
func TestPanicsOfRepliesDoNotMuteTheUplink(t *testing.T) {
	g := newQuarantine()
	packet := func(d *message) *inbound.Packet {
		return &inbound.Packet{Link: d.Link, Source: d.Source, Payload: d.Payload}
	}
	for i := range uint32(panicsToMute) {
		muted := g.panicked(packet(relayReply("2001:db8:1::1", i)), replyLink, 1)
		if want := i == panicsToMute-1; muted != want {
			t.Errorf("panic %d: muted %v, want %v", i+1, muted, want)
		}
	}
	if d, refused := g.refuses(packet(relayReply("2001:db8:1::1", 99)), replyLink, 2); !refused || d != effect.DropMuted {
		t.Errorf("a reply for the same link: %v, %v; want %v", d, refused, effect.DropMuted)
	}
	if d, refused := g.refuses(packet(relayReply("2001:db8:2::1", 99)), replyLink, 2); refused {
		t.Errorf("a reply for another link: refused by %v", d)
	}
}

// A core that is built anew continues the counters, the trace, and the numbers of the Changes of
// the old one. The failure of an old Change must not hold back a datagram of a new one.
func TestRebuildGoesOnWhereTheOldCoreWas(t *testing.T) {
	l, _ := newQuietLoop(t)
	l.handle(t.Context(), []*message{solicit(linkB, 1), relayReply("2001:db8:9::1", 2)})
	l.carryOut(t.Context())
	l.decideOn(t.Context(), func(n instant.Now, eff *effect.Effects) {
		l.Core.Block(delegation.Block{Link: "elsewhere"}, eff)
	})
	l.carryOut(t.Context())
	l.Core.SetTrace(&effect.Trace{Link: "dB"})
	before, old := l.Core.LastChange(), l.Core
	l.planted = func(*inbound.Packet) { panic("planted") }
	l.handle(t.Context(), []*message{solicit(linkA, 3)})
	l.carryOut(t.Context())
	if l.Core == old {
		t.Fatal("the core was not built anew")
	}
	l.planted = nil
	l.handle(t.Context(), []*message{solicit(linkB, 4)})
	traced := false
	for _, n := range l.turn.eff.Notes {
		traced = traced || n.Kind == effect.NoteTrace
	}
	if !traced {
		t.Error("the trace has ended")
	}
	for _, v := range l.Core.Links() {
		if got := v.Counters.Received[dhcp6.Solicit]; v.Index == linkB && got != 2 {
			t.Errorf("%d Solicits counted on %s, want 2", got, v.Name)
		}
	}
	for _, p := range l.Core.Peers(service.Now()) {
		if p.Counters.Sent != 2 {
			t.Errorf("%d messages counted to %s, want 2", p.Counters.Sent, p.Name)
		}
	}
	if got := l.Core.LastChange(); before == 0 || got < before {
		t.Errorf("newest change %d, it was %d: numbers are used again", got, before)
	}
}

// Records that the store has not got would be lost with the core that has them.
func TestNoRebuildWhileTheStoreFails(t *testing.T) {
	l, q := newQuietLoop(t)
	q.mu.Lock()
	q.full = store.ErrFull
	q.mu.Unlock()
	old := l.Core
	l.decideOn(t.Context(), func(n instant.Now, eff *effect.Effects) {
		d := binding.Binding{Prefix: netip.MustParsePrefix("2001:db8:5::/56"), Link: "dA", Client: binding.DUID("c"), Valid: 1}
		l.Core.Restore(n, slices.Values([]binding.Record{{Space: binding.Relay6, Binding: d, BootID: "boot"}}), nil, n.Wall, eff)
		l.Core.Clear(n, delegation.Selection{Link: "dA"}, eff)
	})
	l.rebuild(t.Context(), "planted")
	if got := l.Core.Totals().Unkept; got != 1 {
		t.Fatalf("%d records not kept, want 1: the test tests nothing", got)
	}
	if l.Core != old {
		t.Error("the core was built anew, from a store that lacks what it knows")
	}
}

// A loop that waits for the pipeline ends when the process ends.
func TestRebuildEndsWithTheProcess(t *testing.T) {
	l, _ := newQuietLoop(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.inflight = 1 // the outcome of this Change never comes
	old := l.Core
	l.rebuild(ctx, "planted")
	if l.Core != old {
		t.Error("built anew although the process ends")
	}
}

// A caller whose call panics is told so, and the loop goes on. A caller that comes after the end
// is told at once.
func TestCallsPanicAndEnd(t *testing.T) {
	l, q := newQuietLoop(t)
	end := q.run(t, l)
	var old, is *relay6.Relay
	err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { old = l.Core; panic("planted") })
	if !errors.Is(err, errPanicked) {
		t.Errorf("a call that panics: %v, want %v", err, errPanicked)
	}
	if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { is = l.Core }); err != nil {
		t.Errorf("the call after it: %v", err)
	}
	if is == old {
		t.Error("the core was not built anew")
	}
	end()
	if err := l.Call(t.Context(), func(instant.Now, *effect.Effects) { t.Error("called after the end") }); !errors.Is(err, errEnded) {
		t.Errorf("a call after the end: %v, want %v", err, errEnded)
	}
}

// A probe that was cut short by the end of the process does not prove that nobody is there.
func TestProbeCutShortTellsNothing(t *testing.T) {
	l, q := newQuietLoop(t)
	l.probed = make(chan probeResult, 1)
	ctx, cancel := context.WithCancel(t.Context())
	q.probe = func() (bool, bool) { cancel(); return false, true }
	l.runProbe(ctx, effect.Probe{Index: linkA})
	if len(l.probed) != 0 {
		t.Errorf("told %+v", <-l.probed)
	}
}

// If the pipeline has no room, a datagram that grants is held back. One that only extends, and
// asks nothing of the kernel, leaves.
func TestFullPipelineLetsRenewalsLeave(t *testing.T) {
	l, q := newQuietLoop(t)
	var held []string
	q.unsent = func(o udp.Outgoing, err error) {
		if !errors.Is(err, errStalled) {
			t.Errorf("%s held back by %v, want %v", o.Payload, err, errStalled)
		}
		held = append(held, string(o.Payload))
	}
	route := []hoststate.Op{{Route: &hoststate.Route{}}}
	l.refuse(&job{
		changes: []effect.Change{change(901, "k", ""), {ID: 902, Host: route}, {ID: 903}},
		sends: []waiting{
			datagram(901, false, "grant"), datagram(901, true, "renewal"), datagram(902, true, "moved"), datagram(900, true, "behind another"),
			datagram(903, true, "behind another, too"),
		},
	})
	l.dispatch()
	if len(q.sent) != 1 || string(q.sent[0]) != "renewal" {
		t.Errorf("sent %q, want the renewal", q.sent)
	}
	if len(held) != 4 || q.laterComparisons != 1 {
		t.Errorf("held back %q and asked for %d comparisons, want four and one", held, q.laterComparisons)
	}
}

// A route that the kernel refuses gets its stand-in. Only other failures ask for a comparison,
// and not at once, because it may fail again.
func TestSettleAsksForAComparisonOnlyIfNeeded(t *testing.T) {
	l, q := newQuietLoop(t)
	r := hoststate.Op{Route: &hoststate.Route{Prefix: netip.MustParsePrefix("2001:db8:5::/56")}}
	id := l.Core.LastChange()
	l.settle(t.Context(), []effect.Outcome{{ID: id, Keep: store.ErrFull}, {ID: id, Install: []effect.FailedOp{{Op: r, Err: effect.ErrRefused}}}})
	if q.comparisons+q.laterComparisons != 0 {
		t.Error("a comparison although nothing is left to mend")
	}
	l.settle(t.Context(), []effect.Outcome{{ID: id, Install: []effect.FailedOp{{Op: r, Err: errors.New("in the way")}}}})
	if q.comparisons != 0 || q.laterComparisons != 1 {
		t.Errorf("%d comparisons at once, %d later; want one later", q.comparisons, q.laterComparisons)
	}
}

// Datagrams of a batch that were decided before one of its messages made the core panic point
// into messages of that batch. If senders of their own send, all of them have left before any
// message is given back and used again.
func TestPanicGivesNothingBackTooEarly(t *testing.T) {
	l, q := newQuietLoop(t)
	gate := make(chan struct{})
	l.senders = newSenders(func(batch []udp.Outgoing) { <-gate; l.send(batch) }, l.endTurn)
	t.Cleanup(l.senders.close)
	t.Cleanup(func() { close(gate) })
	l.Core.SetLink(links.Link{Index: linkA, Name: "dA", Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("2001:db8:1::1/64")}}, &l.turn.eff)
	l.planted = func(p *inbound.Packet) {
		if p != nil && p.Link == linkB {
			panic("planted")
		}
	}
	answer := relayReply("2001:db8:1::1", 7)
	answer.room = append(make([]byte, 0, ordinaryRoom), answer.Payload...)[:ordinaryRoom]
	want := slices.Clone(answer.Payload[len(answer.Payload)-4:])
	answer.Payload = answer.room[:len(answer.Payload)]
	l.batch = []*message{answer, solicit(linkB, 8)}
	l.handle(t.Context(), l.batch)
	l.turn.messages = append(l.turn.messages, l.batch...)
	l.carryOut(t.Context())
	for _, m := range l.inbox.free {
		clear(m.room) // as the next message does
	}
	if sent := q.takeSent(); len(sent) != 1 || !slices.Equal(sent[0], want) {
		t.Errorf("when the messages are given back %x has been sent, want %x", sent, want)
	}
}

// A panic on any kind of event costs that event: the process goes on with a core that is built
// anew.
func TestEveryEventMayPanic(t *testing.T) {
	for what, event := range map[string]func(l *loop){
		"timer":   func(l *loop) { l.tick(t.Context()) },
		"outcome": func(l *loop) { l.settle(t.Context(), nil) },
		"link":    func(l *loop) { l.linkEvents(t.Context(), netlink.Event{Removed: "gone"}) },
	} {
		t.Run(what, func(t *testing.T) {
			l, q := newQuietLoop(t)
			old := l.Core
			l.planted = func(*inbound.Packet) { panic("planted") }
			event(l)
			l.carryOut(t.Context())
			if l.Core == old || l.quarantine.panics != 1 {
				t.Errorf("built anew: %v, %d panics counted", l.Core != old, l.quarantine.panics)
			}
			l.planted = nil
			l.handle(t.Context(), []*message{solicit(linkB, 4)})
			l.carryOut(t.Context())
			if len(q.sent) != 1 {
				t.Errorf("%d messages forwarded afterwards, want 1", len(q.sent))
			}
		})
	}
}

// A core that panics at each Tick, and asks for the next one at once, does not keep the process
// from everything else.
func TestTickThatPanicsWaits(t *testing.T) {
	l, q := newQuietLoop(t)
	l.at = service.Now()
	l.decideOn(t.Context(), func(n instant.Now, eff *effect.Effects) {
		d := binding.Binding{Prefix: netip.MustParsePrefix("2001:db8:5::/56"), Link: "dA", Client: binding.DUID("c"), Valid: 1}
		l.Core.Restore(n, slices.Values([]binding.Record{{Space: binding.Relay6, Binding: d, BootID: "boot"}}), nil, n.Wall, eff)
	})
	if got := l.sleep(); got != 0 {
		t.Fatalf("with a delegation that has ended: sleeps %v: the test tests nothing", got)
	}
	q.build = func() (*relay6.Relay, error) { panic("planted, too") }
	l.planted = func(*inbound.Packet) { panic("planted") }
	l.tick(t.Context())
	if got := l.sleep(); got <= 0 {
		t.Errorf("sleeps %v", got)
	}
}
