package server6_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/server6"
)

const informType, informedType = 36, 37

func registers(c *server6.Config) { c.Registers = true }

// informs is an ADDR-REG-INFORM from an address.
func (c client) informs(source string, options ...option) inbound.Packet {
	p := c.from(build(informType, append([]option{clientID(c.duid)}, options...)...))
	p.Source = netip.AddrPortFrom(addr(source), 546)
	return p
}

// RFC 9686 section 4.2.1: an address that a client has given itself is kept beside the leases, and
// acknowledged to that address by the same option.
func TestRFC9686_4_2_1_Registration(t *testing.T) {
	w := newWorld(t, registers)
	own := "2001:db8:1::aaaa"
	option := lasting(own, 1000, 2000)
	got := w.packet(alice.informs(own, option))
	if len(got) != 1 || got[0].Dest.Addr() != addr(own) || got[0].Payload[0] != informedType || !bytes.Contains(got[0].Payload, option(nil)) {
		t.Fatalf("answers %+v, drops %v", got, w.drops)
	}
	if got[0].After == 0 {
		t.Error("the answer does not wait until the address is kept")
	}
	held := func() (b binding.Binding) {
		for b = range w.core.Leases {
		}
		return b
	}
	if b := held(); b.Prefix.Addr() != addr(own) || b.Source != binding.Registered || !b.NoIAID || b.Client != binding.DUID(alice.duid) || w.now.Until(b.Valid) != 2000*time.Second {
		t.Errorf("kept is %+v", b)
	}
	// A refresh has a new lifetime, and 0 ends it.
	w.packet(alice.informs(own, lasting(own, 100, 3000)))
	if b := held(); w.now.Until(b.Valid) != 3000*time.Second {
		t.Errorf("after the refresh %+v", b)
	}
	w.packet(alice.informs(own, lasting(own, 0, 0)))
	if all := w.holds(); len(all) != 0 {
		t.Errorf("after the end the server has %q", all)
	}
}

// RFC 9686 section 4.1: the option that announces it is there for who asks for it.
func TestRFC9686_4_1_Announced(t *testing.T) {
	for _, on := range []bool{true, false} {
		w := newWorld(t, func(c *server6.Config) { c.Registers = on })
		if got := w.asks(alice, 11, oro(148)); got.has(148) != on {
			t.Errorf("registers %v: announced %v", on, got.has(148))
		}
		if got := w.asks(alice, 1, iaNA(1)); got.has(148) {
			t.Error("announced to who did not ask")
		}
	}
}

// RFC 9686 section 4.2.1: what a server discards.
func TestRFC9686_4_2_1_Discarded(t *testing.T) {
	w := newWorld(t, registers)
	own := "2001:db8:1::aaaa"
	option := lasting(own, 1000, 2000)
	given := w.obtains(bob, iaNA(1)).only()
	for what, p := range map[string]inbound.Packet{
		"from another address":      alice.informs("2001:db8:1::bbbb", option),
		"from a link-local address": alice.informs(alice.addr, option),
		"of another link":           alice.informs("2001:db8:77::1", lasting("2001:db8:77::1", 1, 2)),
		"without the option":        alice.informs(own),
		"with two":                  alice.informs(own, option, option),
		"with an option request":    alice.informs(own, option, oro(23)),
		"with a server identifier":  alice.informs(own, option, raw(2, []byte(serverID)...)),
		"what the server has given": bob.informs(given.Addr().String(), lasting(given.Addr().String(), 1, 2)),
	} {
		w.ignored(what, p, effect.DropInvalid)
	}
	w = newWorld(t)
	w.ignored("not configured", alice.informs(own, option), effect.DropUnknownType)
}

// An address in a prefix that the client has of the server is appropriate too. One in a pool is
// given to nobody else.
func TestRFC9686_4_2_1_InADelegatedPrefixAndInAPool(t *testing.T) {
	w := newWorld(t, registers, subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:1")))
	delegated := w.obtains(alice, iaPD(1)).only()
	inside := delegated.Addr().Next().String()
	if got := w.packet(alice.informs(inside, lasting(inside, 1000, 2000))); len(got) != 1 {
		t.Errorf("in the delegated prefix: %d answers, drops %v", len(got), w.drops)
	}
	taken := "2001:db8:1::1:0"
	w.packet(alice.informs(taken, lasting(taken, 1000, 2000)))
	if got := w.obtains(bob, iaNA(1)).onlyAddr(); got == taken {
		t.Errorf("bob got %s, which alice has", got)
	}
}
