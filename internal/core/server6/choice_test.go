package server6_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// These tests are about what differs between clients: reservations, classes, and options by place.

const (
	myAddress = "2001:db8:8::abcd"
	myPrefix  = "2001:db8:7700::/48"
)

// reserving makes a reservation of an address and a prefix in the relay agent's network, for the client
// with the identifiers.
func reserving(r server6.Reservation) func(*server6.Config) {
	r.Addresses, r.Prefixes = []netip.Addr{addr(myAddress)}, []netip.Prefix{cidr(myPrefix)}
	return subnetOf(2, func(sn *server6.Subnet) { sn.Reservations = append(sn.Reservations, r) })
}

// A reservation is for a client that matches all its identifiers, and for nobody else.
func TestReservationsByEachIdentifier(t *testing.T) {
	const relayID, otherID = "\x00\x03\x00\x01relay!", "\x00\x03\x00\x01other!"
	remote := append([]byte{0, 0, 0x7e, 0xd9}, "line 4711"...)
	all := server6.Reservation{
		DUID: dhcp6.DUID(alice.duid), LinkLayer: alice.mac, RemoteID: remote, RelayID: dhcp6.DUID(relayID), InterfaceID: []byte("eth1"),
	}
	right := []option{linkLayer(alice.mac), raw(37, remote...), raw(53, []byte(relayID)...), interfaceID("eth1")}
	for _, tc := range []struct {
		name    string
		of      server6.Reservation
		client  client
		options []option
		want    bool
	}{
		{"DUID", server6.Reservation{DUID: dhcp6.DUID(alice.duid)}, alice, nil, true},
		{"another DUID", server6.Reservation{DUID: dhcp6.DUID(alice.duid)}, bob, right, false},
		{"a longer DUID", server6.Reservation{DUID: dhcp6.DUID(alice.duid[:8])}, alice, right, false},
		{"link-layer address", server6.Reservation{LinkLayer: alice.mac}, bob, []option{linkLayer(alice.mac)}, true},
		{"another link-layer address", server6.Reservation{LinkLayer: alice.mac}, alice, []option{linkLayer(bob.mac)}, false},
		{"link-layer address that no relay agent tells", server6.Reservation{LinkLayer: alice.mac}, alice, nil, false},
		{"remote-id", server6.Reservation{RemoteID: remote}, bob, []option{raw(37, remote...)}, true},
		{"remote-id of another enterprise", server6.Reservation{RemoteID: remote}, alice, []option{raw(37, append([]byte{0, 0, 0, 1}, "line 4711"...)...)}, false},
		{"no remote-id", server6.Reservation{RemoteID: remote}, alice, nil, false},
		{"relay-id and interface-id", server6.Reservation{RelayID: dhcp6.DUID(relayID), InterfaceID: []byte("eth1")}, bob, []option{interfaceID("eth1"), raw(53, []byte(relayID)...)}, true},
		{"another relay-id", server6.Reservation{RelayID: dhcp6.DUID(relayID), InterfaceID: []byte("eth1")}, alice, []option{interfaceID("eth1"), raw(53, []byte(otherID)...)}, false},
		{"another interface-id", server6.Reservation{RelayID: dhcp6.DUID(relayID), InterfaceID: []byte("eth1")}, alice, []option{interfaceID("eth11"), raw(53, []byte(relayID)...)}, false},
		{"all", all, alice, right, true},
		{"all but the DUID", all, bob, right, false},
		{"all but the link-layer address", all, alice, right[1:], false},
		{"all but the remote-id", all, alice, append([]option{right[0]}, right[2:]...), false},
		{"all but the relay-id", all, alice, append([]option{right[3]}, right[:2]...), false},
		{"all but the interface-id", all, alice, right[:3], false},
	} {
		w := newWorld(t, reserving(tc.of))
		got := w.obtainsBy(through("2001:db8:8::1", tc.options...), tc.client, iaNA(1), iaPD(2))
		if has := got.leases() == "NA 1: "+myAddress+" 3000/4000; PD 2: "+myPrefix+" 3000/4000"; has != tc.want {
			t.Errorf("%s: %q, want the reserved ones: %v", tc.name, got.leases(), tc.want)
		}
		w.agrees()
	}
}

