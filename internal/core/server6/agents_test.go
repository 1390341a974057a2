package server6_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// relayID is option 53.
func relayID(duid string) option { return raw(53, []byte(duid)...) }

const (
	accessID = "\x00\x03\x00\x01access"
	ldraID   = "\x00\x03\x00\x01ldra-1"
)

// agents are the relay agents that the server remembers, in words without times.
func (w *world) agents() (all []string) {
	known := w.core.Agents()
	for _, x := range known {
		where := "behind"
		if x.Nearest {
			where = "is"
		}
		all = append(all, fmt.Sprintf("%q %s %s: from %v, links %v, %d hops, %d messages", string(x.RelayID), where, x.Peer, x.Addresses, x.LinkAddresses, x.Hops, x.Messages))
	}
	return all
}

// Each relay agent of a chain is remembered: by its relay-id or by its address, with the links that
// it names. Of a Lightweight DHCPv6 Relay Agent, which sends from its client's address, no address is.
func TestRelayAgents(t *testing.T) {
	w := newWorld(t)
	ldra := layerOf{0, "::", []option{interfaceID("port 7"), relayID(ldraID)}}
	lower := func(link string) layerOf { return layerOf{1, link, []option{interfaceID("eth7")}} }
	upper := layerOf{2, "::", []option{relayID(accessID)}}
	start := w.now.Wall
	for _, link := range []string{"2001:db8:8::1", "2001:db8:8::2", "2001:db8:8::1"} {
		w.relays(upper.around("2001:db8:aaaa::1", lower(link).around(alice.addr, ldra.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1))))))
		w.sleep(time.Minute)
	}
	w.asksBy(through("2001:db8:8::1"), bob, dhcp6.Solicit, iaNA(1))
	if got, want := w.agents(), []string{
		`"\x00\x03\x00\x01access" is access: from [2001:db8:ffff::7], links [], 2 hops, 3 messages`,
		`"" behind access: from [2001:db8:aaaa::1], links [2001:db8:8::1 2001:db8:8::2], 1 hops, 3 messages`,
		`"\x00\x03\x00\x01ldra-1" behind access: from [], links [], 0 hops, 3 messages`,
		`"" is access: from [2001:db8:ffff::7], links [2001:db8:8::1], 0 hops, 1 messages`,
	}; !slices.Equal(sortedTexts(got), sortedTexts(want)) {
		t.Errorf("got %q, want %q", got, want)
	}
	known := w.core.Agents()
	for _, x := range known {
		first, last := start, start.Add(2*time.Minute)
		if x.Messages == 1 {
			first, last = start.Add(3*time.Minute), start.Add(3*time.Minute)
		}
		if !x.First.Equal(first) || !x.Last.Equal(last) {
			t.Errorf("%q was heard from %v to %v, want from %v to %v", x.RelayID, x.First, x.Last, first, last)
		}
	}
}

// What is remembered outlives a panic of the core, and no start.
func TestRelayAgentsAfterAPanic(t *testing.T) {
	w := newWorld(t)
	w.asksBy(through("2001:db8:8::1"), alice, dhcp6.Solicit, iaNA(1))
	before := w.agents()
	next := server6.New(w.cfg, w.bootID)
	next.Succeed(w.core)
	w.start(next)
	if got := w.agents(); len(before) != 1 || !slices.Equal(got, before) {
		t.Errorf("the successor knows %q, its predecessor knew %q", got, before)
	}
	w.restart()
	if got := w.agents(); got != nil {
		t.Errorf("after a start the server knows %q", got)
	}
}

