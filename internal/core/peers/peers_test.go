package peers_test

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// world is some peers and what is told of them.
type world struct {
	*testing.T
	peers.Peers
	now instant.Now
	eff effect.Effects
}

func newWorld(t *testing.T, policy peers.Policy, list ...trust.Peer) *world {
	w := &world{T: t, now: instant.Now{Boot: instant.Instant(time.Hour), Wall: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	w.Configure(list, policy)
	return w
}

func of(name string, role trust.PeerRole, address string) trust.Peer {
	a := netip.MustParseAddr(address)
	return trust.Peer{Name: name, Address: a, Prefix: netip.PrefixFrom(a, a.BitLen()), Role: role, Interfaces: []string{"*"}, Protection: trust.ProtectionNone}
}

var (
	first  = of("first", trust.Server, "192.0.2.1")
	second = of("second", trust.Server, "192.0.2.2")
	below  = of("below", trust.Relay, "10.0.0.9")
)

func (w *world) peer(name string) *trust.Peer {
	list := w.Set.Peers()
	return &list[slices.IndexFunc(list, func(p trust.Peer) bool { return p.Name == name })]
}

func (w *world) hears(name string) { w.Heard(w.now, w.peer(name), dhcp4.Offer, &w.eff) }

// asks sends a message to all targets, and returns who they are.
func (w *world) asks() (names []string) {
	targets := w.Targets(w.now.Boot)
	for i, p := range w.Set.Peers() {
		if targets.Has(i) {
			names = append(names, p.Name)
			w.Asked(w.now.Boot, w.peer(p.Name))
		}
	}
	return names
}

func (w *world) sleep(d time.Duration) {
	w.now.Boot, w.now.Wall = w.now.Boot.After(d), w.now.Wall.Add(d)
	w.Tick(w.now, &w.eff)
}

// told are the notes since the last look.
func (w *world) told() (texts []string) {
	for _, n := range w.eff.Notes {
		texts = append(texts, n.Peer+": "+n.Text)
	}
	w.eff.Reset()
	return texts
}

func (w *world) want(what string, got []string, want ...string) {
	w.Helper()
	if !slices.Equal(got, want) {
		w.Errorf("%s: %q, want %q", what, got, want)
	}
}

func (w *world) view(name string) peers.View {
	all := w.Views(w.now.Boot, func(index int) string {
		if index == 0 || index == 9 {
			return ""
		}
		return "lan" + strconv.Itoa(index)
	})
	return all[slices.IndexFunc(all, func(v peers.View) bool { return v.Name == name })]
}

// owe has so many clients wait for a server.
func (w *world) owe(name string, clients int) {
	for i := range clients {
		w.Owes(w.now.Boot, w.peer(name), client(i))
	}
}

func client(i int) peers.Client {
	return peers.Client{Link: 1, LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, 0, byte(i)})}
}

// All sends to every server, and to nobody else; First to the first that has answered, and to
// all while none has.
func TestTargets(t *testing.T) {
	w := newWorld(t, peers.All, below, first, second)
	w.hears("first")
	w.want("all", w.asks(), "first", "second")

	w = newWorld(t, peers.First, below, first, second)
	w.hears("below")
	w.want("before any has answered", w.asks(), "first", "second")
	w.hears("second")
	w.want("told", w.told(), "second: forward first: messages go to this server")
	w.want("the one that has, as the other was asked just now", w.asks(), "second")
	w.sleep(30 * time.Second)
	w.want("a try", w.asks(), "first", "second")
	w.want("and no more", w.asks(), "second")
	w.hears("first")
	w.want("told", w.told(), "first: forward first: messages go to this server")
	w.want("the first", w.asks(), "first")
	w.sleep(time.Hour)
	w.want("which needs no try of another", w.asks(), "first")
}

// A server that falls silent is passed over, and comes back when it answers.
func TestFirstFallsSilent(t *testing.T) {
	w := newWorld(t, peers.First, first, second)
	w.hears("first")
	w.hears("second")
	w.told()
	w.asks()
	w.owe("first", 4)
	w.sleep(10*time.Second - 1)
	w.want("not yet", w.told())
	w.sleep(1)
	w.want("silent", w.told(), "first: server is silent", "second: forward first: messages go to this server")
	if v := w.view("first"); v.Silent != w.now.Wall.Add(-10*time.Second) || v.Preferred || !w.view("second").Preferred {
		t.Errorf("%+v", v)
	}
	w.want("to the other", w.asks(), "second")
	w.owe("second", 4)
	w.sleep(10 * time.Second)
	w.want("both", w.told(), "second: server is silent", "second: forward first: no server answers, messages go to all")
	w.want("to all", w.asks(), "first", "second")
	w.hears("first")
	w.want("back", w.told(), "first: peer answers again", "first: forward first: messages go to this server")
}

