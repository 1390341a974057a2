package server6_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// everything has reservations of every kind, classes, options of every place, and prefixes of several
// lengths with an exclusion, on lan0 and behind the relay agent.
func everything(c *server6.Config) {
	c.Classes = []server6.Class{
		{Name: "no", Tests: []server6.Test{{Option: 15, Contains: []byte("x")}}},
		{Name: "yes", Tests: []server6.Test{{Option: 16, Contains: []byte("docsis")}}, Options: []server6.Option{{Code: 41, Data: []byte("CET")}}},
	}
	c.Options = []server6.Option{{Code: 23, Data: make([]byte, 32), Always: true}, {Code: 17, Data: make([]byte, 20), Always: true}, {Code: 0x1234, Data: []byte("x"), Always: true}}
	for _, n := range []int{0, 2} {
		sn := &c.Networks[n].Subnets[0]
		sn.Options = []server6.Option{{Code: 82, Data: make([]byte, 4)}, {Code: 0x1235, Data: []byte("y"), Always: true}}
		sn.Pools[0].Class = "yes"
		sn.PDPools[0].Min, sn.PDPools[0].Max = 48, 60
		sn.PDPools[0].Exclude = netip.PrefixFrom(sn.PDPools[0].Prefix.Addr(), 64)
		for i := range 100 {
			r := server6.Reservation{Addresses: []netip.Addr{netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 5: []byte{1, 0, 8}[n], 13: 1, 15: byte(i)})}}
			switch i % 4 {
			case 0:
				r.DUID = dhcp6.DUID(somebody(i).duid)
			case 1:
				r.LinkLayer = somebody(i).mac
			case 2:
				r.RemoteID = fmt.Appendf([]byte{0, 0, 0, 1}, "line %d", i)
			case 3:
				r.RelayID, r.InterfaceID = dhcp6.DUID("\x00\x03\x00\x01relay!"), fmt.Appendf(nil, "eth%d", i)
			}
			sn.Reservations = append(sn.Reservations, r)
		}
	}
}

// asking are what a Solicit has beside its IAs.
var asking = []option{raw(8, 0, 0), raw(16, append([]byte{0, 0, 0x11, 0x8b, 0, 6}, "docsis"...)...), oro(82, 23, 41, 67)}

// solicits are Solicits of clients that have nothing, have a lease, have a reservation, and name what
// they want, direct and relayed.
func solicits(w *world) map[string]inbound.Packet {
	all := make(map[string]inbound.Packet)
	renewing := w.asks(bob, dhcp6.Request, append(asking, iaNA(1), iaPD(2))...)
	for name, m := range map[string]struct {
		c   client
		ias []option
	}{
		"new":      {alice, []option{iaNA(1), iaPD(2)}},
		"hints":    {alice, []option{iaNA(1, named("2001:db8:1::1:abc")), iaPD(2, named("::/52")), iaPD(3, named("2001:db8:4012:3000::/60"))}},
		"several":  {alice, []option{iaPD(2, named("::/52"), named("::/60"), named("::/52")), iaPD(3, named("2001:db8:4012:3000::/60"), named("2001:db8:4013:3000::/60"))}},
		"known":    {bob, renewing.taken()},
		"reserved": {somebody(0), []option{iaNA(1)}},
		"too much": {alice, []option{iaNA(1), iaNA(2), iaNA(3), iaNA(4), iaNA(5), iaNA(6), iaNA(7), iaNA(8), iaNA(9)}},
		"no class": {alice, nil},
	} {
		payload := m.c.message(dhcp6.Solicit, append(asking, m.ias...)...)
		if name == "no class" {
			payload = m.c.message(dhcp6.Solicit, iaNA(1), iaPD(2))
		}
		all[name] = m.c.from(payload)
		all["relayed, "+name] = fromRelay(layerOf{1, "::", []option{interfaceID("up")}}.around("fe80::9", layerOf{0, "2001:db8:8::1", []option{
			interfaceID("eth3"), raw(37, append([]byte{0, 0, 0, 1}, "line 2"...)...), raw(53, []byte("\x00\x03\x00\x01relay!")...), linkLayer(m.c.mac), raw(43, 0, 37),
		}}.around(m.c.addr, payload)))
	}
	return all
}