// A relay-id goes with the interface-id of the same relay agent: one of a relay agent nearer to the client
// may be equal by chance.
func TestRelayIDAndInterfaceIDAreOfOneRelayAgent(t *testing.T) {
	relayID := raw(53, []byte("\x00\x03\x00\x01relay!")...)
	w := newWorld(t, reserving(server6.Reservation{RelayID: dhcp6.DUID("\x00\x03\x00\x01relay!"), InterfaceID: []byte("eth1")}))
	ask := func(inner, outer []option) string {
		got := w.relays(layerOf{1, "2001:db8:8::1", outer}.around("fe80::9", layerOf{0, "::", inner}.around(alice.addr, alice.message(dhcp6.Solicit, iaNA(1)))))
		return w.read(innermost(got[0].Payload)).onlyAddr()
	}
	if got := ask([]option{interfaceID("eth1")}, []option{interfaceID("eth9"), relayID}); got == myAddress {
		t.Error("the interface-id of the lightweight relay agent counts as one of the relay agent behind it")
	}
	for _, layers := range [][2][]option{{{interfaceID("x")}, {relayID, interfaceID("eth1")}}, {{relayID, interfaceID("eth1")}, nil}} {
		if got := ask(layers[0], layers[1]); got != myAddress {
			t.Errorf("%s, want %s", got, myAddress)
		}
	}
}

// On a link of this machine the link-layer address is that of the frame. What a client writes into its
// message does not count.
func TestReservationByFrame(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{LinkLayer: alice.mac, Addresses: []netip.Addr{addr("2001:db8:1::77")}}}
	}))
	if got := w.obtains(bob, iaNA(1), linkLayer(alice.mac)).onlyAddr(); got == "2001:db8:1::77" {
		t.Error("Bob gets what is Alice's by an option in his message")
	}
	other := alice
	other.duid = "\x00\x04another"
	if got := w.obtains(other, iaNA(1)).onlyAddr(); got != "2001:db8:1::77" {
		t.Errorf("%s", got)
	}
}

// Nobody else gets what is reserved, whether it is in a pool or not, and however full the pool is.
func TestReservedIsKeptFree(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		pool("2001:db8:1::1:0", "2001:db8:1::1:ff")(sn)
		pdPool(server6.PrefixPool{Prefix: cidr("2001:db8:4000::/52"), Length: 60, Min: 56, Max: 60})(sn)
		for n := range byte(254) {
			a := netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 5: 1, 13: 1, 15: n})
			p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 4: 0x40, 6: n >> 4, 7: n << 4}), 60)
			sn.Reservations = append(sn.Reservations, server6.Reservation{DUID: dhcp6.DUID(somebody(int(n)).duid), Addresses: []netip.Addr{a}, Prefixes: []netip.Prefix{p}})
		}
	}))
	for _, c := range []client{alice, bob} { // the last two
		w.obtains(c, iaNA(1), iaPD(2))
	}
	got := w.asks(somebody(1000), dhcp6.Request, iaNA(1, named("2001:db8:1::1:7")), iaPD(2, named("2001:db8:4000:70::/60"), named("::/56")))
	if got.leases() != "NA 1: status 2; PD 2: status 6" {
		t.Errorf("%q", got.leases())
	}
	first := w.obtains(somebody(7), iaNA(1), iaPD(2))
	if want := "NA 1: 2001:db8:1::1:7 3000/4000; PD 2: 2001:db8:4000:70::/60 3000/4000"; first.leases() != want {
		t.Errorf("%q, want %q", first.leases(), want)
	}
	w.asks(somebody(7), dhcp6.Release, first.taken()...)
	if again := w.asks(somebody(1000), dhcp6.Request, iaNA(1), iaPD(2)).leases(); again != "NA 1: status 2; PD 2: status 6" {
		t.Errorf("after its client has released it: %q", again)
	}
	w.agrees()
	if p := w.core.Pools()[0]; p.Taken != 2 || p.Size != 2 { // what is for all
		t.Errorf("%+v", p)
	}
}

