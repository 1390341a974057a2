package relay6_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// held is what alice holds in the tests about claims, and another is what the server may
// give instead.
const (
	held    = "2001:db8:100::/56"
	another = "2001:db8:200::/56"
)

var (
	aliceHas = "lan0 2001:db8:100::/56 via fe80::a for 10m0s"
	bobHas   = "lan0 2001:db8:100::/56 via fe80::b for 15m0s"
)

// claims is a link on which alice was given a prefix.
func claims(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(alice, iaPD(1, prefix(held, 600)))
	return w
}

// toBob is the server's grant of what alice holds to bob.
func (w *world) toBob() []effect.Send {
	w.Helper()
	return w.exchange(bob, dhcp6.Request, iaPD(7, prefix(held, 900)))
}

// asked are the prefixes that the probes which are out ask for; the probes are all of
// alice.
func (w *world) asked() (prefixes []netip.Prefix) {
	w.Helper()
	for _, p := range w.probes {
		if want := (binding.NextHop{Link: "lan0", Addr: addr(alice.addr), LinkLayer: alice.mac}); p.NextHop != want {
			w.Fatalf("probe of %+v, want %+v", p.NextHop, want)
		}
		prefixes = append(prefixes, p.Prefix)
	}
	return prefixes
}

// renews is a Renew that names prefixes, as it is forwarded.
func (w *world) renews(c client, xid uint32, named ...string) (forwarded []byte) {
	w.Helper()
	var inner []option
	for _, p := range named {
		inner = append(inner, prefix(p, 0))
	}
	up := w.says(c, message(dhcp6.Renew, xid, clientID(c.duid), iaPD(1, inner...)))
	if len(up) == 0 {
		w.Fatalf("the Renew was not forwarded: %v", w.drops)
	}
	return up[0].Payload
}

// answered is the Reply to what was forwarded.
func (w *world) answered(forwarded []byte, c client, xid uint32, options ...option) []effect.Send {
	return w.serves(w.answer(forwarded, message(dhcp6.Reply, xid, append([]option{clientID(c.duid), raw(dhcp6.OptionServerID, 0, 3, 0, 1, 9)}, options...)...)))
}

// RFC 8987 R-1: a Release was not heard while the relay was down, and the server gives
// the prefix to another. The old holder is there, but uses the prefix no more: the grant
// moves. While it uses the prefix, it keeps it.
func TestHolderThatIsThereAndUsesNothing(t *testing.T) {
	for _, uses := range []bool{false, true} {
		w := claims(t)
		w.restart()
		if got := w.toBob(); len(got) != 0 {
			t.Fatalf("%d datagrams before the question was answered", len(got))
		}
		if got := w.asked(); !slices.Equal(got, []netip.Prefix{cidr(held)}) {
			t.Fatalf("asked for %v, want whether alice uses %s", got, held)
		}
		if got := w.probed(uses); len(got) != 1 {
			t.Fatalf("uses %v: %d datagrams, want the Reply", uses, len(got))
		}
		if uses {
			w.wants(aliceHas)
		} else {
			w.wants(bobHas)
			w.wantRoutes(held, "2001:db8:100::/56 via fe80::b dev 10 table 254 metric 1024")
		}
	}
}

// Whether the holder uses its prefix is asked only where that can tell something.
func TestWhenUseIsAsked(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*world)
		asks   func(*world)
		alive  bool // that the next hop answers decides, and not whether it uses the prefix
	}{
		{"another client", nil, nil, false},
		{"the holder has just named it in a Renew", func(w *world) { w.renews(alice, 1, held) }, nil, true},
		{"a minute ago", func(w *world) { w.renews(alice, 1, held); w.sleep(59 * time.Second) }, nil, true},
		{"more than a minute ago", func(w *world) { w.renews(alice, 1, held); w.sleep(60 * time.Second) }, nil, false},
		{"the holder has named another", func(w *world) { w.renews(alice, 1, another) }, nil, false},
		{"somebody else has named it in a Renew", func(w *world) { w.renews(client{alice.link, alice.duid, alice.addr, bob.mac}, 1, held) }, nil, false},
		{"a Release of somebody else was forwarded", func(w *world) {
			w.says(client{alice.link, alice.duid, bob.addr, bob.mac}, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix(held, 0))))
		}, nil, true},
		{"one that names no prefix, on another link", func(w *world) {
			w.says(client{lan1Index, alice.duid, bob.addr, bob.mac}, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1)))
		}, nil, true},
		{"and the holder has renewed since", func(w *world) {
			w.says(client{alice.link, alice.duid, bob.addr, bob.mac}, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix(held, 0))))
			w.renews(alice, 2, held)
			w.sleep(time.Minute)
		}, nil, false},
		{"the holder's own DUID", nil, func(w *world) {
			w.exchange(client{bob.link, alice.duid, bob.addr, bob.mac}, dhcp6.Request, iaPD(7, prefix(held, 900)))
		}, true},
	} {
		w := claims(t)
		if c.before != nil {
			c.before(w)
		}
		if c.asks == nil {
			c.asks = func(w *world) { w.toBob() }
		}
		c.asks(w)
		want := []netip.Prefix{cidr(held)}
		if c.alive {
			want = []netip.Prefix{{}}
		}
		if got := w.asked(); !slices.Equal(got, want) {
			t.Errorf("%s: asked for %v, want %v", c.name, got, want)
		}
	}
}

