package relay4_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/traffic"
	"fairlead/internal/core/trust"
)

// Whatever is discarded is counted by its reason, on its link and in the sum.
func TestEveryDrop(t *testing.T) {
	leasequery := from(alice, ofType(10))
	for _, tc := range []struct {
		want   effect.Drop
		change func(*world)
		link   string
		what   func(*world) []effect.Send
	}{
		{effect.DropEmpty, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, nil) }},
		{effect.DropMalformed, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, []byte{1}) }},
		{effect.DropNotClientLink, nil, "dum0", func(w *world) []effect.Send { return w.says(client{dumIndex, alice.mac}, from(alice)) }},
		{effect.DropNotClientLink, nil, "up0", func(w *world) []effect.Send { return w.says(client{upIndex, alice.mac}, from(alice)) }},
		{effect.DropBadSource, trusted, "lan0", func(w *world) []effect.Send { return w.relays(lan0Index, "224.0.0.9", from(alice, giaddr("10.9.0.1"))) }},
		{effect.DropServerMessage, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice, ofType(typeOffer))) }},
		{effect.DropLeasequery, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, leasequery) }},
		{effect.DropHopLimit, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice, func(m *message) { m.hops = 5 })) }},
		{effect.DropTooEarly, rule(func(r *relay4.LinkRule) { r.Secs = 1 }), "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice)) }},
		{effect.DropAgentInformation, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice, with(foreign))) }},
		{effect.DropNoGIAddr, func(w *world) { unnumbered(w); w.cfg.Links[0].Borrow = "" }, "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice)) }},
		{effect.DropSpoofedGIAddr, nil, "lan1", func(w *world) []effect.Send { return w.says(carol, from(carol, giaddr(lan0Addr))) }},
		{effect.DropUntrustedRelay, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice, giaddr("10.9.0.1"))) }},
		{effect.DropNoServer, config(func(c *relay4.Config) { c.Peers = []trust.Peer{relayOf("10.0.0.9")} }), "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice)) }},
		{effect.DropTooBig, config(func(c *relay4.Config) { c.RequireRelayID, c.Links[0].InsertRelayID = true, true }), "lan0", func(w *world) []effect.Send { return w.says(alice, from(alice, bootp)) }},
		{effect.DropReplyFromClientLink, nil, "lan0", func(w *world) []effect.Send { return w.says(alice, answer(from(alice), typeOffer, false)) }},
		{effect.DropUntrustedServer, nil, "dum0", func(w *world) []effect.Send {
			return w.relays(dumIndex, serverAddr, answer(from(alice), typeOffer, false))
		}},
		{effect.DropUnprotected, protected, "up0", func(w *world) []effect.Send {
			return w.relays(upIndex, serverAddr, answer(from(alice), typeOffer, false))
		}},
		{effect.DropNoLink, nil, "up0", func(w *world) []effect.Send { return w.serves(answer(from(alice), typeOffer, false)) }},
		{effect.DropAmbiguousGIAddr, unnumbered, "up0", func(w *world) []effect.Send {
			return w.serves(answer(from(alice, giaddr(lentAddr)), typeOffer, false))
		}},
		{effect.DropWrongVPN, inVPN, "up0", func(w *world) []effect.Send { return w.serves(answer(w.asks(alice, from(alice)), typeOffer, true)) }},
	} {
		change := tc.change
		if change == nil {
			change = func(*world) {}
		}
		w := newWorld(t, change)
		w.what(tc.want, tc.link, tc.what)
	}
	w := newWorld(t)
	w.dropped("on no link", w.packet(inbound.Packet{Link: 99, Source: client0, Payload: from(alice)}), effect.DropUnknownLink)
	if sum, unknown := w.core.Sum(); unknown[effect.DropUnknownLink] != 1 || sum.Drops[effect.DropUnknownLink] != 1 {
		t.Errorf("unknown links count %v, the sum %v", unknown, sum.Drops)
	}
}

func (w *world) what(want effect.Drop, link string, do func(*world) []effect.Send) {
	w.Helper()
	w.sent = nil
	do(w)
	left := 0
	for _, s := range w.sent {
		if !s.ToPeer || want != effect.DropWrongVPN {
			left++
		}
	}
	if left != 0 || len(w.drops) != 1 || w.drops[0].Reason != want || w.drops[0].Link != link {
		w.Errorf("%v: %d sent, drops %v, want one on %s", want, left, w.drops, link)
	}
	sum, _ := w.core.Sum()
	if w.counters(link).Drops[want] != 1 || sum.Drops[want] != 1 {
		w.Errorf("%v: %s counts %d, the sum %d", want, link, w.counters(link).Drops[want], sum.Drops[want])
	}
}

