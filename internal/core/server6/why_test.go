package server6_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// explains is what the server says of a client, line by line. The explanation changes nothing.
func (w *world) explains(q server6.Question) (lines []string) {
	w.Helper()
	before, kept := w.holds(), maps.Clone(w.store)
	pools := w.core.Pools()
	all, err := w.core.Explain(q)
	if err != nil {
		return []string{err.Error()}
	}
	if w.carryOut(); !slices.Equal(before, w.holds()) || len(kept) != len(w.store) || !slices.Equal(pools, w.core.Pools()) {
		w.Errorf("after a question the server has %v and the pools %+v, before it %v and %+v", w.holds(), w.core.Pools(), before, pools)
	}
	say := func(format string, values ...any) { lines = append(lines, fmt.Sprintf(format, values...)) }
	for _, e := range all {
		say("%s: %s, leased %v", e.Link, e.Subnet, e.Leased)
		if len(e.Classes) > 0 || e.Excludes {
			say("classes %v, excludes %v", e.Classes, e.Excludes)
		}
		if e.Reservation != nil {
			say("reserved by %q %q, taken to be behind: %v", string(e.Reservation.DUID), e.Reservation.RemoteID, e.TakenToBeBehind)
		}
		for _, p := range e.Registered {
			say("registered %v", p)
		}
		for _, x := range e.IAs {
			say("%s %d%s", x.Kind, x.IAID, strings.TrimRight(" "+x.Limit.String(), " "))
			for _, l := range x.Leases {
				say("- %s: %s%s", l.Prefix, l.By, l.Obstacle)
			}
			for _, p := range x.Pools {
				what := p.Obstacle.String()
				switch {
				case p.Gives:
					what = "gives"
				case what == "":
					what = "has room"
				}
				say("  pool %s: %s", nameOf(p.Pool), what)
			}
		}
		if e.Obstacle != server6.None {
			say("not %s: %s", q.Prefix, e.Obstacle)
		}
	}
	return lines
}

// nameOf is a pool by its first address, or its prefix.
func nameOf(p effect.Pool) string {
	if p.Prefix.IsValid() {
		return p.Prefix.String()
	}
	return p.First.String()
}