// A holder whose link-layer address is not known is told by nothing that it sends: that
// it answers decides.
func TestUseOfAHolderWithoutALinkLayerAddress(t *testing.T) {
	w := newWorld(t, movePolicy(delegation.MoveProbe))
	w.lease(client{alice.link, alice.duid, alice.addr, linkaddr.Addr{}}, iaPD(1, prefix(held, 600)))
	w.toBob()
	if len(w.probes) != 1 || w.probes[0].Prefix.IsValid() {
		t.Errorf("probes %+v, want one that asks for no prefix", w.probes)
	}
}

// A Renew that comes while the filter is asked: now the holder claims the prefix, and
// is asked whether it is there.
func TestRenewWhileUseIsAsked(t *testing.T) {
	w := claims(t)
	w.toBob()
	w.renews(alice, 1, held)
	w.probed(false)
	if got := w.asked(); !slices.Equal(got, []netip.Prefix{{}}) {
		t.Fatalf("asked for %v, want whether alice is there", got)
	}
	w.probed(true)
	w.wants(aliceHas)
}

// RFC 8987 R-1: the server answers a Renew with NoBinding, or gives another prefix
// instead. That ends nothing. When it gives the prefix to another later, that moves, and
// nobody is asked. The prefix is not given up any more when the holder gets the prefix again.
func TestGivenUp(t *testing.T) {
	noBinding := func(w *world) {
		w.answered(w.renews(alice, 5, held), alice, 5, iaPD(1, status(dhcp6.StatusNoBinding)))
	}
	for _, c := range []struct {
		name    string
		renewed func(*world)
		moves   bool
	}{
		{"NoBinding", noBinding, true},
		{"NoBinding to a Rebind", func(w *world) {
			up := w.says(alice, message(dhcp6.Rebind, 5, clientID(alice.duid), iaPD(1, prefix(held, 0))))
			w.answered(up[0].Payload, alice, 5, iaPD(1, status(dhcp6.StatusNoBinding)))
		}, true},
		{"NoBinding, then another prefix", func(w *world) {
			noBinding(w)
			w.lease(alice, iaPD(1, prefix(another, 600)))
		}, true},
		{"another prefix in its place", func(w *world) {
			w.answered(w.renews(alice, 5, held), alice, 5, iaPD(1, prefix(another, 600)))
		}, true},
		{"another prefix beside it", func(w *world) {
			w.answered(w.renews(alice, 5, held), alice, 5, iaPD(1, prefix(another, 600), prefix(held, 600)))
		}, false},
		{"no prefix and no status", func(w *world) { w.answered(w.renews(alice, 5, held), alice, 5, iaPD(1)) }, false},
		{"no IA", func(w *world) { w.answered(w.renews(alice, 5, held), alice, 5) }, false},
		{"another status", func(w *world) {
			w.answered(w.renews(alice, 5, held), alice, 5, iaPD(1, status(dhcp6.StatusUnspecFail)))
		}, false},
		{"a status of the whole Reply", func(w *world) {
			w.answered(w.renews(alice, 5, held), alice, 5, status(dhcp6.StatusUnspecFail), iaPD(1, status(dhcp6.StatusNoBinding)))
		}, false},
		{"NoBinding of another IA", func(w *world) {
			w.answered(w.renews(alice, 5, held), alice, 5, iaPD(2, status(dhcp6.StatusNoBinding)))
		}, false},
		{"NoBinding in the answer to a message before", func(w *world) {
			before := w.renews(alice, 4, another)
			w.renews(alice, 5, held)
			w.answered(before, alice, 4, iaPD(1, status(dhcp6.StatusNoBinding)))
		}, false},
		{"NoBinding to a Renew that names another", func(w *world) {
			w.answered(w.renews(alice, 5, another), alice, 5, iaPD(1, status(dhcp6.StatusNoBinding)))
		}, false},
		{"NoBinding to a Request", func(w *world) {
			up := w.says(alice, message(dhcp6.Request, 5, clientID(alice.duid), iaPD(1, prefix(held, 0))))
			w.answered(up[0].Payload, alice, 5, iaPD(1, status(dhcp6.StatusNoBinding)))
		}, false},
		{"NoBinding to somebody with the holder's DUID", func(w *world) {
			thief := client{alice.link, alice.duid, bob.addr, bob.mac}
			w.answered(w.renews(thief, 5, held), thief, 5, iaPD(1, status(dhcp6.StatusNoBinding)))
		}, false},
		{"granted again", func(w *world) {
			noBinding(w)
			w.lease(alice, iaPD(1, prefix(held, 600)))
		}, false},
		{"renewed again", func(w *world) {
			noBinding(w)
			w.answered(w.renews(alice, 6, held), alice, 6, iaPD(1, prefix(held, 600)))
		}, false},
	} {
		w := claims(t)
		c.renewed(w)
		if d, ok := w.holder(held); !ok || d.NextHop != addr(alice.addr) {
			t.Fatalf("%s: %s is held by %+v, want alice", c.name, held, d)
		}
		w.toBob()
		d, _ := w.holder(held)
		if moved := d.NextHop == addr(bob.addr); moved != c.moves || moved == (len(w.probes) > 0) {
			t.Errorf("%s: moved %v, want %v; %d probes", c.name, moved, c.moves, len(w.probes))
		}
	}
}

