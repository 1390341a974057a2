package binding_test

import (
	"encoding/hex"
	"math"
	"net/netip"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

var comparable = gocmp.Options{
	cmpopts.EquateComparable(binding.Client{}, netip.Addr{}, netip.Prefix{}, linkaddr.Addr{}),
	gocmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
}

var (
	alice   = binding.DUID("\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01")
	mac     = linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 1})
	clients = []binding.Client{
		{},
		alice, binding.ClientID("\x01\x02\x00\x5e\x10\x00\x01"), binding.Hardware(1, mac.Append(nil)),
		binding.AtAddress(netip.MustParseAddr("fe80::a"), mac), binding.AtAddress(netip.MustParseAddr("fe80::a"), linkaddr.Addr{}),
	}
	prefixes = []netip.Prefix{netip.MustParsePrefix("2001:db8:100::/56"), netip.MustParsePrefix("2001:db8::7/128"), netip.MustParsePrefix("192.0.2.7/32")}
	hops     = []netip.Addr{netip.MustParseAddr("fe80::a"), netip.MustParseAddr("192.0.2.7")}
)

// Clients of different kinds are different ones, whatever their octets are, and each is
// read as it was kept.
func TestClients(t *testing.T) {
	seen := map[binding.Client]bool{}
	for _, c := range append(clients, binding.ClientID(alice.DUID()), binding.Hardware(0, []byte(alice.DUID()[1:9]))) {
		if seen[c] {
			t.Errorf("%q is there twice", c.Append(nil))
		}
		seen[c] = true
		if again, ok := binding.ParseClient(c.Append(nil)); !ok || again != c {
			t.Errorf("%q became %q, %v", c.Append(nil), again.Append(nil), ok)
		}
		if (c.DUID() != "") != (c.Kind() == binding.ByDUID) {
			t.Errorf("%q of kind %d has the DUID %q", c.Append(nil), c.Kind(), c.DUID())
		}
	}
	if !binding.DUID("").IsZero() {
		t.Error("a client without a DUID is somebody")
	}
	for _, odd := range []string{"\x00", "\x05somebody", "\xff"} {
		if _, ok := binding.ParseClient(odd); ok {
			t.Errorf("%q is a client", odd)
		}
	}
}

// TestRecords: what is written is read again, whatever it is, and nothing else
// is read at all.
func TestRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, moment := rapid.StringN(0, 40, 200), rapid.Int64Range(1, math.MaxInt64/2)
		d := binding.Binding{
			Link: text.Draw(t, "link"), VRF: text.Draw(t, "vrf"), Client: rapid.SampledFrom(clients).Draw(t, "client"), Server: text.Draw(t, "server"),
			Prefix: rapid.SampledFrom(prefixes).Draw(t, "prefix"), NextHop: rapid.SampledFrom(hops).Draw(t, "hop"),
			IAID: rapid.Uint32().Draw(t, "iaid"), NoIAID: rapid.Bool().Draw(t, "no iaid"), Reconfigures: rapid.Bool().Draw(t, "reconfigures"),
			Kind: binding.Address, Source: binding.FromReply, Lifetime: time.Duration(moment.Draw(t, "lifetime")),
			Preferred: instant.Instant(moment.Draw(t, "preferred") / 2), Valid: instant.Instant(moment.Draw(t, "valid") / 2),
			Granted: time.Unix(0, moment.Draw(t, "granted")), Changed: time.Unix(0, moment.Draw(t, "changed")),
		}
		if rapid.Bool().Draw(t, "seen") {
			d.LinkLayer = mac
		}
		if d.Prefix == prefixes[0] && rapid.Bool().Draw(t, "without a part") {
			d.Exclude = netip.MustParsePrefix("2001:db8:100:ff::/64")
		}
		now := instant.Now{Boot: 5, Wall: time.Unix(1_700_000_000, 0), Synced: rapid.Bool().Draw(t, "synced")}
		end := time.Time{} // the wall clock knows nothing
		if now.Synced {
			end = now.Wall.Add(time.Duration(d.Valid - now.Boot))
		}
		in := rapid.SampledFrom([]binding.Space{binding.Relay6, "X4"}).Draw(t, "space")
		b := binding.AppendRecord(nil, in, &d, now, "this boot")
		rec, err := binding.ParseRecord(b)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if diff := gocmp.Diff(d, rec.Binding, comparable); diff != "" {
			t.Fatalf("read again (-want +got)\n%s", diff)
		}
		if rec.Space != in || rec.BootID != "this boot" || !rec.ValidWall.Equal(end) {
			t.Fatalf("space %q, boot %q, valid until %v", rec.Space, rec.BootID, rec.ValidWall)
		}
		if again := rec.Append(nil); string(again) != string(b) {
			t.Fatalf("written again: %x, want %x", again, b)
		}
		if _, err := binding.ParseRecord(b[:rapid.IntRange(0, len(b)-1).Draw(t, "torn")]); err == nil {
			t.Fatal("a torn record was read")
		}
		if _, err := binding.ParseRecord(append(b, 0)); err == nil {
			t.Fatal("a record with an octet left over was read")
		}
	})
}

