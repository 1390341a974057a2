package engine

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"

	"fairlead/internal/app/service"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/wire/dhcp6"
)

// loop is the engine that is tested: that of the relay's core.
type loop = Engine[*relay6.Relay]

// quiet is a loop with two client-facing links and a server behind an uplink. Its store, kernel
// and sockets always work. It plays the role too.
type quiet struct {
	*bench
	t                             *testing.T
	loop                          *loop
	cfg                           *relay6.Config
	mu                            sync.Mutex // guards sent
	sent                          [][]byte
	comparisons, laterComparisons int
	runs                          bool // the loop runs, and closes the queue when it ends

	build  func() (*relay6.Relay, error) // nil: a core that knows the links
	probe  func() (answers, asked bool)
	unsent func(udp.Outgoing, error)
}

func (q *quiet) Build(_ instant.Now, eff *effect.Effects) (*relay6.Relay, error) {
	if q.build != nil {
		return q.build()
	}
	core := relay6.New(q.cfg, "boot")
	if q.loop.Core != nil {
		core.Succeed(q.loop.Core)
	}
	for index, name := range map[int]string{uplink: "u0", linkA: "dA", linkB: "dB"} {
		core.SetLink(links.Link{Index: index, Name: name, Up: true, Running: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}}, eff)
	}
	return core, nil
}

func (q *quiet) Before(instant.Now, *relay6.Relay, *effect.Effects) {}
func (q *quiet) Tell(*effect.Effects)                               {}
func (q *quiet) HearsExtensions() bool                              { return true }
func (q *quiet) LinksChanged(*relay6.Relay)                         {}
func (q *quiet) Pass(instant.Instant, *relay6.Relay)                {}
func (q *quiet) Probe(context.Context, effect.Probe) (bool, bool)   { return q.probe() }
func (q *quiet) Soon()                                              { q.comparisons++ }
func (q *quiet) Later()                                             { q.laterComparisons++ }
func (q *quiet) OthersChanged()                                     {}

func (q *quiet) LinkChanged(core *relay6.Relay, e netlink.Event, eff *effect.Effects) {
	core.RemoveLink(e.Removed, eff)
}

func (q *quiet) Outgoing(s *effect.Send) udp.Outgoing {
	return udp.Outgoing{Link: s.Link, Dest: s.Dest, Payload: s.Payload}
}

func (q *quiet) Unsent(o udp.Outgoing, err error) {
	if q.unsent == nil {
		q.t.Errorf("not sent to %s: %v", o.Dest, err)
		return
	}
	q.unsent(o, err)
}

func (q *quiet) Suspect(payload []byte) [16]byte { return replyLink(payload) }

// replyLink tells Relay-replies apart by their link-address, as the relay does. All other packets
// are the same to it.
func replyLink(payload []byte) (of [16]byte) {
	if len(payload) >= 18 && payload[0] == byte(dhcp6.RelayReply) {
		copy(of[:], payload[2:])
	}
	return of
}

func (q *quiet) Send(batch []udp.Outgoing, _ func(int, error)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range batch {
		q.sent = append(q.sent, append([]byte(nil), o.Payload...))
	}
}

// takeSent returns what has been sent since the last call.
func (q *quiet) takeSent() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	sent := q.sent
	q.sent = nil
	return sent
}

const (
	uplink = iota + 1
	linkA
	linkB
)

func newQuietLoop(t *testing.T, change ...func(*relay6.Config)) (*loop, *quiet) {
	t.Helper()
	server := trust.Peer{
		Name: "server", Address: netip.MustParseAddr("2001:db8:ff::2"), Prefix: netip.MustParsePrefix("2001:db8:ff::2/128"),
		Role: trust.Server, Interfaces: []string{"u0"}, Protection: trust.ProtectionNone,
	}
	q := &quiet{bench: newBench(), t: t, cfg: &relay6.Config{Peers: []trust.Peer{server}, Links: []relay6.LinkRule{{Match: []string{"d*"}}}}}
	for _, c := range change {
		c(q.cfg)
	}
	in, _ := newTestInbox(admission.Limits{})
	l := New(Options[*relay6.Relay]{Log: slog.New(slog.DiscardHandler), Role: q, Inbox: in, Store: q.bench, Hosts: []Installer{q.bench}, Kernel: q})
	q.loop, q.pipe = l, l.pipe
	l.out, l.pipe.out = q, q
	core, err := q.Build(service.Now(), &l.turn.eff)
	if err != nil {
		t.Fatal(err)
	}
	l.Core = core
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

// run runs the loop until end is called or the test ends.
func (q *quiet) run(t *testing.T, l *loop) (end func()) {
	q.runs = true
	return labtest.Run(t, l.run)
}

func solicit(link int, xid uint32) *message {
	return &message{Packet: inbound.Packet{
		Link: link, Source: netip.MustParseAddrPort("[fe80::1]:546"), Dest: dhcp6.AllRelayAgentsAndServers,
		Payload: dhcp6.AppendElapsedTime(dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, xid), 0),
	}}
}

// datagram is the message as it comes from a socket.
func (m *message) datagram() udp.Datagram {
	return udp.Datagram{Link: m.Link, Source: m.Source, Dest: m.Dest, Payload: m.Payload}
}

// A panic costs one packet. If the packets of a link make the core panic a thousand times, each
// with another packet, that costs the other link nothing.
func TestLoopPanicsCostOnePacketEach(t *testing.T) {
	l, q := newQuietLoop(t)
	panics := 0
	l.planted = func(p *inbound.Packet) {
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
	for _, v := range l.Core.Links() {
		if v.Index == linkA {
			muted = v.Counters.Drops[effect.DropMuted]
		}
	}
	if muted != rounds-panicsToMute {
		t.Errorf("%d packets counted as muted, want %d", muted, rounds-panicsToMute)
	}
}

// A packet that made the core panic is refused from then on. The packets before and after it in
// the same batch are served.
func TestLoopRefusesTheFingerprint(t *testing.T) {
	l, q := newQuietLoop(t)
	bad := solicit(linkA, 666)
	reached := 0
	l.planted = func(p *inbound.Packet) {
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

func TestQuarantineForgetsAndIsBounded(t *testing.T) {
	g := newQuarantine()
	at := instant.Instant(0)
	for i := range 2 * maxFingerprints {
		p := inbound.Packet{Link: i, Payload: []byte{byte(i), byte(i >> 8)}}
		g.panicked(&p, replyLink, at)
	}
	if len(g.refuse) != maxFingerprints || len(g.order) != maxFingerprints {
		t.Errorf("%d fingerprints, want %d", len(g.refuse), maxFingerprints)
	}
	p := inbound.Packet{Link: 1, Payload: []byte("x")}
	for range panicsToMute {
		g.panicked(&p, replyLink, at)
	}
	other := inbound.Packet{Link: 1, Payload: []byte("other")}
	if d, refused := g.refuses(&other, replyLink, at+1); !refused || d != effect.DropMuted {
		t.Errorf("right after %d panics: %v, %v; want %v", panicsToMute, d, refused, effect.DropMuted)
	}
	if d, refused := g.refuses(&other, replyLink, at+muteFor); refused {
		t.Errorf("after the mute has ended: refused by %v", d)
	}
}