// The figures of the whole are those of all links together, and do not go back when a link
// goes away. It finds its own when it is back.
func TestSumOfAllLinks(t *testing.T) {
	w := newWorld(t)
	w.delivers(lan0Index, answer(w.asks(alice, from(alice)), typeOffer, true))
	w.says(alice, from(alice, bootp))
	w.says(alice, from(alice, ofType(250)))
	w.core.CountDrop(lan1Index, effect.DropQueueFull, 5)
	w.core.CountDrop(99, effect.DropRateLink, 7)
	was, l := w.counters("lan0"), w.links["lan0"]
	w.removeLink("lan0")
	sum, unknown := w.core.Sum()
	if sum.Received[typeDiscover] != 1 || sum.Received[0] != 2 || sum.Sent[typeOffer] != 1 || sum.Drops[effect.DropQueueFull] != 5 || unknown[effect.DropRateLink] != 7 {
		t.Errorf("sum %+v, unknown %v", sum, unknown)
	}
	w.core.SetLink(l, &w.eff)
	if now := w.counters("lan0"); now != was || now.Received[typeDiscover] != 1 {
		t.Errorf("back with %+v, was %+v", now, was)
	}
}

// A core that takes over after a panic goes on with figures, peers and transactions.
func TestSucceed(t *testing.T) {
	w := newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off }))
	up := w.asks(carol, from(carol))
	w.delivers(lan1Index, answer(up, typeOffer, false))
	w.says(alice, nil)
	before, sum, _ := w.core.Links(), w.traffic(), w.now
	next := relay4.New(w.cfg, "boot")
	next.Succeed(w.core)
	w.start(next)
	if w.traffic() != sum {
		t.Errorf("sum %+v, was %+v", w.traffic(), sum)
	}
	for i, l := range w.core.Links() {
		if l.Counters != before[i].Counters || l.GIAddr != before[i].GIAddr {
			t.Errorf("%s: %+v, was %+v", l.Name, l, before[i])
		}
	}
	if p := w.core.Peers(w.now)[0]; p.Counters.Received != 1 || !p.Answered {
		t.Errorf("the server: %+v", p)
	}
	w.delivers(lan1Index, answer(up, typeACK, false))
}

func (w *world) traffic() traffic.Counts {
	sum, _ := w.core.Sum()
	return sum.Counts
}

// What is known of servers is that of core/peers: here, that it is told.
func TestPeersAreTold(t *testing.T) {
	w := newWorld(t, relayPeer("10.0.0.9"), config(func(c *relay4.Config) {
		c.Peers = append(c.Peers, peer("other", "203.0.113.1"))
		c.Forward = peers.First
	}))
	if got := w.says(alice, from(alice)); len(got) != 2 {
		t.Fatalf("before any has answered: to %d", len(got))
	}
	w.serves(answer(w.sent[0].Payload, typeOffer, true))
	if got := w.says(alice, from(alice)); len(got) != 1 || got[0].Peer.Name != "srv" {
		t.Errorf("after one has answered: %+v", got)
	}
	w.relays(lan0Index, "10.0.0.9", from(bob, giaddr("10.9.0.1")))
	w.core.CountUnsent(addr(serverAddr), 1)
	w.core.Unreachable(w.now, addr("203.0.113.1"), 0, errors.New("no route"), &w.eff)
	w.carryOut()
	views := w.core.Peers(w.now)
	if c := views[0].Counters; c.Sent != 2 || c.Received != 1 {
		t.Errorf("srv: %+v", c)
	}
	if c := views[1].Counters; c.Received != 1 {
		t.Errorf("the relay agent: %+v", c)
	}
	if c := views[2].Counters; c.Unreachable != 1 || views[2].Failure == nil {
		t.Errorf("other: %+v", views[2])
	}
}

// A server that answers nobody falls silent, and is asked for what it owes alone.
func TestSilentServer(t *testing.T) {
	w := newWorld(t)
	w.serves(answer(w.asks(alice, from(alice)), typeOffer, true))
	for i := range byte(4) {
		c := client{lan0Index, []byte{2, 0, 0, 0, 1, i}}
		w.says(c, from(c, ofType(7))) // a RELEASE is not answered
	}
	w.sleep(time.Minute)
	if p := w.core.Peers(w.now)[0]; !p.Silent.IsZero() {
		t.Fatal("silent, although it owes nothing")
	}
	for i := range byte(4) {
		c := client{lan0Index, []byte{2, 0, 0, 0, 1, i}}
		w.says(c, from(c, ofType([]byte{typeDiscover, typeRequest, 8, typeDiscover}[i])))
	}
	w.sleep(11 * time.Second)
	p := w.core.Peers(w.now)[0]
	if p.Silent.IsZero() || len(p.Waiting) != 4 || p.Waiting[0].Link != "lan0" || !p.Waiting[0].LinkLayer.IsValid() {
		t.Fatalf("not silent: %+v", p)
	}
	// A NAK is an answer as well, although it has no ciaddr.
	c := client{lan0Index, []byte{2, 0, 0, 0, 1, 1}}
	up := w.asks(c, from(c, ofType(typeRequest), func(m *message) { m.ci = "10.0.0.9" }))
	w.delivers(lan0Index, answer(up, typeNAK, true, func(m *message) { m.ci = "" }))
	if p := w.core.Peers(w.now)[0]; !p.Silent.IsZero() || len(p.Waiting) != 3 {
		t.Errorf("after an answer: %+v", p)
	}
	w.removeLink("lan0")
	if p := w.core.Peers(w.now)[0]; len(p.Waiting) != 0 {
		t.Errorf("clients of a link that is gone wait: %+v", p.Waiting)
	}
}