// A client that has another lease when a reservation is made for it gets what is reserved at its next Renew.
// A client that has what is reserved for another loses it at its next Renew.
func TestReservationIsMadeLater(t *testing.T) {
	w := newWorld(t)
	mine, others := w.obtains(alice, iaNA(1), iaPD(2)), w.obtains(bob, iaNA(1), iaPD(2))
	wanted, prefix := others.ias[0].leases[0].prefix.Addr(), others.ias[1].leases[0].prefix
	w.reconfigure(subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{wanted}, Prefixes: []netip.Prefix{prefix}}}
	}))
	// While Bob has it, Alice keeps what she has.
	if again := w.asks(alice, dhcp6.Renew, mine.taken()...); again.leases() != mine.leases() {
		t.Errorf("%q, want %q", again.leases(), mine.leases())
	}
	after := w.asks(bob, dhcp6.Renew, others.taken()...)
	for i, x := range after.ias {
		if len(x.leases) != 2 || x.leases[0].prefix != others.ias[i].leases[0].prefix || x.leases[0].valid != 0 || x.leases[1].valid == 0 {
			t.Errorf("Bob has %q, want others than %q", after.leases(), others.leases())
		}
	}
	again := w.asks(alice, dhcp6.Renew, mine.taken()...)
	for i, x := range again.ias {
		if len(x.leases) != 2 || x.leases[0].prefix != others.ias[i].leases[0].prefix || x.leases[0].valid == 0 || x.leases[1].prefix != mine.ias[i].leases[0].prefix || x.leases[1].valid != 0 {
			t.Errorf("Alice has %q, want %q in place of %q", again.leases(), others.leases(), mine.leases())
		}
	}
	w.agrees()
	if len(w.holds()) != 4 {
		t.Errorf("leases %q, want four", w.holds())
	}
	w.sleep(11 * time.Minute) // what was taken back waits so long
	for _, p := range w.core.Pools()[:2] {
		if p.Taken != 1 {
			t.Errorf("%+v, want one taken, beside what is reserved", p)
		}
	}
	// Without the reservation everybody keeps what he has.
	w.reconfigure()
	if last := w.asks(alice, dhcp6.Request, iaNA(1), iaPD(2)); last.ias[0].leases[0].prefix.Addr() != wanted || last.ias[1].leases[0].prefix != prefix {
		t.Errorf("Alice has %q, want what was reserved", last.leases())
	}
}

// A reservation may have several addresses and prefixes. Each is given once.
func TestReservationOfSeveral(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{
			DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{addr("2001:db8:1::5"), addr("2001:db8:1::1:5")},
			Prefixes: []netip.Prefix{cidr("2001:db8:7700::/48"), cidr("2001:db8:4000:500::/56")},
		}}
	}))
	got := w.obtains(alice, iaNA(1), iaPD(2), iaNA(3))
	const want = "NA 1: 2001:db8:1::5 3000/4000 2001:db8:1::1:5 3000/4000; PD 2: 2001:db8:7700::/48 3000/4000 2001:db8:4000:500::/56 3000/4000"
	if len(got.ias) != 3 || got.leases()[:len(want)] != want || len(got.ias[2].leases) != 1 {
		t.Errorf("%q, want %q and another address", got.leases(), want)
	}
	if again := w.asks(alice, dhcp6.Rebind, got.taken()...); again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	w.agrees()
}

// A reserved prefix that overlaps with what another client has is not offered while it has that.
func TestReservationOverlapsALease(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/40", 60, 56, 60))
	others := w.obtains(bob, iaPD(1))
	wide := netip.PrefixFrom(others.only().Addr(), 56).Masked()
	w.reconfigure(lengths("2001:db8:4000::/40", 60, 56, 60), subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Prefixes: []netip.Prefix{wide}}}
	}))
	got := w.obtains(alice, iaPD(1))
	if got.only().Overlaps(wide) {
		t.Errorf("%q, while Bob has %v", got.leases(), others.only())
	}
	w.asks(bob, dhcp6.Renew, others.taken()...)
	if again := w.asks(alice, dhcp6.Request, iaPD(1)); again.only() != wide {
		t.Errorf("%q, want %v", again.leases(), wide)
	}
	w.agrees()
	// And one that lies in what the client itself has.
	w = newWorld(t, lengths("2001:db8:4000::/40", 56, 56, 60))
	mine := w.obtains(alice, iaPD(1))
	narrow := netip.PrefixFrom(mine.only().Addr(), 60)
	w.reconfigure(lengths("2001:db8:4000::/40", 56, 56, 60), subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Prefixes: []netip.Prefix{narrow}}}
	}))
	for range 2 {
		w.asks(alice, dhcp6.Renew, mine.taken()...)
		w.agrees()
	}
	if !slices.Equal(w.holds(), []string{narrow.String()}) {
		t.Errorf("leases %q, want %v", w.holds(), narrow)
	}
	w.asks(alice, dhcp6.Release, iaPD(1, named(narrow.String())))
	w.sleep(11 * time.Minute)
	if p := w.core.Pools()[1]; p.Taken != 0 {
		t.Errorf("%+v", p)
	}
}

