package server6_test

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// tellsOfPools are the notes of pools since it was called last, in words.
func (w *world) tellsOfPools() (all []string) {
	for _, n := range w.notes {
		if n.Kind == effect.NotePool {
			all = append(all, n.Text+": "+n.Pool.Subnet.String())
		}
	}
	w.notes = nil
	return all
}

// wantTold checks what was told of pools since it was called last.
func (w *world) wantTold(when string, want ...string) {
	w.Helper()
	if got := w.tellsOfPools(); !slices.Equal(got, want) {
		w.Errorf("%s: told %q, want %q", when, got, want)
	}
}

const (
	nearlyFull = "pool is nearly full: 2001:db8:1::/64"
	roomAgain  = "pool has room again: 2001:db8:1::/64"
)

// tenAddresses makes a pool of ten addresses, of which none is reserved.
var tenAddresses = subnet(pool("2001:db8:1::1:10", "2001:db8:1::1:19"))

// An operator is told once when 90 % of a pool are taken, and once more when less than 80 % are.
func TestPoolNearlyFull(t *testing.T) {
	w := newWorld(t, tenAddresses)
	var all []answer
	for i := range 8 {
		all = append(all, w.obtains(somebody(i), iaNA(1)))
	}
	w.wantTold("8 of 10 are taken")
	all = append(all, w.obtains(somebody(8), iaNA(1)))
	w.wantTold("9 of 10 are taken", nearlyFull)
	all = append(all, w.obtains(somebody(9), iaNA(1)))
	w.wantTold("all are taken")
	gives := func(i int) { w.asks(somebody(i), dhcp6.Release, all[i].taken()...) }
	gives(9)
	gives(8)
	w.wantTold("8 of 10 are taken again")
	all[8] = w.obtains(somebody(8), iaNA(1))
	w.wantTold("9 of 10 are taken again")
	gives(8)
	gives(7)
	w.wantTold("7 of 10 are taken", roomAgain)
	for i := 7; i < 9; i++ {
		w.obtains(somebody(i), iaNA(1))
	}
	w.wantTold("9 of 10 are taken once more", nearlyFull)
}

// A Solicit takes nothing, and so nothing is told of.
func TestPoolNearlyFullByGrants(t *testing.T) {
	w := newWorld(t, tenAddresses)
	for i := range 8 {
		w.obtains(somebody(i), iaNA(1))
	}
	w.asks(somebody(8), dhcp6.Solicit, iaNA(1), iaNA(2))
	w.wantTold("two more are offered")
}

// What is reserved is no part of a pool: of ten addresses of which five are reserved five are
// left, and all of them have to be taken.
func TestPoolNearlyFullWithReservations(t *testing.T) {
	w := newWorld(t, tenAddresses, subnet(func(sn *server6.Subnet) {
		r := server6.Reservation{DUID: dhcp6.DUID("\x00\x03\x00\x01reserved")}
		for _, a := range []string{"2001:db8:1::1:10", "2001:db8:1::1:11", "2001:db8:1::1:12", "2001:db8:1::1:13", "2001:db8:1::1:14"} {
			r.Addresses = append(r.Addresses, addr(a))
		}
		sn.Reservations = []server6.Reservation{r}
	}))
	for i := range 4 {
		w.obtains(somebody(i), iaNA(1))
	}
	w.wantTold("4 of 5 are taken")
	w.obtains(somebody(4), iaNA(1))
	w.wantTold("all 5 are taken", nearlyFull)
}

// Ends that no message brings are looked at too: of leases that expired, when they have waited
// for their clients, and of those that an operator ends.
func TestPoolHasRoomAgain(t *testing.T) {
	w := newWorld(t, tenAddresses)
	for i := range 9 {
		w.obtains(somebody(i), iaNA(1))
	}
	w.wantTold("9 of 10 are taken", nearlyFull)
	w.clears(delegation.Selection{All: true})
	w.wantTold("all were cleared, and wait until their clients may not use them any more")
	w.sleep(lifetimes.Valid.Duration())
	w.wantTold("they wait no more", roomAgain)
}

// A reload tells nothing that was told before, and tells what it changes. A start tells of
// pools that are nearly full.
func TestPoolNearlyFullAfterReload(t *testing.T) {
	w := newWorld(t, tenAddresses)
	for i := range 9 {
		w.obtains(somebody(i), iaNA(1))
	}
	w.wantTold("9 of 10 are taken", nearlyFull)
	w.reconfigure(tenAddresses)
	w.wantTold("after a reload that changes nothing")
	w.reconfigure(subnet(pool("2001:db8:1::1:0", "2001:db8:1::1:ffff")))
	w.wantTold("after a reload that makes another, larger pool")
	w.reconfigure(tenAddresses)
	w.wantTold("after a reload with the small pool again", nearlyFull)
	w.restart()
	w.wantTold("after a restart", nearlyFull)
	w.reconfigure(tenAddresses, subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID("\x00\x03\x00\x01reserved"), Addresses: []netip.Addr{w.free()}}}
	}))
	w.asks(somebody(0), dhcp6.Release, w.obtains(somebody(0), iaNA(1)).taken()...)
	w.wantTold("8 of 9 are taken, after a reload with a reservation")
	w.asks(somebody(1), dhcp6.Release, w.obtains(somebody(1), iaNA(1)).taken()...)
	w.wantTold("7 of 9 are taken", roomAgain)
}

// free is the only address of the ten that nobody has.
func (w *world) free() netip.Addr {
	for a := addr("2001:db8:1::1:10"); ; a = a.Next() {
		if !slices.Contains(w.holds(), netip.PrefixFrom(a, 128).String()) {
			return a
		}
	}
}
