package server6_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// lengths is a subnet with a pool of prefixes of several lengths.
func lengths(prefix string, length, least, most int) func(*server6.Config) {
	return subnet(pdPool(server6.PrefixPool{Prefix: cidr(prefix), Length: length, Min: least, Max: most}))
}

// RFC 8168 section 3.2: "if the client included only a prefix-length hint in the message, the server SHOULD
// first check its prefix pool for a prefix with a length matching the prefix-length hint value [...]. If the
// server does not have a prefix with a length matching the prefix-length hint value, then the server SHOULD
// provide the prefix whose length is shorter and closest to the prefix-length hint value." RFC 8168 3.2b, 3.2c,
// 3.2d and 3.2e.
func TestRFC8168_3_2a_LengthHint(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.PDPools = []server6.PrefixPool{
			{Prefix: cidr("2001:db8:b000::/36"), Length: 48, Min: 44, Max: 48},
			{Prefix: cidr("2001:db8:c000::/40"), Length: 62, Min: 60, Max: 63},
			{Prefix: cidr("2001:db8:a000::/40"), Length: 56, Min: 56, Max: 56},
		}
	}))
	for hint, want := range map[int]int{
		0: 48, 1: 44, 43: 44, 44: 44, 45: 45, 46: 46, 48: 48, 49: 48, 55: 48, 56: 56, 57: 56, 59: 56, 60: 60, 61: 61, 63: 63, 64: 63, 128: 63,
	} {
		if got := w.asks(alice, dhcp6.Solicit, iaPD(1, named(fmt.Sprintf("::/%d", hint)))).only(); got.Bits() != want {
			t.Errorf("::/%d: %v, want %d bits", hint, got, want)
		}
	}
	// The length of a prefix that is not available is a hint as well, and one by itself comes before it.
	if got := w.asks(alice, dhcp6.Solicit, iaPD(1, named("2001:db8:7777::/61"))).only(); got.Bits() != 61 {
		t.Errorf("%v, want 61 bits", got)
	}
	if got := w.asks(alice, dhcp6.Solicit, iaPD(1, named("2001:db8:7777::/61"), named("::/56"))).only(); got.Bits() != 56 {
		t.Errorf("%v, want 56 bits", got)
	}
	// A prefix that can be given comes before every length.
	if got := w.asks(alice, dhcp6.Solicit, iaPD(1, named("::/56"), named("2001:db8:c000:10::/61"))).only(); got != cidr("2001:db8:c000:10::/61") {
		t.Errorf("%v, want the prefix that is named", got)
	}
}

// Where nothing that is as large is left, the client gets what is next to it.
func TestShorterIsExhausted(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/52", 56, 52, 60))
	for n := range 16 { // a /60 in each /56
		w.obtains(somebody(n), iaPD(1, named(fmt.Sprintf("2001:db8:4000:%x00::/60", n))))
	}
	for hint, want := range map[string]int{"::/52": 57, "::/56": 57, "::/60": 60, "::/0": 57} {
		if got := w.asks(alice, dhcp6.Solicit, iaPD(1, named(hint))).only(); got.Bits() != want {
			t.Errorf("%s: %v, want %d bits", hint, got, want)
		}
	}
	if got := w.asks(alice, dhcp6.Solicit, iaPD(1)).only(); got.Bits() != 57 {
		t.Errorf("without a hint: %v, want 57 bits", got)
	}
	w.obtains(alice, iaPD(1, named("::/52")))
	w.agrees()
}

// RFC 8168 section 3.2: a length alone counts "regardless of the prefix record from previous interactions
// with the client". What it had ends when it takes the other one.
func TestRFC8168_3_2a_AnotherLengthThanBefore(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/40", 56, 48, 60))
	had := w.obtains(alice, iaPD(1)).only()
	if same := w.asks(alice, dhcp6.Solicit, iaPD(1)).only(); same != had {
		t.Errorf("without a hint: %v, want %v", same, had)
	}
	if same := w.asks(alice, dhcp6.Solicit, iaPD(1, named("::/56"))).only(); same != had {
		t.Errorf("with the length that it has: %v, want %v", same, had)
	}
	if same := w.asks(alice, dhcp6.Solicit, iaPD(1, named(had.String()), named("::/48"))).only(); same != had {
		t.Errorf("with its own prefix beside a length: %v, want %v", same, had)
	}
	offer := w.asks(alice, dhcp6.Solicit, iaPD(1, named("::/48")))
	if offer.only().Bits() != 48 || len(w.holds()) != 1 {
		t.Errorf("offered %q, want one with 48 bits; leases %q", offer.leases(), w.holds())
	}
	got := w.asks(alice, dhcp6.Request, offer.taken()...)
	if got.leases() != offer.leases() || !slices.Equal(w.holds(), []string{offer.only().String()}) {
		t.Errorf("offered %q, given %q; leases %q", offer.leases(), got.leases(), w.holds())
	}
	w.agrees()
	// The length that is nearest counts.
	if same := w.asks(alice, dhcp6.Solicit, iaPD(1, named("::/64"))); same.only().Bits() != 60 {
		t.Errorf("%q, want the nearest length", same.leases())
	}
	if same := w.asks(alice, dhcp6.Renew, got.taken()...).only(); same != got.only() {
		t.Errorf("a Renew gets %v, want %v", same, got.only())
	}
}