// wantWhy checks what the server says of a client.
func (w *world) wantWhy(when string, q server6.Question, want ...string) {
	w.Helper()
	if got := w.explains(q); !slices.Equal(got, want) {
		w.Errorf("%s: the server says\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func of(c client) server6.Question { return server6.Question{Client: dhcp6.DUID(c.duid)} }

// voip is a class of clients that name it in their user class.
func voip(c *server6.Config) {
	c.Classes = []server6.Class{{Name: "voip", Tests: []server6.Test{{Option: dhcp6.OptionUserClass, Contains: []byte("voip")}}}}
}

// threePools makes the pools of lan0: one of a class, one of two addresses, and one more.
var threePools = subnet(func(sn *server6.Subnet) {
	sn.Pools = []server6.AddressPool{
		{First: addr("2001:db8:1::2:0"), Last: addr("2001:db8:1::2:ff"), Class: "voip"},
		{First: addr("2001:db8:1::1:0"), Last: addr("2001:db8:1::1:1")},
		{First: addr("2001:db8:1::3:0"), Last: addr("2001:db8:1::3:ff")},
	}
	sn.PDPools = nil
})

// The pool of the client's lease is shown among all others of its network. For each of the others the reason
// is shown why the client has no lease of it.
func TestWhyThisPool(t *testing.T) {
	w := newWorld(t, voip, threePools)
	first := w.obtains(alice, iaNA(7)).only()
	w.wantWhy("its pool has room", of(alice), "lan0: 2001:db8:1::/64, leased true", "address 7", "- "+first.String()+": held",
		"  pool 2001:db8:1::2:0: other-class", "  pool 2001:db8:1::1:0: gives", "  pool 2001:db8:1::3:0: has room")
	w.obtains(bob, iaNA(1))
	third := w.obtains(somebody(1), iaNA(1)).only()
	w.wantWhy("the second pool is full", of(somebody(1)), "lan0: 2001:db8:1::/64, leased true", "address 1", "- "+third.String()+": held",
		"  pool 2001:db8:1::2:0: other-class", "  pool 2001:db8:1::1:0: full", "  pool 2001:db8:1::3:0: gives")
	w.wantWhy("the class is named", server6.Question{Client: dhcp6.DUID(carol.duid), Link: "lan0", Classes: []string{"voip"}},
		"lan0: 2001:db8:1::/64, leased false", "classes [voip], excludes false", "address 1", "- "+w.would(carol, iaNA(1), raw(15, 0, 4, 'v', 'o', 'i', 'p')).only().String()+": found",
		"  pool 2001:db8:1::2:0: gives", "  pool 2001:db8:1::1:0: full", "  pool 2001:db8:1::3:0: has room", "prefix 1")
}

// would is what a client on lan0 is offered.
func (w *world) would(c client, options ...option) answer {
	c.link = lan0Index
	return w.asks(c, dhcp6.Solicit, options...)
}

// A client with a lease from the pool of a class is assumed to be of that class.
func TestWhyOfAClass(t *testing.T) {
	w := newWorld(t, voip, threePools)
	class := raw(15, 0, 4, 'v', 'o', 'i', 'p')
	offer := w.asks(alice, dhcp6.Solicit, iaNA(1), class)
	got := w.asks(alice, dhcp6.Request, append(offer.taken(), class)...).only()
	w.wantWhy("of voip", of(alice), "lan0: 2001:db8:1::/64, leased true", "classes [voip], excludes false", "address 1", "- "+got.String()+": held",
		"  pool 2001:db8:1::2:0: gives", "  pool 2001:db8:1::1:0: has room", "  pool 2001:db8:1::3:0: has room")
	w.reconfigure(voip, subnet(func(sn *server6.Subnet) { sn.PDPools = nil }))
	w.wantWhy("after the pool is gone", of(alice), "lan0: 2001:db8:1::/64, leased true", "address 1", "- "+got.String()+": no-pool",
		"- "+w.instead(alice).String()+": found", "  pool 2001:db8:1::1:0: gives")
}

// instead is the lease that a client gets in place of its only one when it renews that.
func (w *world) instead(c client) netip.Prefix {
	w.Helper()
	all, err := w.core.Explain(of(c))
	if err != nil || len(all) != 1 || len(all[0].IAs) != 1 || len(all[0].IAs[0].Leases) != 2 {
		w.Fatalf("%+v (%v), want one IA with two leases", all, err)
	}
	return all[0].IAs[0].Leases[1].Prefix
}

// A Renew gives what was explained before it.
func TestWhyIsWhatARenewBrings(t *testing.T) {
	w := newWorld(t)
	had := w.obtains(alice, iaNA(1), iaPD(2))
	w.reconfigure(subnet(pool("2001:db8:1::7:0", "2001:db8:1::7:ff")), subnet(pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:7000::/40"), Length: 56, Min: 56, Max: 56})))
	all, err := w.core.Explain(of(alice))
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v (%v), want one link", all, err)
	}
	renewed := w.asks(alice, dhcp6.Renew, had.taken()...)
	for i, x := range renewed.ias {
		for j, l := range x.leases {
			told := all[0].IAs[i].Leases[j]
			if told.Prefix != l.prefix || (told.By == 0) != (l.valid == 0) || (told.Obstacle == server6.NoPool) != (l.valid == 0) {
				t.Errorf("explained %+v, and the Renew brought %+v", told, l)
			}
		}
		if len(x.leases) != 2 || len(all[0].IAs[i].Leases) != 2 {
			t.Errorf("IA %d: explained %+v, and the Renew brought %+v, want one that ends and one in its place", x.id, all[0].IAs[i].Leases, x.leases)
		}
	}
}

// Of a client without a lease, the server explains what it would get if it asked: on a named link, or behind
// the relay agent with a link-address.
func TestWhyWithoutALease(t *testing.T) {
	w := newWorld(t)
	offered := w.asks(bob, dhcp6.Solicit, iaNA(1), iaPD(1))
	at := of(bob)
	w.wantWhy("nobody says where", at, server6.ErrNoLease.Error())
	at.Link = "lan9"
	w.wantWhy("there is no such link", at, server6.ErrNoLink.Error())
	at.Link = "up0"
	w.wantWhy("no subnet is for the link", at, "up0: invalid Prefix, leased false")
	at.Link = "lan0"
	w.wantWhy("on lan0", at, "lan0: 2001:db8:1::/64, leased false",
		"address 1", "- "+offered.ias[0].leases[0].prefix.String()+": found", "  pool 2001:db8:1::1:0: gives",
		"prefix 1", "- "+offered.ias[1].leases[0].prefix.String()+": found", "  pool 2001:db8:4000::/40: gives")
	behind := w.asksBy(through("2001:db8:8::1"), bob, dhcp6.Solicit, iaNA(1), iaPD(1))
	at = server6.Question{Client: dhcp6.DUID(bob.duid), LinkAddress: addr("2001:db8:8::1")}
	want := []string{
		"network/2001:db8:8::/64: 2001:db8:8::/64, leased false",
		"address 1", "- " + behind.ias[0].leases[0].prefix.String() + ": found", "  pool 2001:db8:8::1:0: gives",
		"prefix 1", "- " + behind.ias[1].leases[0].prefix.String() + ": found", "  pool 2001:db8:6000::/40: gives",
	}
	w.wantWhy("behind a relay agent", at, want...)
	w.wantWhy("in the network", server6.Question{Client: dhcp6.DUID(bob.duid), Link: "network/2001:db8:8::/64"}, want...)
	at.LinkAddress = addr("2001:db8:77::1")
	w.wantWhy("behind a relay agent of no subnet", at, server6.ErrNoLink.Error())
}

// For a client on two links there is an explanation for each.
func TestWhyOnTwoLinks(t *testing.T) {
	w := newWorld(t)
	one := w.obtains(alice, iaNA(1)).only()
	two := w.obtainsBy(through("2001:db8:8::1"), alice, iaPD(3)).only()
	w.wantWhy("on both", of(alice),
		"lan0: 2001:db8:1::/64, leased true", "address 1", "- "+one.String()+": held", "  pool 2001:db8:1::1:0: gives",
		"network/2001:db8:8::/64: 2001:db8:8::/64, leased true", "prefix 3", "- "+two.String()+": held", "  pool 2001:db8:6000::/40: gives")
	only := of(alice)
	only.Link = "lan0"
	w.wantWhy("on one", only, "lan0: 2001:db8:1::/64, leased true", "address 1", "- "+one.String()+": held", "  pool 2001:db8:1::1:0: gives")
}

// A reservation is shown with its identifiers, also with those that a relay agent adds.
func TestWhyReserved(t *testing.T) {
	own := cidr("2001:db8:1::5/128")
	remote := []byte("\x00\x00\x7e\xd9port 7")
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.PDPools = nil
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{own.Addr(), addr("2001:db8:1::6")}}}
	}), subnetOf(2, func(sn *server6.Subnet) {
		sn.PDPools = nil
		sn.Reservations = []server6.Reservation{{RemoteID: remote, Addresses: []netip.Addr{addr("2001:db8:8::5")}}}
	}))
	if got := w.obtains(alice, iaNA(1)).leases(); !strings.Contains(got, "2001:db8:1::5 ") || !strings.Contains(got, "2001:db8:1::6 ") {
		t.Fatalf("got %s", got)
	}
	w.wantWhy("by DUID", of(alice), "lan0: 2001:db8:1::/64, leased true", fmt.Sprintf("reserved by %q %q, taken to be behind: false", alice.duid, ""),
		"address 1", "- 2001:db8:1::5/128: reserved", "- 2001:db8:1::6/128: reserved", "  pool 2001:db8:1::1:0: has room")
	at := through("2001:db8:8::1", raw(37, remote...))
	w.obtainsBy(at, bob, iaNA(1))
	w.wantWhy("by remote-id", of(bob), "network/2001:db8:8::/64: 2001:db8:8::/64, leased true", fmt.Sprintf("reserved by %q %q, taken to be behind: true", "", remote),
		"address 1", "- 2001:db8:8::5/128: reserved", "  pool 2001:db8:8::1:0: has room")
	// The client that the remote-id is of has got what is reserved: the next one there gets another.
	other := w.obtainsBy(at, carol, iaNA(1)).only()
	w.wantWhy("another behind the same", of(carol), "network/2001:db8:8::/64: 2001:db8:8::/64, leased true",
		"address 1", "- "+other.String()+": held", "  pool 2001:db8:8::1:0: gives")
	wants := of(bob)
	wants.Link, wants.Prefix = "lan0", own
	w.wantWhy("another client asks for it", wants, "lan0: 2001:db8:1::/64, leased false", "address 1", "- "+w.would(bob, iaNA(1)).only().String()+": found",
		"  pool 2001:db8:1::1:0: gives", "prefix 1", "not "+own.String()+": no-pool")
}

