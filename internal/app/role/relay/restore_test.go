package relay

import (
	"bytes"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/store"
)

// A record that cannot be read costs itself alone, is reported, and stays.
func TestBadRecordIsLeftAlone(t *testing.T) {
	kept, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	at := instant.Now{Boot: 1, Wall: time.Unix(1700000000, 0)}
	prefix := func(i byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, i}), 56)
	}
	var ops []store.Op
	for i := range byte(3) {
		d := binding.Binding{Prefix: prefix(i), Link: "d1", Client: binding.DUID("client"), Valid: instant.Never}
		ops = append(ops, store.Op{Key: binding.Key(nil, binding.Relay6, "", d.Prefix), Value: binding.AppendRecord(nil, binding.Relay6, &d, at, "boot")})
	}
	ops[1].Value = ops[1].Value[:len(ops[1].Value)/2]
	block := delegation.Block{Prefix: prefix(9)}
	ops = append(ops,
		store.Op{Key: delegation.BlockKey(nil, block), Value: []byte{}},
		store.Op{Key: append([]byte(binding.Relay6), 'b'), Value: []byte{}},
		store.Op{Key: ledger.ClockKey(), Value: []byte("too short")})
	if err := kept.Commit(ops); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	k := newKeepsake(slog.New(slog.NewTextHandler(&out, nil)), kept)
	records := slices.Collect(k.Bindings(binding.Relay6))
	last, err := k.Clock()
	if err := errors.Join(k.Err, k.readBlocks(), err); err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 || records[0].Prefix != prefix(0) || records[1].Prefix != prefix(2) {
		t.Errorf("read %v, want those of %v and %v", records, prefix(0), prefix(2))
	}
	if len(k.blocks) != 1 || k.blocks[0] != block {
		t.Errorf("read blocks %v, want %v", k.blocks, block)
	}
	if !last.IsZero() {
		t.Errorf("last instant kept = %v, want none", last)
	}
	if n := strings.Count(out.String(), "record not understood"); n != 2 {
		t.Errorf("%d reports, want 2:\n%s", n, &out)
	}
	found := false
	if err := kept.Scan(ops[1].Key, append(ops[1].Key, 0), func(_, v []byte) bool { found = bytes.Equal(v, ops[1].Value); return false }); err != nil || !found {
		t.Errorf("the bad record is still there: %v, %v", found, err)
	}
}

// A delegation of 2001:db8:100::/56 as it was kept when there was one role.
const (
	formerKey   = "647265640020010db801000000000000000000000038"
	formerValue = "01000120010db801000000000000000000000038fe80000000000000000000000000000a00000007000001a3185c50000000034630b8a0000000034630b8a0001797a04466e2a00017979cfe362a000017979d157ea0e8000602005e100001046c616e30037265640a0003000102005e100001036b656104626f6f74"
)

// What was kept when there was one role is rewritten at the first start, and read as
// what it was, also where the store cannot be written.
func TestFormerRecordsAreRewritten(t *testing.T) {
	former := func() *store.Store {
		kept, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kept.Close() })
		var ops []store.Op
		for key, value := range map[string]string{
			formerKey: formerValue,
			"6220010db8010000000000000000000000390a0003000102005e1000016c616e30": "",
			"616c616e30": "20010db800010000000000000000000140",
			"64ff":       "01ff", // not understood: left alone
		} {
			k, _ := hex.DecodeString(key)
			v, _ := hex.DecodeString(value)
			ops = append(ops, store.Op{Key: k, Value: v})
		}
		if err := kept.Commit(ops); err != nil {
			t.Fatal(err)
		}
		return kept
	}
	alice := binding.DUID("\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01")
	for name, fail := range map[string]error{"kept": nil, "not kept": errors.New("read-only")} {
		kept := former()
		var out bytes.Buffer
		k := newKeepsake(slog.New(slog.NewTextHandler(&out, nil)), kept)
		commit := func(ops []store.Op) error {
			if fail != nil {
				return fail
			}
			return kept.Commit(ops)
		}
		if err := k.rewrite(commit); err != nil {
			t.Fatal(err)
		}
		addresses := map[string]netip.Prefix{}
		records := slices.Collect(k.Bindings(binding.Relay6))
		if err := errors.Join(k.Err, k.readBlocks(), k.readLinks(func(link string, rec relay6.LinkRecord) { addresses[link] = rec.Address })); err != nil {
			t.Fatal(err)
		}
		if len(records) != 1 || records[0].Prefix != netip.MustParsePrefix("2001:db8:100::/56") || records[0].Client != alice || records[0].Space != binding.Relay6 {
			t.Errorf("%s: records %+v", name, records)
		}
		if want := (delegation.Block{Prefix: netip.MustParsePrefix("2001:db8:100::/56"), Client: alice, Link: "lan0"}); len(k.blocks) != 1 || k.blocks[0] != want {
			t.Errorf("%s: blocks %+v, want %+v", name, k.blocks, want)
		}
		if want := netip.MustParsePrefix("2001:db8:1::1/64"); len(addresses) != 1 || addresses["lan0"] != want {
			t.Errorf("%s: addresses %v, want lan0 with %v", name, addresses, want)
		}
		if n := strings.Count(out.String(), "record not understood"); n != 1 {
			t.Errorf("%s: %d reports, want 1:\n%s", name, n, &out)
		}
		left := 0
		from, to := relay6.FormerRange()
		if err := kept.Scan(from, to, func(_, _ []byte) bool { left++; return true }); err != nil || (left == 1) != (fail == nil) {
			t.Errorf("%s: %d former records are left, %v", name, left, err)
		}
	}
}