// What is excluded is a part of its prefix (RFC 6603), or the record is malformed.
func TestRecordWithAnOddExclusion(t *testing.T) {
	for _, odd := range []string{"2001:db8:100::/56", "2001:db8::/32", "2001:db8:200::/64"} {
		d := binding.Binding{Prefix: prefixes[0], Exclude: netip.MustParsePrefix(odd)}
		if _, err := binding.ParseRecord(binding.AppendRecord(nil, binding.Relay6, &d, instant.Now{}, "boot")); err == nil {
			t.Errorf("%s is excluded from %s", odd, d.Prefix)
		}
	}
}

// The records of the time when there was one role, octet by octet as they were
// written then.
func TestFormerRecords(t *testing.T) {
	want := binding.Record{
		Binding: binding.Binding{
			Link: "lan0", VRF: "red", Prefix: prefixes[0], Client: alice, IAID: 7, NextHop: hops[0], LinkLayer: mac,
			Preferred: instant.Instant(30 * time.Minute), Valid: instant.Instant(time.Hour), Lifetime: time.Hour, Server: "kea", Source: binding.FromReply,
			Granted: time.Unix(1700000000, 0), Changed: time.Unix(1700000100, 0),
		},
		Space: binding.Relay6, BootID: "boot", ValidWall: time.Unix(1700003600, 0),
	}
	const body = "000120010db801000000000000000000000038" + "fe80000000000000000000000000000a" + "00000007" +
		"000001a3185c5000" + "0000034630b8a000" + "0000034630b8a000" + "1797a04466e2a000" + "17979cfe362a0000" + "17979d157ea0e800" +
		"0602005e100001" + "046c616e30" + "03726564" + "0a0003000102005e100001" + "036b6561" + "04626f6f74"
	for name, tc := range map[string]struct {
		text    string
		exclude netip.Prefix
	}{
		"first version":  {"01" + body, netip.Prefix{}},
		"second version": {"02" + body + "20010db8010000ff0000000000000000" + "40", netip.MustParsePrefix("2001:db8:100:ff::/64")},
	} {
		b, err := hex.DecodeString(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := binding.ParseRecord(b)
		want.Exclude = tc.exclude
		if diff := gocmp.Diff(want, got, comparable); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
		for n := range b {
			if _, err := binding.ParseRecord(b[:n]); err == nil {
				t.Errorf("%s: the first %d octets are a record", name, n)
			}
		}
	}
}

// FuzzRecord: a damaged record is an error, never a panic, and what is read is
// written back so that it reads the same.
func FuzzRecord(f *testing.F) {
	now := instant.Now{Wall: time.Unix(1_700_000_000, 0), Synced: true}
	d := binding.Binding{Link: "lan0", Client: alice, Prefix: prefixes[0], NextHop: hops[0], Source: binding.FromReply}
	f.Add(binding.AppendRecord(nil, binding.Relay6, &d, now, "boot"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := binding.ParseRecord(b)
		if err != nil {
			return
		}
		again, err := binding.ParseRecord(rec.Append(nil))
		if diff := gocmp.Diff(rec, again, comparable); err != nil || diff != "" {
			t.Fatalf("%v (-first +again)\n%s", err, diff)
		}
		binding.NewTable().Restore(now, rec, "other", time.Time{})
	})
}