// A reserved lease that the client does not get is shown with the reason.
func TestWhyNotWhatIsReserved(t *testing.T) {
	mine := addr("2001:db8:1::1:5")
	reserve := subnet(func(sn *server6.Subnet) {
		sn.PDPools = nil
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{mine}}}
	})
	w := newWorld(t, subnet(func(sn *server6.Subnet) { sn.PDPools = nil }))
	w.asks(bob, dhcp6.Request, iaNA(1, named(mine.String())))
	w.reconfigure(reserve)
	head := []string{"lan0: 2001:db8:1::/64, leased false", fmt.Sprintf("reserved by %q %q, taken to be behind: false", alice.duid, ""), "address 1"}
	at := of(alice)
	at.Link = "lan0"
	found := "- " + w.asks(alice, dhcp6.Solicit, iaNA(1)).only().String() + ": found"
	rest := "  pool 2001:db8:1::1:0: gives"
	w.wantWhy("another client has it", at, append(head, found, "- 2001:db8:1::1:5/128: held-by-another", rest, "prefix 1")...)
	w.asks(bob, dhcp6.Decline, iaNA(1, named(mine.String())))
	w.wantWhy("another client has declined it", at, append(head, found, "- 2001:db8:1::1:5/128: declined", rest, "prefix 1")...)
	// bob's own lease is not his any more at his next Renew.
	w.reconfigure(subnet(func(sn *server6.Subnet) { sn.PDPools = nil }))
	two := w.asks(bob, dhcp6.Request, iaNA(2, named("2001:db8:1::1:6"))).only()
	w.reconfigure(subnet(func(sn *server6.Subnet) {
		sn.PDPools = nil
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{two.Addr()}}}
	}))
	if got := w.explains(of(bob)); len(got) < 3 || got[2] != "- "+two.String()+": reserved-for-another" {
		t.Errorf("of what is reserved for another the server says %q", got)
	}
}