// A Release in the holder's name frees the lease at the server, which gives the prefix to
// who sent it. The route stays while the holder answers, until the server tells the holder
// in the answer to its Renew; then it moves, and nobody is asked. A relay that was started
// again, or has panicked, does not know of the Release, and asks whether the holder uses
// the prefix.
func TestReleasedByAnotherAndTaken(t *testing.T) {
	for name, forget := range map[string]func(*world){
		"":        nil,
		"restart": (*world).restart,
		"panic":   func(w *world) { w.succeed(func() {}) },
	} {
		w := claims(t)
		w.says(client{alice.link, alice.duid, bob.addr, bob.mac}, message(dhcp6.Release, 1, clientID(alice.duid), iaPD(1, prefix(held, 0))))
		if forget != nil {
			forget(w)
			w.toBob()
			if got := w.asked(); !slices.Equal(got, []netip.Prefix{cidr(held)}) {
				t.Errorf("%s: asked for %v, want whether alice uses %s", name, got, held)
			}
			continue
		}
		w.toBob()
		if got := w.asked(); !slices.Equal(got, []netip.Prefix{{}}) {
			t.Fatalf("asked for %v, want whether alice is there", got)
		}
		w.probed(true)
		w.wants(aliceHas)
		w.answered(w.renews(alice, 2, held), alice, 2, iaPD(1, status(dhcp6.StatusNoBinding)))
		w.wants(aliceHas)
		w.probes = nil
		w.toBob()
		if got := w.asked(); len(got) != 0 {
			t.Errorf("asked for %v, want no question", got)
		}
		w.wants(bobHas)
	}
}

// What is given up goes to another client: one with the holder's own DUID may have
// copied it.
func TestGivenUpIsNotForACopiedDUID(t *testing.T) {
	w := claims(t)
	w.answered(w.renews(alice, 5, held), alice, 5, iaPD(1, status(dhcp6.StatusNoBinding)))
	w.exchange(client{bob.link, alice.duid, bob.addr, bob.mac}, dhcp6.Request, iaPD(7, prefix(held, 900)))
	if got := w.asked(); !slices.Equal(got, []netip.Prefix{{}}) {
		t.Errorf("asked for %v, want whether alice is there", got)
	}
}

// Only the server that has granted a prefix can say that it no longer does.
func TestGivenUpByAnotherServer(t *testing.T) {
	const other = "2001:db8:ffff::2"
	w := newWorld(t, movePolicy(delegation.MoveProbe), func(c *relay6.Config) { c.Peers = append(c.Peers, server("another", other)) })
	grants := func(c client, lease option) {
		up := w.says(c, message(dhcp6.Request, 0xabc, clientID(c.duid)))
		w.serves(w.answer(up[0].Payload, w.reply(c, lease)))
	}
	grants(alice, iaPD(1, prefix(held, 600)))
	inner := message(dhcp6.Reply, 5, clientID(alice.duid), raw(dhcp6.OptionServerID, 0, 3, 0, 1, 8), iaPD(1, status(dhcp6.StatusNoBinding)))
	w.packet(inbound.Packet{Link: upIndex, Source: netip.AddrPortFrom(addr(other), 547), Dest: addr(localAddr), Payload: w.answer(w.renews(alice, 5, held), inner)})
	if got := w.core.Peers(w.now); !slices.ContainsFunc(got, func(p peers.View) bool { return p.Name == "another" && p.Answered }) {
		t.Fatalf("the other server's Reply was not taken: %+v", got)
	}
	grants(bob, iaPD(7, prefix(held, 900)))
	if len(w.asked()) != 1 {
		t.Errorf("%d probes, want one", len(w.probes))
	}
	w.wants(aliceHas)
}