// An address that its own client has declined is not given to it again.
func TestReservedAddressIsDeclined(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Addresses: []netip.Addr{addr("2001:db8:1::5")}}}
	}))
	a := w.obtains(alice, iaNA(1)).onlyAddr()
	w.asks(alice, dhcp6.Decline, iaNA(1, named(a)))
	if got := w.obtains(alice, iaNA(1)).onlyAddr(); got == a {
		t.Errorf("she gets %s again", a)
	}
	w.agrees()
}

// A pool with a class is only for the clients of that class. Each kind of test is compared with what
// messages say.
func TestClasses(t *testing.T) {
	const enterprise = "\x00\x00\x11\x8b"
	data := func(fields ...string) (all []byte) {
		for _, f := range fields {
			all = append(append(all, 0, byte(len(f))), f...)
		}
		return all
	}
	vendor := func(fields ...string) option {
		return raw(16, append([]byte(enterprise), data(fields...)...)...)
	}
	for _, tc := range []struct {
		name   string
		tests  []server6.Test
		client []option
		relay  []option
		want   bool
	}{
		{"vendor class", []server6.Test{{Option: 16, Enterprise: 4491, Contains: []byte("docsis3.1")}}, []option{vendor("x", "docsis3.1")}, nil, true},
		{"vendor class of any enterprise", []server6.Test{{Option: 16, Contains: []byte("docsis3.1")}}, []option{vendor("docsis3.1")}, nil, true},
		{"vendor class of another enterprise", []server6.Test{{Option: 16, Enterprise: 4492, Contains: []byte("docsis3.1")}}, []option{vendor("docsis3.1")}, nil, false},
		{"a part of the vendor class", []server6.Test{{Option: 16, Contains: []byte("docsis")}}, []option{vendor("docsis3.1")}, nil, false},
		{"the second vendor class", []server6.Test{{Option: 16, Contains: []byte("b")}}, []option{vendor("a"), vendor("b")}, nil, true},
		{"a vendor class that is torn", []server6.Test{{Option: 16, Contains: []byte("docsis")}}, []option{raw(16, append([]byte(enterprise), 0, 9, 'd')...)}, nil, false},
		{"user class", []server6.Test{{Option: 15, Contains: []byte("lab")}}, []option{raw(15, data("home", "lab")...)}, nil, true},
		{"a part of the user class", []server6.Test{{Option: 15, Contains: []byte("lab")}}, []option{raw(15, data("label")...)}, nil, false},
		{"architecture", []server6.Test{{Option: 61, Contains: []byte{0, 7}}}, []option{raw(61, 0, 9, 0, 7)}, nil, true},
		{"another architecture", []server6.Test{{Option: 61, Contains: []byte{0, 7}}}, []option{raw(61, 0, 0, 7, 0)}, nil, false},
		{"relay option", []server6.Test{{Option: 38, Relay: true, Contains: []byte("gold")}}, nil, []option{raw(38, []byte("a gold b")...)}, true},
		{"relay option of the client", []server6.Test{{Option: 38, Relay: true, Contains: []byte("gold")}}, []option{raw(38, []byte("gold")...)}, nil, false},
		{"another relay option", []server6.Test{{Option: 38, Relay: true, Contains: []byte("gold")}}, nil, []option{raw(37, []byte("gold")...)}, false},
		{"all tests hold", []server6.Test{{Option: 15, Contains: []byte("lab")}, {Option: 38, Relay: true, Contains: []byte("gold")}}, []option{raw(15, data("lab")...)}, []option{raw(38, []byte("gold")...)}, true},
		{"one test does not", []server6.Test{{Option: 15, Contains: []byte("lab")}, {Option: 38, Relay: true, Contains: []byte("gold")}}, []option{raw(15, data("lab")...)}, nil, false},
	} {
		w := newWorld(t, func(c *server6.Config) { c.Classes = []server6.Class{{Name: "other"}, {Name: "c", Tests: tc.tests}} },
			subnetOf(2, func(sn *server6.Subnet) { sn.Pools[0].Class, sn.PDPools[0].Class = "c", "c" }))
		// A layer of an LDRA before the relay agent's: a test holds for any of them.
		message := layerOf{0, "::", tc.relay}.around(alice.addr, alice.message(dhcp6.Request, append(tc.client, iaNA(1), iaPD(2), iaNA(3, named("2001:db8:8::1:7")))...))
		got := w.read(innermost(w.relays(layerOf{1, "2001:db8:8::1", nil}.around("fe80::9", message))[0].Payload))
		for _, x := range got.ias {
			if (len(x.leases) == 1) != tc.want || (x.status >= 0) == tc.want {
				t.Errorf("%s: %q, want leases: %v", tc.name, got.leases(), tc.want)
				break
			}
		}
		if !tc.want {
			continue
		}
		// Who is not of the class any more loses what it has, and gets of a pool for all.
		w.reconfigure(func(c *server6.Config) { c.Classes = []server6.Class{{Name: "c", Tests: tc.tests}} }, subnetOf(2, func(sn *server6.Subnet) {
			sn.Pools[0].Class, sn.PDPools[0].Class = "c", "c"
			sn.Pools = append(sn.Pools, server6.AddressPool{First: addr("2001:db8:8::2:0"), Last: addr("2001:db8:8::2:f")})
		}))
		again := w.asksBy(through("2001:db8:8::1"), alice, dhcp6.Renew, got.taken()[0])
		if ls := again.ias[0].leases; len(ls) != 2 || ls[0].valid != 0 || !cidr("2001:db8:8::2:0/124").Contains(ls[1].prefix.Addr()) {
			t.Errorf("%s: out of the class: %q", tc.name, again.leases())
		}
		w.agrees()
	}
}