// An operator may ask why a client does not get a certain lease.
func TestWhyNotThisLease(t *testing.T) {
	w := newWorld(t, voip, limits(func(p *delegation.Policy) { p.ClientLimit = 2 }), subnet(func(sn *server6.Subnet) {
		sn.PDPools = nil
		sn.Pools = append(sn.Pools, server6.AddressPool{First: addr("2001:db8:1::2:0"), Last: addr("2001:db8:1::2:ff"), Class: "voip"})
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID("\x00\x03\x00\x01reserved"), Addresses: []netip.Addr{addr("2001:db8:1::1:7")}}}
	}))
	asksFor := func(c client, what string) { w.asks(c, dhcp6.Request, iaNA(1, named(what))) }
	asksFor(bob, "2001:db8:1::1:1")
	asksFor(somebody(1), "2001:db8:1::1:2")
	w.asks(somebody(1), dhcp6.Decline, iaNA(1, named("2001:db8:1::1:2")))
	asksFor(somebody(2), "2001:db8:1::1:3")
	w.clears(delegation.Selection{Client: binding.DUID(somebody(2).duid)})
	for what, want := range map[string]string{
		"2001:db8:1::1:1/128": "held-by-another", "2001:db8:1::1:2/128": "declined", "2001:db8:1::1:3/128": "waits-for-another", "2001:db8:1::1:7/128": "reserved-for-another",
		"2001:db8:1::2:1/128": "other-class", "2001:db8:1::9:1/128": "no-pool", "2001:db8:2::1:1/128": "no-pool", "2001:db8:4000::/56": "no-pool", "2001:db8:1::1:8/128": "",
	} {
		q := of(alice)
		q.Link, q.Prefix = "lan0", cidr(what)
		last := w.explains(q)
		got := last[len(last)-1]
		if text := "not " + what + ": " + want; want != "" && got != text || want == "" && strings.HasPrefix(got, "not ") {
			t.Errorf("%s: the server says %q, want %q", what, got, want)
		}
		named := slices.ContainsFunc(last, func(line string) bool { return line == "- "+what+": named" })
		if named != (want == "") {
			t.Errorf("%s: %q", what, last)
		}
	}
	w.obtains(alice, iaNA(1), iaNA(2))
	q := of(alice)
	q.Prefix = cidr("2001:db8:1::1:8/128")
	if got := w.explains(q); got[len(got)-1] != "not 2001:db8:1::1:8/128: limit" {
		t.Errorf("of one more than it may have the server says %q", got)
	}
	q = of(alice)
	q.Prefix = w.obtains(alice, iaNA(1), iaNA(2)).ias[0].leases[0].prefix
	if got := w.explains(q); strings.HasPrefix(got[len(got)-1], "not ") {
		t.Errorf("of what it has the server says %q", got)
	}
}