// RFC 8168 section 3.5: of a Renew with the prefix that it has and a length, the server may "extend the
// lifetime of the original delegated prefix". RFC 8415 18.3.4d, RFC 7550 4.4.8b, and RFC 8168 3.5a and 3.5c:
// where it has none, the length is a hint.
func TestRFC8168_3_5b_RenewWithAHint(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/40", 56, 48, 60))
	had := w.obtains(alice, iaPD(1))
	for _, kind := range []dhcp6.MessageType{dhcp6.Renew, dhcp6.Rebind} {
		if got := w.asks(alice, kind, iaPD(1, named(had.only().String()), named("::/48"))); got.leases() != had.leases() {
			t.Errorf("%v: %q, want %q", kind, got.leases(), had.leases())
		}
	}
	// One of a client without a binding gets the length that it asks for, also beside the prefix that another
	// server gave.
	for n, ask := range [][]option{{named("::/60")}, {named("2001:db8:7777::/56"), named("::/60")}, {named("::/60"), named(had.only().String())}} {
		got := w.asks(somebody(n), dhcp6.Renew, iaPD(1, ask...)).ias[0].leases
		if last := got[len(got)-1]; last.prefix.Bits() != 60 || last.valid != 4000 {
			t.Errorf("%d: %+v, want one of 60 bits", n, got)
		}
	}
	// Where what the client has cannot be extended, it gets the length that it asks for.
	w.reconfigure(lengths("2001:db8:5000::/40", 56, 48, 60))
	if got := w.asks(alice, dhcp6.Renew, iaPD(1, named(had.only().String()), named("::/48"))).ias[0].leases; len(got) != 2 || got[0].valid != 0 || got[1].prefix.Bits() != 48 {
		t.Errorf("%+v, want what it had with 0, and one of 48 bits", got)
	}
}

// Section 18.3.9: the server "MAY use the prefix contained in the "IPv6-prefix" field and/or the prefix length
// contained in the "prefix-length" field as hints about the prefixes the client would like to receive": of two
// it gives two.
func TestRFC8415_18_3_9j_SeveralHints(t *testing.T) {
	bits := func(a answer) (all []int) {
		for _, l := range a.ias[0].leases {
			if l.valid > 0 {
				all = append(all, l.prefix.Bits())
			}
		}
		return all
	}
	const ours = "2001:db8:4012:3400::/56"
	for _, tc := range []struct {
		name string
		asks []string
		want []int
	}{
		{"lengths", []string{"::/60", "::/56", "::/60"}, []int{60, 56, 60}},
		{"lengths that there are not", []string{"::/40", "::/64", "::/64"}, []int{48, 60, 60}},
		{"prefixes", []string{ours, "2001:db8:4077::/48"}, []int{56, 48}},
		{"a prefix, and a length in case there is not", []string{ours, "::/60"}, []int{56}},
		{"a prefix that there is not, and a length for that case", []string{"2001:db8:7777::/56", "::/60"}, []int{60}},
		{"two prefixes, of which there is one", []string{"2001:db8:7777::/60", ours}, []int{56, 60}},
		{"two prefixes, of which there is one, and a length for the other", []string{"2001:db8:7777::/60", ours, "::/52"}, []int{56, 52}},
		{"two prefixes that overlap", []string{ours, "2001:db8:4012:3000::/52"}, []int{56, 52}},
		{"the same one twice", []string{ours, ours}, []int{56, 56}},
		{"more than one client gets", slices.Repeat([]string{"::/60"}, 20), []int{60, 60, 60, 60, 60, 60, 60, 60}},
		{"nothing that means anything", []string{"::/0", "::/0"}, []int{56}},
	} {
		w := newWorld(t, lengths("2001:db8:4000::/40", 56, 48, 60), limits(func(p *delegation.Policy) { p.ClientLimit = 20 }))
		var inner []option
		for _, p := range tc.asks {
			inner = append(inner, named(p))
		}
		got := w.obtains(alice, iaPD(1, inner...))
		if !slices.Equal(bits(got), tc.want) || got.ias[0].status >= 0 {
			t.Errorf("%s: %q, want %v bits", tc.name, got.leases(), tc.want)
		}
		w.agrees()
		if again := w.asks(alice, dhcp6.Renew, got.taken()...); again.leases() != got.leases() {
			t.Errorf("%s: the Renew gets %q, want %q", tc.name, again.leases(), got.leases())
		}
		// A client that begins anew has them all again, and after they have expired as well.
		for _, since := range []time.Duration{0, 4001 * time.Second} {
			w.sleep(since)
			if again := w.obtains(alice, iaPD(1, inner...)); !slices.Equal(sortedLeases(again), sortedLeases(got)) {
				t.Errorf("%s: %v later %q, want %q", tc.name, since, again.leases(), got.leases())
			}
		}
		w.asks(alice, dhcp6.Release, got.taken()...)
		if len(w.holds()) != 0 {
			t.Errorf("%s: after the Release %q", tc.name, w.holds())
		}
	}
}