// Three clients without an answer say nothing of a server, nor four that have given up, nor
// four of which one was answered; a holder of a lease of it does alone.
func TestSilence(t *testing.T) {
	for name, tc := range map[string]struct {
		what   func(*world)
		silent bool
	}{
		"three":            {func(w *world) { w.owe("first", 3) }, false},
		"four":             {func(w *world) { w.owe("first", 4) }, true},
		"four, again":      {func(w *world) { w.owe("first", 4); w.owe("first", 4) }, true},
		"one, four times":  {func(w *world) { w.owe("first", 1); w.owe("first", 1); w.owe("first", 1); w.owe("first", 1) }, false},
		"one was answered": {func(w *world) { w.owe("first", 4); w.Answered(w.peer("first"), client(2)) }, false},
		"one was answered, on whatever link": {func(w *world) {
			w.owe("first", 4)
			w.Answered(w.peer("first"), peers.Client{LinkLayer: client(2).LinkLayer})
		}, false},
		"another was answered": {func(w *world) { w.owe("first", 4); w.Answered(w.peer("first"), client(7)) }, true},
		"on another link":      {func(w *world) { w.owe("first", 4); c := client(2); c.Link = 2; w.Answered(w.peer("first"), c) }, true},
		"it says something":    {func(w *world) { w.owe("first", 4); w.hears("first") }, false},
		"three had given up": {func(w *world) {
			w.owe("first", 3)
			w.sleep(2*time.Minute + 1)
			w.Owes(w.now.Boot, w.peer("first"), client(3))
		}, false},
		"a holder": {func(w *world) { w.OwesHolder(w.now.Boot, w.peer("first")) }, true},
	} {
		w := newWorld(t, peers.All, first)
		w.hears("first")
		tc.what(w)
		want := instant.Never
		if tc.silent {
			want = w.now.Boot.After(10 * time.Second)
		}
		if at := w.Peers.Deadline(); at != want {
			t.Errorf("%s: due at %v, want %v", name, at, want)
		}
		w.sleep(10 * time.Second)
		if v := w.view("first"); v.Silent.IsZero() == tc.silent {
			t.Errorf("%s: silent since %v", name, v.Silent)
		}
		if w.Peers.Deadline() != instant.Never {
			t.Errorf("%s: still due", name)
		}
	}
}

// Who waits is on view after ten seconds, until two minutes after the last message, on links
// that there are.
func TestWaiting(t *testing.T) {
	w := newWorld(t, peers.All, first)
	w.owe("first", 1)
	w.Owes(w.now.Boot, w.peer("first"), peers.Client{Link: 9, LinkLayer: client(5).LinkLayer})
	w.sleep(10*time.Second - 1)
	if v := w.view("first"); len(v.Waiting) != 0 {
		t.Errorf("too early: %+v", v.Waiting)
	}
	w.owe("first", 1)
	w.sleep(1)
	if v := w.view("first"); len(v.Waiting) != 1 || v.Waiting[0].Messages != 2 || v.Waiting[0].For != 10*time.Second || v.Waiting[0].Link != "lan1" {
		t.Errorf("%+v", v.Waiting)
	}
	w.sleep(2 * time.Minute)
	if v := w.view("first"); len(v.Waiting) != 0 {
		t.Errorf("too late: %+v", v.Waiting)
	}
}

// What passed is counted, and what could not be sent is taken back. What the network says of a
// peer is shown until the peer says something, and told once.
func TestCounters(t *testing.T) {
	w := newWorld(t, peers.All, first, below)
	w.asks()
	w.asks()
	w.CountUnsent(first.Address, 1)
	w.Told(w.peer("below"))
	w.CountUnsent(below.Address, 5)
	w.CountUnsent(netip.MustParseAddr("203.0.113.1"), 5)
	if c := w.view("first").Counters; c.Sent != 1 || c.SinceAnswer != 2 || c.Received != 0 || !c.LastReceived.IsZero() {
		t.Errorf("%+v", c)
	}
	if c := w.view("below").Counters; c.Sent != 0 {
		t.Errorf("below: %+v", c)
	}
	for _, cause := range []string{"refused", "refused", "no route"} {
		w.Unreachable(w.now, first.Address, "", errors.New(cause), &w.eff)
	}
	w.want("told", w.told(), "first: peer cannot be reached", "first: peer cannot be reached")
	if v := w.view("first"); v.Counters.Unreachable != 3 || v.Failure.Error() != "no route" || v.FailedAt != w.now.Wall {
		t.Errorf("%+v", v)
	}
	w.hears("first")
	w.want("told", w.told(), "first: peer answers again")
	if v := w.view("first"); v.Failure != nil || v.Counters.SinceAnswer != 0 || v.Counters.Received != 1 || v.LastType != dhcp4.Offer || v.Counters.LastReceived != w.now.Wall {
		t.Errorf("%+v", v)
	}
	zoned := of("zoned", trust.Server, "fe80::1")
	zoned.Zone = "eth0"
	w.Configure([]trust.Peer{zoned}, peers.All)
	w.Unreachable(w.now, zoned.Address, "eth1", errors.New("no"), &w.eff)
	if v := w.view("zoned"); v.Failure != nil {
		t.Errorf("another link's: %+v", v)
	}
	w.Unreachable(w.now, zoned.Address, "eth0", errors.New("no"), &w.eff)
	if v := w.view("zoned"); v.Failure == nil {
		t.Errorf("%+v", v)
	}
}

// What is known of a peer outlives another configuration and a panic, if the peer does.
func TestPeersThatStay(t *testing.T) {
	w := newWorld(t, peers.First, first, second)
	w.hears("second")
	w.told()
	w.Configure([]trust.Peer{below, second}, peers.First)
	if v := w.view("second"); v.Counters.Received != 1 || !v.Answered || w.view("below").Answered {
		t.Errorf("%+v", v)
	}
	w.want("no news", w.told())
	next := newWorld(t, peers.First, first, second)
	next.Succeed(&w.Peers)
	if v := next.view("second"); v.Counters.Received != 1 || !v.Preferred || next.view("first").Answered {
		t.Errorf("after a panic: %+v", v)
	}
	next.hears("second")
	next.want("no news", next.told())
	if next.OnlyServer(next.peer("first")) || !newWorld(t, peers.All, first, below).OnlyServer(&first) {
		t.Error("which is the only server")
	}
	if peers.All.String() != "all" || peers.First.String() != "first" {
		t.Error("names")
	}
}