// For prefixes, it matters which length the client asks for, and whether it supports Prefix Exclude.
func TestWhyThisPrefix(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.Pools = nil
		sn.PDPools = []server6.PrefixPool{
			{Prefix: cidr("2001:db8:4000::/40"), Length: 56, Min: 56, Max: 56, Exclude: cidr("2001:db8:4000:0:ff::/80")},
			{Prefix: cidr("2001:db8:5000::/47"), Length: 48, Min: 48, Max: 48},
			{Prefix: cidr("2001:db8:7000::/40"), Length: 56, Min: 52, Max: 60},
		}
	}))
	got := w.obtains(alice, iaPD(1, named("::/56"))).only()
	w.wantWhy("a /56", of(alice), "lan0: 2001:db8:1::/64, leased true", "prefix 1", "- "+got.String()+": held",
		"  pool 2001:db8:4000::/40: exclude-unknown", "  pool 2001:db8:5000::/47: length", "  pool 2001:db8:7000::/40: gives")
	w.obtains(bob, iaPD(1, named("::/48")), iaPD(2, named("::/48")))
	q := of(carol)
	q.Link, q.Prefix = "lan0", cidr("::/48")
	w.wantWhy("a /48, of which none is left", q, "lan0: 2001:db8:1::/64, leased false", "address 1", "prefix 1", "- "+w.would(carol, iaPD(1, named("::/48"))).only().String()+": found",
		"  pool 2001:db8:4000::/40: exclude-unknown", "  pool 2001:db8:5000::/47: full", "  pool 2001:db8:7000::/40: gives")
	knows := oro(67)
	offer := w.asks(somebody(1), dhcp6.Solicit, iaPD(9), knows)
	with := w.asks(somebody(1), dhcp6.Request, append(offer.taken(), knows)...).only()
	w.wantWhy("with Prefix Exclude", of(somebody(1)), "lan0: 2001:db8:1::/64, leased true", "classes [], excludes true", "prefix 9", "- "+with.String()+": held",
		"  pool 2001:db8:4000::/40: gives", "  pool 2001:db8:5000::/47: length", "  pool 2001:db8:7000::/40: has room")
}

// Limits are shown, and addresses that a client has chosen itself.
func TestWhyLimitAndRegistered(t *testing.T) {
	w := newWorld(t, limits(func(p *delegation.Policy) { p.ClientLimit = 1 }), func(c *server6.Config) { c.Registers = true })
	got := w.obtains(alice, iaNA(1)).only()
	w.asks(alice, dhcp6.Request, iaNA(1, named(got.Addr().String())), iaNA(2))
	if had := w.holds(); len(had) != 1 {
		t.Fatalf("the client has %v, want one lease", had)
	}
	w.reconfigure(limits(func(p *delegation.Policy) { p.ClientLimit = 0 }))
	q := of(bob)
	q.Link = "lan0"
	w.wantWhy("a limit of none", q, "lan0: 2001:db8:1::/64, leased false", "address 1 limit-client", "  pool 2001:db8:1::1:0: has room", "prefix 1 limit-client", "  pool 2001:db8:4000::/40: has room")
	w.reconfigure(func(c *server6.Config) { c.Registers = true })
	self := carol
	self.link, self.addr = lan0Index, "2001:db8:1::abcd"
	w.says(self, self.message(dhcp6.AddrRegInform, lasting("2001:db8:1::abcd", 100, 200)))
	q = of(self)
	q.Link = "lan0"
	if got := w.explains(q); len(got) < 2 || got[1] != "registered 2001:db8:1::abcd/128" {
		t.Errorf("of an address that its client has registered the server says %q", got)
	}
}

// The two errors of Explain differ.
func TestExplainErrors(t *testing.T) {
	w := newWorld(t)
	if _, err := w.core.Explain(of(alice)); !errors.Is(err, server6.ErrNoLease) {
		t.Errorf("a client without a lease: %v", err)
	}
}