// sortedLeases are the prefixes of an answer's only IA.
func sortedLeases(a answer) (all []string) {
	for _, l := range a.ias[0].leases {
		all = append(all, l.prefix.String())
	}
	slices.Sort(all)
	return all
}

// Of several prefixes that a client asks for, it gets as many as there are and as its limit permits.
func TestSeveralHintsWithBounds(t *testing.T) {
	three := iaPD(1, named("::/56"), named("::/56"), named("::/56"))
	w := newWorld(t, lengths("2001:db8:4000::/55", 56, 56, 56))
	if got := w.obtains(alice, three); len(got.ias[0].leases) != 2 || got.ias[0].status >= 0 {
		t.Errorf("of a pool with two: %q", got.leases())
	}
	if got := w.asks(bob, dhcp6.Request, three); got.leases() != "PD 1: status 6" {
		t.Errorf("of a pool that is empty: %q", got.leases())
	}
	w.agrees()
	w = newWorld(t, limits(func(p *delegation.Policy) { p.ClientLimit = 4 }))
	got := w.obtains(alice, three, iaPD(2, named("::/56"), named("::/56")), iaPD(3))
	if len(got.ias[0].leases) != 3 || len(got.ias[1].leases) != 1 || got.ias[1].status >= 0 || got.ias[2].status != 6 {
		t.Errorf("with a limit of four: %q", got.leases())
	}
	if met := w.core.LimitsMet(); len(met) != 1 {
		t.Errorf("%+v, want the limit that is met", met)
	}
	w.agrees()
	// What a client names beside what it renews is nothing that it has.
	w = newWorld(t)
	one := w.obtains(alice, iaPD(1)).only().String()
	renewed := w.asks(alice, dhcp6.Renew, iaPD(1, named(one), named("2001:db8:40ff:ff00::/56"), named("::/56"), named("::/56")))
	if want := "PD 1: " + one + " 3000/4000 2001:db8:40ff:ff00::/56 0/0"; renewed.leases() != want {
		t.Errorf("%q, want %q", renewed.leases(), want)
	}
	// Of addresses a client gets one in an IA.
	if got := w.asks(bob, dhcp6.Request, iaNA(1, named("2001:db8:1::1:7"), named("2001:db8:1::1:8"))); got.onlyAddr() != "2001:db8:1::1:7" {
		t.Errorf("%q", got.leases())
	}
}