// Where several places have an option, a client gets it "from its reservation, else from its class, its
// pool, its subnet, its shared network, or" from the server (docs/reference/server6.yaml). RFC 8415 21.17d.
func TestPrecedenceOfOptions(t *testing.T) {
	var codes []int
	says := func(place string, first int) (all []server6.Option) {
		for code := first; code < 107; code++ { // 100: all places have it; 106: the first one alone
			all = append(all, server6.Option{Code: dhcp6.OptionCode(code), Data: []byte(place)})
		}
		return all
	}
	for code := 100; code < 107; code++ {
		codes = append(codes, code)
	}
	places := []string{"reservation", "class", "pool", "subnet", "network", "server"}
	config := func(reserved bool) func(*server6.Config) {
		return func(c *server6.Config) {
			c.Options = slices.Clip(says("server", 100))[:6]
			c.Classes = []server6.Class{{Name: "no", Tests: []server6.Test{{Option: 99}}, Options: says("no", 100)}, {Name: "c", Options: says("class", 100)[:2]}}
			nw := &c.Networks[0]
			nw.Options = says("network", 100)[:5]
			sn := &nw.Subnets[0]
			sn.Options = says("subnet", 100)[:4]
			sn.Pools[0].Options = says("pool", 100)[:3]
			if reserved {
				sn.Reservations = []server6.Reservation{{DUID: dhcp6.DUID(alice.duid), Options: says("reservation", 100)[:1]}}
			}
		}
	}
	w := newWorld(t, config(true))
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		got := w.asks(alice, kind, iaNA(1), oro(codes...))
		for i, code := range codes[:6] {
			if p := got.payloads(code); !slices.Equal(p, places[i:i+1]) {
				t.Errorf("%v: option %d of %q, want %q", kind, code, p, places[i])
			}
		}
		if got.has(106) {
			t.Error("an option of no place, or of a class of others")
		}
	}
	// Without a lease there is no pool.
	if got := w.asks(alice, dhcp6.InformationRequest, oro(codes...)); !slices.Equal(got.payloads(102), []string{"subnet"}) || !slices.Equal(got.payloads(100), places[:1]) {
		t.Errorf("%+v", got.options)
	}
	w.reconfigure(config(false))
	if got := w.asks(alice, dhcp6.Request, iaNA(1), oro(codes...)); !slices.Equal(got.payloads(100), places[1:2]) {
		t.Errorf("without the reservation: %q", got.payloads(100))
	}
}