// What is kept of clients in it is nothing: no address, no DUID, no interface-id, no remote-id, no
// subscriber-id, no identifier of the access network.
func TestRelayAgentsAreNoClients(t *testing.T) {
	w := newWorld(t)
	secrets := []option{interfaceID("secret port"), raw(37, append([]byte{0, 0, 0, 1}, "secret line"...)...), raw(38, []byte("secret person")...), raw(106, []byte("secret cell")...), linkLayer(alice.mac)}
	w.relays(layerOf{1, "::", secrets}.around(alice.addr, layerOf{0, "2001:db8:8::1", secrets}.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))))
	if got, want := w.agents(), []string{
		`"" behind access: from [], links [2001:db8:8::1], 0 hops, 1 messages`,
		`"" is access: from [2001:db8:ffff::7], links [], 1 hops, 1 messages`,
	}; !slices.Equal(sortedTexts(got), want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A malformed relay-id is none. A message that is dropped for another reason shows the relay agents
// all the same; one whose layers cannot be read, or that comes from no peer, shows none.
func TestRelayAgentsOfOddMessages(t *testing.T) {
	w := newWorld(t)
	w.relays(through("2001:db8:9::1", relayID("x")).around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1))))
	if got, want := w.agents(), []string{`"" is access: from [2001:db8:ffff::7], links [2001:db8:9::1], 0 hops, 1 messages`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	cut := through("2001:db8:8::1", relayID(accessID)).around(alice.addr, alice.message(dhcp6.Solicit))
	w.relays(cut[:len(cut)-1])
	stranger := fromRelay(cut)
	stranger.Source = netip.MustParseAddrPort("[2001:db8:ffff::8]:547")
	w.packet(stranger)
	if got := w.agents(); len(got) != 1 {
		t.Errorf("got %q, want the first one alone", got)
	}
}

// A relay agent with many links has the newest eight.
func TestRelayAgentWithManyLinks(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.relays(through(fmt.Sprintf("2001:db8:8::%d", i+1), relayID(accessID)).around(alice.addr, alice.message(dhcp6.Solicit)))
	}
	known := w.core.Agents()
	if len(known) != 1 || fmt.Sprint(known[0].LinkAddresses) != "[2001:db8:8::3 2001:db8:8::4 2001:db8:8::5 2001:db8:8::6 2001:db8:8::7 2001:db8:8::8 2001:db8:8::9 2001:db8:8::10]" {
		t.Errorf("got %+v", known)
	}
}

// A flood of forged chains through one peer removes no relay agent of another peer, and not that peer,
// which is heard with each of them. What goes is counted, and memory does not grow.
func TestFloodOfForgedChains(t *testing.T) {
	const other = "2001:db8:ffff::8"
	w := newWorld(t, func(c *server6.Config) { c.Peers = append(c.Peers, relayPeer("other", other)) })
	if c := w.cfg.Peers[1]; c.Role != trust.Relay {
		t.Fatal(c)
	}
	honest := fromRelay(layerOf{1, "::", nil}.around("2001:db8:bbbb::1", through("2001:db8:8::1").around(bob.addr, bob.message(dhcp6.Solicit))))
	honest.Source = netip.MustParseAddrPort("[" + other + "]:547")
	w.packet(honest)
	before := int64(0)
	const room, forged = 4096, 20_000
	for i := range forged {
		if i == room {
			before = heap()
		}
		id := fmt.Sprintf("\x00\x02forged %d", i)
		p := fromRelay(layerOf{1, "::", nil}.around("2001:db8:aaaa::1", through("2001:db8:8::1", relayID(id)).around(alice.addr, alice.message(dhcp6.Solicit))))
		w.eff.Reset()
		w.core.Handle(w.now, &p, &w.eff)
	}
	if grown := heap() - before; grown > 256<<10 {
		t.Errorf("the heap grew by %d octets", grown)
	}
	known, forgotten := w.core.Heard()
	if want := uint64(forged + 3 - room); known != room || len(w.core.Agents()) != room || forgotten != want {
		t.Errorf("%d relay agents, %d forgotten, want %d and %d", known, forgotten, room, want)
	}
	texts := w.agents()
	for _, want := range []string{
		`"" is access: from [2001:db8:ffff::7], links [], 1 hops, 20000 messages`,
		`"" is other: from [2001:db8:ffff::8], links [], 1 hops, 1 messages`,
		`"" behind other: from [2001:db8:bbbb::1], links [2001:db8:8::1], 0 hops, 1 messages`,
		`"\x00\x02forged 19999" behind access: from [2001:db8:aaaa::1], links [2001:db8:8::1], 0 hops, 1 messages`,
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is missing", want)
		}
	}
	runtime.KeepAlive(w)
}

func sortedTexts(all []string) []string { return slices.Sorted(slices.Values(all)) }