// A Solicit and its Advertise cost no allocation.
func TestSolicitAllocatesNothing(t *testing.T) {
	for _, change := range [][]func(*server6.Config){nil, {everything}} {
		w := newWorld(t, change...)
		for name, p := range solicits(w) {
			allocs := testing.AllocsPerRun(100, func() {
				w.eff.Reset()
				for range 32 { // a batch
					w.core.Handle(w.now, &p, &w.eff)
				}
			})
			if len(w.eff.Sends) != 32 || len(w.eff.Changes) != 0 || allocs != 0 {
				t.Errorf("%s: %v allocations in a batch of 32, want none (%d answers, dropped %v)", name, allocs, len(w.eff.Sends), w.eff.Drops)
			}
		}
	}
}

// So do messages that are dropped, and those to which nothing can be given.
func TestRefusingAllocatesNothing(t *testing.T) {
	w := newWorld(t, subnet(two))
	w.obtains(alice, iaNA(1), iaPD(2))
	w.obtains(bob, iaNA(1), iaPD(2))
	for name, p := range map[string]inbound.Packet{
		"full":       somebody(1).from(somebody(1).message(dhcp6.Solicit, iaNA(1), iaPD(2))),
		"full, hint": somebody(1).from(somebody(1).message(dhcp6.Solicit, iaPD(2, named("::/60")))),
		"other":      alice.from(build(dhcp6.Request, clientID(alice.duid), raw(2, 0, 3, 0, 1, 9))),
		"Confirm":    alice.from(alice.message(dhcp6.Confirm, iaNA(1, named("2001:db8:2::1")))),
		"options":    alice.from(alice.message(dhcp6.InformationRequest, oro(23))),
	} {
		if allocs := testing.AllocsPerRun(100, func() {
			w.eff.Reset()
			for range 32 {
				w.core.Handle(w.now, &p, &w.eff)
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations in a batch of 32", name, allocs)
		}
	}
}

// heap is how much memory is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A flood of Requests that get nothing leaves memory as it was, also of clients that accept Reconfigures: the
// way to a client is remembered while it has leases. So do those whose leases could not be kept.
func TestFloodOfRequests(t *testing.T) {
	for name, full := range map[string]bool{"full": true, "not kept": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, subnetOf(2, pool("2001:db8:8::1:0", "2001:db8:8::1:0")))
			if full {
				w.obtainsBy(through("2001:db8:8::1"), bob, iaNA(1))
			} else {
				w.keepErr = errStoreDown
			}
			flood := func(n int) {
				for i := range n {
					c := somebody(i)
					w.relays(through("2001:db8:8::1", linkLayer(c.mac)).around(c.addr, c.message(dhcp6.Request, accepts, iaNA(1))))
					w.sent, w.held, w.notes, w.drops, w.order = w.sent[:0], w.held[:0], w.notes[:0], w.drops[:0], w.order[:0]
				}
			}
			flood(1000)
			before := heap()
			flood(5000)
			if grown := heap() - before; grown > 256<<10 {
				t.Errorf("the heap grew by %d octets", grown)
			}
			runtime.KeepAlive(w)
		})
	}
}

// A flood of Solicits with random DUIDs, hints and addresses leaves memory as it was, and takes nothing.
func TestFloodOfSolicits(t *testing.T) {
	w := newWorld(t, everything)
	flood := func(n int) {
		for i := range n {
			c := somebody(i + 1000)
			p := c.from(c.message(dhcp6.Solicit, append(asking, iaNA(uint32(i)), iaPD(uint32(i), named("::/56")))...))
			w.eff.Reset()
			w.core.Handle(w.now, &p, &w.eff)
			if len(w.eff.Sends) != 1 {
				t.Fatalf("dropped %v", w.eff.Drops)
			}
		}
	}
	flood(1000)
	before := heap()
	flood(50_000)
	if grown := heap() - before; grown > 64<<10 {
		t.Errorf("the heap grew by %d octets", grown)
	}
	for _, p := range w.core.Pools() {
		if p.Taken != 0 {
			t.Errorf("%+v", p)
		}
	}
	if w.core.Deadline() != instant.Never || len(w.holds()) > 0 {
		t.Error("something is left")
	}
	runtime.KeepAlive(w)
}