// A prefix of a length that the pool does not give is not given, and one with bits behind its length is
// given without them.
func TestPrefixesThatClientsName(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/40", 56, 52, 60))
	for name, want := range map[string]string{
		"2001:db8:4000:100::/56":   "2001:db8:4000:100::/56",
		"2001:db8:4000:1ab::1/56":  "2001:db8:4000:100::/56",
		"2001:db8:40ff:fff0::/60":  "2001:db8:40ff:fff0::/60",
		"2001:db8:4000:f000::/52":  "2001:db8:4000:f000::/52",
		"2001:db8:4000::/51":       "",
		"2001:db8:4000::/61":       "",
		"2001:db8:4100::/56":       "",
		"2001:db8:3fff:ff00::/56":  "",
		"2001:db8::/32":            "",
		"2001:db8:4000:123::77/60": "2001:db8:4000:120::/60",
	} {
		got := w.asks(alice, dhcp6.Solicit, iaPD(1, named(name))).only()
		if (got.String() == want) != (want != "") || got.Masked() != got {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

// No two clients have prefixes of which one lies in the other, and a /64 for each device on a large link
// is what clients get that ask for more.
func TestPrefixForEachDevice(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/56", 64, 64, 64))
	for n := range 256 {
		hint := []string{"::/62", "::/63", "::/64", "::/56"}[n%4]
		if got := w.obtains(somebody(n), iaPD(1, named(hint))).only(); got.Bits() != 64 {
			t.Fatalf("%v", got)
		}
	}
	if got := w.asks(alice, dhcp6.Request, iaPD(1)).leases(); got != "PD 1: status 6" {
		t.Errorf("%q", got)
	}
	w.agrees()
	if p := w.core.Pools()[1]; p.Taken != 256 || p.Size != 256 {
		t.Errorf("%+v", p)
	}
}

// RFC 6603 section 5.2: where the client asks for the option, "the delegating router includes the prefix
// originally, or to be, assigned to the requesting router in the OPTION_PD_EXCLUDE option within the
// OPTION_IAPREFIX". "If the OPTION_ORO option in the Solicit message does not include the
// OPTION_PD_EXCLUDE option code, then the delegating router MUST fall back to normal behavior". RFC
// 6603 4.2b, 4.2c, 4.2d and 4.2f. RFC 8415 18.3.9f.
func TestRFC6603_5_2a_Exclude(t *testing.T) {
	excluding := server6.PrefixPool{Prefix: cidr("2001:db8:a000::/40"), Length: 56, Min: 52, Max: 60, Exclude: cidr("2001:db8:a000:f::/64")}
	plain := server6.PrefixPool{Prefix: cidr("2001:db8:b000::/40"), Length: 56, Min: 56, Max: 56}
	w := newWorld(t, subnet(func(sn *server6.Subnet) { sn.PDPools = []server6.PrefixPool{excluding, plain} }))
	for _, tc := range []struct {
		hint   string
		option []byte // of the exclusion: its length, and the subnet ID
	}{
		{"2001:db8:a012:3400::/56", []byte{64, 0x0f}},       // a012:340f
		{"2001:db8:a012:3000::/52", []byte{64, 0x00, 0xf0}}, // 12 bits, to the left
		{"2001:db8:a012:3450::/60", []byte{64, 0xf0}},       // 4 bits
	} {
		for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
			got := w.asks(alice, kind, oro(67), iaPD(1, named(tc.hint)))
			l := got.ias[0].leases[0]
			if l.prefix != cidr(tc.hint) || len(l.options) != 1 || l.options[0].code != 67 || !slices.Equal(l.options[0].payload, tc.option) {
				t.Errorf("%v: %q with %+v, want %s without %x", kind, got.leases(), l.options, tc.hint, tc.option)
			}
			if got.has(67) {
				t.Error("the exclusion is at the top")
			}
		}
		rec, _ := w.record(cidr(tc.hint))
		if !rec.Exclude.IsValid() || rec.Exclude.Bits() != 64 || !cidr(tc.hint).Contains(rec.Exclude.Addr()) {
			t.Errorf("kept %+v", rec)
		}
		w.asks(alice, dhcp6.Release, iaPD(1, named(tc.hint)))
	}
	// A client that knows nothing of it gets of another pool, also where it asks for a part of this one.
	got := w.asks(bob, dhcp6.Solicit, iaPD(1, named("2001:db8:a012:3400::/56")))
	if l := got.ias[0].leases[0]; !cidr("2001:db8:b000::/40").Contains(l.prefix.Addr()) || len(l.options) != 0 {
		t.Errorf("%q with %+v", got.leases(), l.options)
	}
	w.reconfigure(subnet(func(sn *server6.Subnet) { sn.PDPools = []server6.PrefixPool{excluding} }))
	if got := w.asks(bob, dhcp6.Solicit, iaPD(1)).leases(); got != "PD 1: status 6" {
		t.Errorf("where there is no other pool: %q", got)
	}
}

// RFC 6603 section 6.2: "If the Release message contains a 'new' excluded prefix in any OPTION_PD_EXCLUDE
// option, the delegating router MUST send a Reply message with the Status Code set to NoBinding for that
// IA_PD option."
func TestRFC6603_6_2a_ReleaseWithAnotherExclusion(t *testing.T) {
	w := newWorld(t, subnet(func(sn *server6.Subnet) {
		sn.PDPools = []server6.PrefixPool{{Prefix: cidr("2001:db8:a000::/40"), Length: 56, Min: 56, Max: 56, Exclude: cidr("2001:db8:a000:f::/64")}}
	}))
	got := w.asks(alice, dhcp6.Request, oro(67), iaPD(1), iaPD(2))
	first, second := got.ias[0].leases[0].prefix.String(), got.ias[1].leases[0].prefix.String()
	released := w.asks(alice, dhcp6.Release, iaPD(1, lasting(first, 0, 0, raw(67, 64, 0x0e))), iaPD(2, lasting(second, 0, 0, raw(67, 64, 0x0f))))
	if released.leases() != "PD 1: status 3" || released.status() != 0 || !slices.Equal(w.holds(), []string{first}) {
		t.Errorf("%q status %d; leases %q, want %s alone", released.leases(), released.status(), w.holds(), first)
	}
	w.asks(alice, dhcp6.Release, iaPD(1, lasting(first, 0, 0, raw(67))))
	if len(w.holds()) != 1 {
		t.Error("an exclusion that cannot be read is no other one, but the prefix ended")
	}
	w.asks(alice, dhcp6.Release, iaPD(1, named(first)))
	if len(w.holds()) != 0 {
		t.Errorf("leases %q", w.holds())
	}
}

// After the lengths of a pool have changed, what clients have of the former lengths is nobody else's.
func TestLengthsChange(t *testing.T) {
	w := newWorld(t, lengths("2001:db8:4000::/52", 56, 56, 56))
	had := w.obtains(alice, iaPD(1)).only()
	w.reconfigure(lengths("2001:db8:4000::/52", 60, 60, 60))
	for n := range 240 {
		if got := w.obtains(somebody(n), iaPD(1)).only(); had.Overlaps(got) {
			t.Fatalf("%v is given, while Alice has %v", got, had)
		}
	}
	w.agrees()
	w.reconfigure(lengths("2001:db8:4000::/52", 56, 56, 56))
	for _, kind := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Request} {
		if got := w.asks(bob, kind, iaPD(1)).leases(); got != "PD 1: status 6" {
			t.Errorf("%v: %q, want NoPrefixAvail", kind, got)
		}
	}
	if again := w.asks(alice, dhcp6.Renew, iaPD(1, named(had.String()))).only(); again != had {
		t.Errorf("%v, want %v", again, had)
	}
	w.sleep(4000e9)
	w.sleep(600e9)
	w.sleep(20e9)
	if got := w.obtains(bob, iaPD(1)).only(); got.Bits() != 56 {
		t.Errorf("%v", got)
	}
	w.agrees()
}

// Several prefixes and addresses of one client, up to its limit.
func TestSeveralIAs(t *testing.T) {
	w := newWorld(t)
	var ias []option
	for n := range uint32(8) {
		ias = append(ias, iaNA(n), iaPD(n))
	}
	got := w.obtains(alice, ias...)
	if n := len(w.holds()); n != 16 {
		t.Fatalf("%d leases, want 16: %q", n, got.leases())
	}
	w.agrees()
	again := w.asks(alice, dhcp6.Renew, got.taken()...)
	if again.leases() != got.leases() {
		t.Errorf("%q, want %q", again.leases(), got.leases())
	}
	if more := w.asks(alice, dhcp6.Request, iaNA(8), iaPD(8)).leases(); more != "NA 8: status 2; PD 8: status 6" {
		t.Errorf("beyond its limit: %q", more)
	}
	seen := make(map[netip.Prefix]bool)
	for _, x := range got.ias {
		if p := x.leases[0].prefix; seen[p] || strings.Contains(p.String(), "::/0") {
			t.Errorf("%v is there twice", p)
		} else {
			seen[p] = true
		}
	}
	w.asks(alice, dhcp6.Release, iaNA(0, named(got.ias[0].leases[0].prefix.Addr().String())))
	if more := w.asks(alice, dhcp6.Request, iaNA(8)).leases(); strings.Contains(more, "status") {
		t.Errorf("after a Release: %q", more)
	}
}