// What ends while former records could not be rewritten has ended at the next start as
// well: they are rewritten before anything else is kept.
func TestFormerRecordThatHasEnded(t *testing.T) {
	kept, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	former, _ := hex.DecodeString(formerValue)
	key, _ := hex.DecodeString(formerKey)
	if err := kept.Commit([]store.Op{{Key: key, Value: former}}); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	var disk failing
	disk.store, disk.err = kept, full
	keeper := keeper{to: &disk}
	start := func() []binding.Record {
		k := newKeepsake(slog.New(slog.DiscardHandler), kept)
		if err := k.rewrite(disk.Commit); err != nil {
			t.Fatal(err)
		}
		keeper.owe(k.former)
		return slices.Collect(k.Bindings(binding.Relay6))
	}
	records := start()
	if len(records) != 1 {
		t.Fatalf("records %+v, want the former one", records)
	}
	end := []store.Op{{Key: binding.Key(nil, binding.Relay6, records[0].VRF, records[0].Prefix)}}
	if err := keeper.Commit(end); !errors.Is(err, full) {
		t.Errorf("the disk is full: %v", err)
	}
	disk.err = nil
	if err := keeper.Commit(end); err != nil {
		t.Fatal(err)
	}
	if records := start(); len(records) > 0 {
		t.Errorf("after the end and another start: %+v", records)
	}
}

// failing is a store on a disk that may be full.
type failing struct {
	store *store.Store
	err   error
}

func (f *failing) Commit(ops []store.Op) error {
	if f.err != nil {
		return f.err
	}
	return f.store.Commit(ops)
}

// A record of today is newer than the former one of the same prefix: a start could not
// write the store, and a later one kept what it learned.
func TestFormerRecordThatIsOlder(t *testing.T) {
	kept, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	former, _ := hex.DecodeString(formerValue)
	key, _ := hex.DecodeString(formerKey)
	newer := binding.Binding{Link: "lan0", VRF: "red", Prefix: netip.MustParsePrefix("2001:db8:100::/56"), Client: binding.DUID("another"), Valid: instant.Never}
	now := store.Op{Key: binding.Key(nil, binding.Relay6, newer.VRF, newer.Prefix), Value: binding.AppendRecord(nil, binding.Relay6, &newer, instant.Now{}, "boot")}
	if err := kept.Commit([]store.Op{{Key: key, Value: former}, now}); err != nil {
		t.Fatal(err)
	}
	k := newKeepsake(slog.New(slog.DiscardHandler), kept)
	if err := k.rewrite(kept.Commit); err != nil {
		t.Fatal(err)
	}
	if records := slices.Collect(k.Bindings(binding.Relay6)); len(records) != 1 || records[0].Client != newer.Client {
		t.Errorf("records %+v, want the newer one alone", records)
	}
	from, to := relay6.FormerRange()
	if err := kept.Scan(from, to, func(k, _ []byte) bool { t.Errorf("former record %x is left", k); return true }); err != nil {
		t.Fatal(err)
	}
}