// A shared network has several subnets: a client gets from the first pool that has something for it, and
// then the options and the lifetimes of that subnet.
func TestSharedNetwork(t *testing.T) {
	campus := func(c *server6.Config) {
		subnets := []server6.Subnet{c.Networks[0].Subnets[0], c.Networks[1].Subnets[0]}
		pool("2001:db8:1::1:0", "2001:db8:1::1:0")(&subnets[0])
		subnets[0].PDPools = nil
		subnets[0].Options, subnets[1].Options = []server6.Option{{Code: 23, Data: []byte("one"), Always: true}}, []server6.Option{{Code: 23, Data: []byte("two"), Always: true}}
		subnets[1].Lifetimes = server6.Lifetimes{Preferred: 100, Valid: 200, T1: 10, T2: 20}
		subnets[1].Preference, subnets[1].RapidCommit = 9, true
		c.Networks = []server6.Network{{Name: "campus", Subnets: subnets}, c.Networks[2]}
	}
	w := newWorld(t, campus)
	first := w.obtains(alice, iaNA(1))
	if first.onlyAddr() != "2001:db8:1::1:0" || !slices.Equal(first.payloads(23), []string{"one"}) || first.ias[0].t1 != 1500 {
		t.Errorf("%q, option %q, T1 %d", first.leases(), first.payloads(23), first.ias[0].t1)
	}
	offer := w.asks(bob, dhcp6.Solicit, iaNA(1))
	second := w.obtains(bob, iaNA(1))
	if !cidr("2001:db8:2::/64").Contains(second.only().Addr()) || !slices.Equal(second.payloads(23), []string{"two"}) || second.ias[0].t1 != 10 || second.ias[0].leases[0].valid != 200 || !slices.Equal(offer.payloads(7), []string{"\x09"}) {
		t.Errorf("%q, option %q, T1 %d, preference %q", second.leases(), second.payloads(23), second.ias[0].t1, offer.payloads(7))
	}
	// Both links are of the network, and so is what a relay agent tells by either subnet.
	for _, c := range []client{alice, carol} {
		for _, a := range []string{"2001:db8:1::7", "2001:db8:2::7"} {
			if got := w.asks(c, dhcp6.Confirm, iaNA(1, named(a))); got.status() != 0 {
				t.Errorf("a Confirm of %s: status %d", a, got.status())
			}
		}
	}
	for link, want := range map[string]string{"2001:db8:1::1": "one", "2001:db8:2::1": "two"} {
		if got := w.asksBy(through(link), somebody(1), dhcp6.InformationRequest); !slices.Equal(got.payloads(23), []string{want}) {
			t.Errorf("by %s options alone are %q, want %q", link, got.payloads(23), want)
		}
	}
	if got := w.asks(carol, dhcp6.InformationRequest); !slices.Equal(got.payloads(23), []string{"two"}) {
		t.Errorf("on lan1 options alone are %q, want those of its subnet", got.payloads(23))
	}
	w.agrees()
}

// A host on a link without a subnet gets no answer, until a subnet names the interface.
func TestSubnetByInterface(t *testing.T) {
	w := newWorld(t, func(c *server6.Config) { c.Networks = c.Networks[2:] })
	p := alice.from(alice.message(dhcp6.Solicit, iaNA(1)))
	w.drops = nil
	if got := w.packet(p); len(got) != 0 || w.drops[0].Reason.String() != "no-subnet" {
		t.Errorf("%d answers, dropped %v", len(got), w.drops)
	}
	w.cfg.Networks[0].Subnets[0].Interfaces = []string{"eth0", "lan?"}
	w.core.Reconfigure(w.cfg, &w.eff)
	w.carryOut()
	for _, c := range []client{alice, carol} {
		if got := w.obtains(c, iaNA(1)).only(); !cidr("2001:db8:8::/64").Contains(got.Addr()) {
			t.Errorf("%v", got)
		}
	}
	if v := w.core.Links(); len(v) != 3 || v[0].Network != "2001:db8:8::/64" || v[0].Addresses != 1 {
		t.Errorf("%+v", v)
	}
}