// Of several servers the one is owed nothing whose answer another gives.
func TestServerThatIsNotNamedOwesNothing(t *testing.T) {
	w := newWorld(t, config(func(c *relay4.Config) { c.Peers = append(c.Peers, peer("other", "203.0.113.1")) }))
	for i := range byte(4) {
		c := client{lan0Index, []byte{2, 0, 0, 0, 1, i}}
		w.says(c, from(c, ofType(typeRequest), with(option(54, 192, 0, 2, 1))))
	}
	w.sleep(time.Minute)
	for _, p := range w.core.Peers(w.now) {
		if !p.Silent.IsZero() {
			t.Errorf("%s is silent", p.Name)
		}
	}
}

// What the engine asks of every core, and this one has nothing to say to.
func TestNothingIsKept(t *testing.T) {
	w := newWorld(t)
	if w.core.Deadline() != instant.Never {
		t.Error("something is due, although nothing has happened")
	}
	if w.core.Unkept() != 0 {
		t.Error("records are not kept")
	}
}

// Who replies are from, and who may send, is looked up anew when the configuration changes.
func TestReconfigure(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice))
	next := *w.cfg
	next.Peers = []trust.Peer{peer("next", "192.0.2.7")}
	next.Links = []relay4.LinkRule{{Match: []string{"lan1"}, HopCount: 4}}
	w.core.Reconfigure(&next, &w.eff)
	w.dropped("a server that was", w.serves(answer(up, typeOffer, true)), effect.DropUntrustedServer)
	w.dropped("a link that was", w.says(alice, from(alice)), effect.DropNotClientLink)
	if got := w.says(carol, from(carol)); len(got) != 1 || got[0].Dest.Addr() != addr("192.0.2.7") {
		t.Errorf("%+v", got)
	}
	w.dropped("its giaddr", w.relays(upIndex, "192.0.2.7", answer(up, typeOffer, true)), effect.DropNoLink)
	if l := w.core.Links(); l[1].ClientFacing || !l[2].ClientFacing {
		t.Errorf("%+v", l)
	}
	w.core.Reconfigure(w.cfg, &w.eff)
	w.delivers(lan0Index, answer(up, typeOffer, true))
}

// What a configuration would mean is told for each link that it, or the present one, has a
// rule for, and nothing changes.
func TestProspects(t *testing.T) {
	w := newWorld(t)
	next := *w.cfg
	next.Peers = append([]trust.Peer{}, w.cfg.Peers...)
	next.Peers[0].Interfaces = []string{"lan0"}
	next.Links = []relay4.LinkRule{{Match: []string{"*"}, HopCount: 9}}
	told := make(map[string][2]uint8) // hops now and then
	for _, p := range w.core.Prospects(&next) {
		var hops [2]uint8
		for i, rule := range []*relay4.LinkRule{p.Now, p.Then} {
			if rule != nil {
				hops[i] = rule.HopCount
			}
		}
		told[p.Link] = hops
	}
	// lan0 is an uplink then, and up0 is none any more.
	if diff := cmp.Diff(map[string][2]uint8{"lan0": {4, 0}, "lan1": {4, 9}, "up0": {0, 9}, "dum0": {0, 9}}, told); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	w.asks(alice, from(alice))
}

// An option of ours is removed although adding was switched off meanwhile.
func TestOptionOffMeanwhile(t *testing.T) {
	w := newWorld(t)
	up := w.asks(alice, from(alice))
	next := *w.cfg
	next.Links = append([]relay4.LinkRule(nil), w.cfg.Links...)
	next.Links[0].AgentInformation = relay4.Off
	w.core.Reconfigure(&next, &w.eff)
	w.same("the reply", w.delivers(lan0Index, answer(up, typeOffer, true)).Payload, answer(up, typeOffer, false))
}

// The rule of a link is the first that matches, and none for an uplink or a device that
// nobody is behind.
func TestRule(t *testing.T) {
	w := newWorld(t, config(func(c *relay4.Config) {
		c.Links = append(c.Links, relay4.LinkRule{Match: []string{"*"}, HopCount: 7})
	}))
	w.core.SetLink(links.Link{Index: 1, Name: "lo", HardwareType: 772, Addrs: []netip.Prefix{cidr("127.0.0.1/8")}}, &w.eff)
	w.core.SetLink(links.Link{Index: 30, Name: "blue", VRF: "blue"}, &w.eff)
	for name, want := range map[string]uint8{"lan0": 4, "lan9": 4, "eth0": 7, "dum0": 7} {
		if r := w.core.Rule(name); r == nil || r.HopCount != want {
			t.Errorf("%s: %+v, want that of %d hops", name, r, want)
		}
	}
	for _, name := range []string{"up0", "up7", "lo", "blue"} {
		if r := w.core.Rule(name); r != nil {
			t.Errorf("%s: %+v, want none", name, r)
		}
	}
}
