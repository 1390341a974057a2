package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/control"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// quiet is a loop with two client links and a server behind an uplink, over a
// store, a kernel and sockets that always work.
type quiet struct {
	*bench
	mu                 sync.Mutex // guards sent
	sent               [][]byte
	audits, lateAudits int
	runs               bool // the loop closes the queue
}

func (q *quiet) Send(batch []udp.Outgoing, _ func(int, error)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range batch {
		q.sent = append(q.sent, append([]byte(nil), o.Payload...))
	}
}

// takeSent takes what has been sent since the last time.
func (q *quiet) takeSent() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	sent := q.sent
	q.sent = nil
	return sent
}

func (q *quiet) SetLinks([]udp.Link) error   { return nil }
func (q *quiet) AddLocal(udp.Local) error    { return nil }
func (q *quiet) RemoveLocal(udp.Local) error { return nil }

func (q *quiet) Source(netip.Addr, string) (netip.Addr, error) {
	return netip.Addr{}, unix.ENETUNREACH
}

const (
	uplink = iota + 1
	linkA
	linkB
)

func newQuietLoop(t *testing.T, change ...func(*relay6.Config)) (*loop, *quiet) {
	t.Helper()
	q := &quiet{bench: newBench()}
	server := trust.Peer{
		Name: "server", Address: netip.MustParseAddr("2001:db8:ff::2"), Prefix: netip.MustParsePrefix("2001:db8:ff::2/128"),
		Role: trust.Server, Interfaces: []string{"u0"}, Protection: trust.ProtectionNone,
	}
	cfg := &relay6.Config{Peers: []trust.Peer{server}, Links: []relay6.LinkRule{{Match: []string{"d*"}}}}
	for _, c := range change {
		c(cfg)
	}
	log := slog.New(slog.DiscardHandler)
	l := &loop{
		log: log, pipe: q.pipe, net: newNetwork(log), lost: newFailures(log, newLimiter(time.Hour)), guard: newGuard(),
		auditDue: func() { q.audits++ }, othersChanged: func() { q.audits++ }, auditLate: func() { q.lateAudits++ }, ended: make(chan struct{}),
		notes: &notes{log: log, feed: control.NewFeed(), once: newLimiter(time.Hour)}, turn: new(turn),
	}
	l.intake = newIntake(l.lost)
	l.net.intake = l.intake
	l.net.conn, q.pipe.send = q, q
	l.net.failed = func(o udp.Outgoing, err error) { t.Errorf("not sent to %s: %v", o.Dest, err) }
	l.net.configure(cfg.Peers, dhcp6.ServerPort)
	l.build = func(_ instant.Now, eff *effect.Effects) (*relay6.Relay, error) {
		core := relay6.New(cfg, "boot")
		if l.core != nil {
			core.Succeed(l.core)
		}
		for index, name := range map[int]string{uplink: "u0", linkA: "dA", linkB: "dB"} {
			core.SetLink(hoststate.Link{Index: index, Name: name, Up: true, Running: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}}, eff)
		}
		return core, nil
	}
	core, err := l.build(service.Now(), &l.turn.eff)
	if err != nil {
		t.Fatal(err)
	}
	l.core = core
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.pipe.runKeep(ctx) }()
	installed := make(chan struct{})
	go func() { defer close(installed); _ = l.pipe.runInstall(ctx) }()
	t.Cleanup(func() {
		cancel()
		if !q.runs {
			close(l.pipe.jobs)
		}
		<-done
		<-installed
	})
	return l, q
}

// run runs the loop until end is called, or the test ends.
func (q *quiet) run(t *testing.T, l *loop) (end func()) {
	q.runs = true
	l.calls = make(chan func(instant.Now, *effect.Effects))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the loop ended with %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

func solicit(link int, xid uint32) *message {
	return &message{Datagram: udp.Datagram{
		Link: link, Source: netip.MustParseAddrPort("[fe80::1]:546"), Dest: dhcp6.AllRelayAgentsAndServers,
		Payload: dhcp6.AppendElapsedTime(dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, xid), 0),
	}}
}

