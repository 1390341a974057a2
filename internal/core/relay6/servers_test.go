package relay6_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

func twoServers(c *relay6.Config) {
	c.Forward = peers.First
	c.Peers = append(c.Peers, server("srv2", "2001:db8:ffff::5"))
}

// to are the servers that a Solicit goes to.
func (w *world) to() (names []string) {
	for _, s := range w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid))) {
		names = append(names, s.Peer.Name)
	}
	return names
}

func (w *world) speaks(from string) {
	b := relayed(dhcp6.RelayReply, 0, "2001:db8:1::1", alice.addr, message(dhcp6.Advertise, 1), interfaceID("lan0"))
	w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr(from), 547), Payload: b})
}

func TestForwardFirst(t *testing.T) {
	w := newWorld(t, twoServers)
	both, one, two := []string{"srv", "srv2"}, []string{"srv"}, []string{"srv2"}
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"nobody has answered yet", func() {}, both},
		{"the second answers", func() { w.speaks("2001:db8:ffff::5") }, two},
		{"the first answers as well", func() { w.speaks(serverAddr) }, one},
		{"one client has no answer", func() {
			for range 20 {
				w.to()
				w.sleep(time.Minute)
			}
		}, one},
		{"four clients, for ten seconds", func() { w.crowd(0, 4); w.sleep(10 * time.Second) }, two},
		{"still silent: now and then it is tried", func() { w.sleep(time.Minute); w.speaks("2001:db8:ffff::5") }, both},
		{"and not again at once", func() {}, two},
		{"the first is back", func() { w.speaks(serverAddr) }, one},
		{"the second is not tried: it stands behind", func() { w.sleep(time.Minute); w.speaks(serverAddr) }, one},
	}
	for _, s := range steps {
		s.do()
		if got := w.to(); !slices.Equal(got, s.want) {
			t.Errorf("%s: sent to %q, want %q", s.name, got, s.want)
		}
	}
	view := w.core.Peers(w.now)
	if len(view) != 2 || view[0].Name != "srv" || !view[0].Preferred || view[1].Preferred || view[0].LastType != dhcp6.Advertise {
		t.Errorf("peers in view: %+v", view)
	}
}

func TestForwardAll(t *testing.T) {
	w := newWorld(t, twoServers, func(c *relay6.Config) { c.Forward = peers.All })
	w.speaks(serverAddr)
	if got := w.to(); !slices.Equal(got, []string{"srv", "srv2"}) {
		t.Errorf("sent to %q, want both", got)
	}
}

// A link-local server is reached on its own link, and waited for while that is
// away.
func TestLinkLocalServer(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) {
		c.Peers[0].Address, c.Peers[0].Prefix, c.Peers[0].Zone = addr("fe80::5"), netip.PrefixFrom(addr("fe80::5"), 128), "up0"
		c.Peers[0].Local = netip.Addr{}
	})
	got := w.says(alice, message(dhcp6.Solicit, 1))
	if len(got) != 1 || got[0].Link != upIndex || got[0].Dest.String() != "[fe80::5]:547" {
		t.Errorf("sends %+v, want one to [fe80::5]:547 on %d", got, upIndex)
	}
	w.removeLink("up0")
	if got := w.says(alice, message(dhcp6.Solicit, 1)); len(got) != 0 || w.dropped(effect.DropNoServer) != 1 {
		t.Errorf("without its link: %+v, drops %v", got, w.drops)
	}
}

// A relay below that is configured is answered from the address that it knows,
// and only on its own interfaces.
func TestConfiguredRelayBelow(t *testing.T) {
	w := newWorld(t, func(c *relay6.Config) {
		c.Peers = append(c.Peers, trust.Peer{
			Name: "below", Address: addr("2001:db8:7::1"), Prefix: cidr("2001:db8:7::/64"), Local: addr("2001:db8:2::1"),
			Role: trust.Relay, Interfaces: []string{"lan1"}, Protection: trust.ProtectionNone,
		})
	})
	up := w.forwards("2001:db8:7::9", 547, relayed(dhcp6.RelayForward, 0, "2001:db8:8::1", "fe80::1", message(dhcp6.Solicit, 1)))
	if len(up) != 1 {
		t.Fatalf("%d datagrams, want 1 (drops %v)", len(up), w.drops)
	}
	down := w.serves(w.answer(up[0].Payload, message(dhcp6.Advertise, 1)))
	if len(down) != 1 || !down[0].ToPeer || down[0].Source != addr("2001:db8:2::1") || down[0].Peer == nil || down[0].Peer.Name != "below" {
		t.Errorf("down: %+v, want to peer below from 2001:db8:2::1", down)
	}
}

// The largest message that fits is relayed, one octet more is too big.
func TestTooBig(t *testing.T) {
	w := newWorld(t)
	up := w.says(alice, message(dhcp6.Solicit, 1))
	overhead := len(up[0].Payload) - 4
	const largest = 65535 - 8
	for size, want := range map[int]int{largest - overhead: 1, largest - overhead + 1: 0, largest: 0} {
		payload := make([]byte, size)
		payload[0] = byte(dhcp6.Solicit)
		got := w.says(alice, payload)
		if len(got) != want {
			t.Errorf("a message of %d octets: %d datagrams, want %d", size, len(got), want)
		}
		if want == 1 && len(got[0].Payload) != largest {
			t.Errorf("a message of %d octets became %d, want %d", size, len(got[0].Payload), largest)
		}
	}
	if n := w.dropped(effect.DropTooBig); n != 2 {
		t.Errorf("%d drops for too big, want 2", n)
	}
}

// Sources that no client can have.
func TestBadSources(t *testing.T) {
	w := newWorld(t, relayPeer("fe80::99"))
	for _, source := range []string{"::", "ff02::1:2", "::1"} {
		c := alice
		c.addr = source
		w.says(c, message(dhcp6.Solicit, 1))
		w.forwards(source, 547, relayed(dhcp6.RelayForward, 0, "::", "fe80::1", message(dhcp6.Solicit, 1)))
	}
	if n := w.dropped(effect.DropBadSource); n != 6 || len(w.sent) != 0 {
		t.Errorf("%d drops for a bad source, want 6; sent %+v", n, w.sent)
	}
	if w.says(alice, nil); w.dropped(effect.DropEmpty) != 1 {
		t.Errorf("an empty datagram: drops %v", w.drops)
	}
	if w.serves([]byte{13, 0, 1}); w.dropped(effect.DropMalformed) != 1 {
		t.Errorf("a torn Relay-reply: drops %v", w.drops)
	}
	if w.forwards("fe80::99", 547, []byte{12}); w.dropped(effect.DropMalformed) != 2 {
		t.Errorf("a torn Relay-forward: drops %v", w.drops)
	}
}

// Every reason of a drop has a name of its own.
func TestDropNames(t *testing.T) {
	seen := make(map[string]bool)
	for d := range effect.DropCount {
		name := effect.Drop(d).String()
		if name == "" || seen[name] {
			t.Errorf("drop %d is called %q", d, name)
		}
		seen[name] = true
	}
}