// DESIGN section 5: a panic costs one packet. A link whose packets make the core
// panic a thousand times, each packet another, costs the other link nothing.
func TestLoopPanicsCostOnePacketEach(t *testing.T) {
	l, q := newQuietLoop(t)
	panics := 0
	l.planted = func(p *relay6.Packet) {
		if p.Link == linkA {
			panics++
			panic("planted")
		}
	}
	const rounds = 1000
	for i := range rounds {
		l.handle(t.Context(), []*message{solicit(linkA, uint32(i)), solicit(linkB, uint32(rounds+i))})
		l.carryOut(t.Context())
	}
	if len(q.sent) != rounds {
		t.Errorf("%d messages of the other link forwarded, want %d", len(q.sent), rounds)
	}
	if panics != panicsToMute {
		t.Errorf("%d packets reached the core, want %d before the link is muted", panics, panicsToMute)
	}
	muted := uint64(0)
	for _, v := range l.core.Links() {
		if v.Index == linkA {
			muted = v.Counters.Drops[effect.DropMuted]
		}
	}
	if muted != rounds-panicsToMute {
		t.Errorf("%d packets counted as muted, want %d", muted, rounds-panicsToMute)
	}
}

// The packet that made the core panic is refused from then on; its neighbours in
// the same batch, before and after, are served.
func TestLoopRefusesTheFingerprint(t *testing.T) {
	l, q := newQuietLoop(t)
	bad := solicit(linkA, 666)
	reached := 0
	l.planted = func(p *relay6.Packet) {
		if string(p.Payload) == string(bad.Payload) {
			reached++
			panic("planted")
		}
	}
	for range 2 {
		l.handle(t.Context(), []*message{solicit(linkA, 1), bad, solicit(linkA, 2)})
		l.carryOut(t.Context())
	}
	if reached != 1 {
		t.Errorf("the packet reached the core %d times, want once", reached)
	}
	if len(q.sent) != 4 {
		t.Errorf("%d messages forwarded, want 4", len(q.sent))
	}
}

func TestGuardForgetsAndIsBounded(t *testing.T) {
	g := newGuard()
	at := instant.Instant(0)
	for i := range 2 * maxFingerprints {
		p := relay6.Packet{Link: i, Payload: []byte{byte(i), byte(i >> 8)}}
		g.panicked(&p, at)
	}
	if len(g.refuse) != maxFingerprints || len(g.order) != maxFingerprints {
		t.Errorf("%d fingerprints, want %d", len(g.refuse), maxFingerprints)
	}
	p := relay6.Packet{Link: 1, Payload: []byte("x")}
	for range panicsToMute {
		g.panicked(&p, at)
	}
	other := relay6.Packet{Link: 1, Payload: []byte("other")}
	if d, refused := g.refuses(&other, at+1); !refused || d != effect.DropMuted {
		t.Errorf("right after %d panics: %v, %v; want %v", panicsToMute, d, refused, effect.DropMuted)
	}
	if d, refused := g.refuses(&other, at+muteFor); refused {
		t.Errorf("after the mute has ended: refused by %v", d)
	}
}

// Every discard has a counter on its link: what was held back and why, and what
// a socket did not take.
func TestLoopCountsWhatDidNotLeave(t *testing.T) {
	l, _ := newQuietLoop(t)
	to := udp.Outgoing{Link: linkA}
	for _, err := range []error{
		fmt.Errorf("%w: disk full", errNotKept), fmt.Errorf("%w: refused", errNotInstalled), fmt.Errorf("%w: refused", errNotInstalled), errors.New("no route"),
	} {
		l.lost.report(to, err)
	}
	l.turn.eff.Reset()
	l.carryOut(t.Context())
	want := map[effect.Drop]uint64{effect.DropNotKept: 1, effect.DropNotInstalled: 2, effect.DropSendFailed: 1}
	for _, v := range l.core.Links() {
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
