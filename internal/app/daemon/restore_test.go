package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
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
		d := delegation.Delegation{Prefix: prefix(i), Link: "d1", Client: "client", Valid: instant.Never}
		ops = append(ops, store.Op{Key: delegation.Key(nil, "", d.Prefix), Value: delegation.AppendRecord(nil, &d, at, "boot")})
	}
	ops[1].Value = ops[1].Value[:len(ops[1].Value)/2]
	block := delegation.Block{Prefix: prefix(9)}
	ops = append(ops,
		store.Op{Key: delegation.BlockKey(nil, block), Value: []byte{}},
		store.Op{Key: []byte("b"), Value: []byte{}},
		store.Op{Key: ledger.ClockKey(), Value: []byte("too short")})
	if err := kept.Commit(ops); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	k := keepsake{log: slog.New(slog.NewTextHandler(&out, nil)), from: kept}
	records := slices.Collect(k.records)
	if err := errors.Join(k.err, k.readBlocks(), k.readClock()); err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 || records[0].Prefix != prefix(0) || records[1].Prefix != prefix(2) {
		t.Errorf("read %v, want those of %v and %v", records, prefix(0), prefix(2))
	}
	if len(k.blocks) != 1 || k.blocks[0] != block {
		t.Errorf("read blocks %v, want %v", k.blocks, block)
	}
	if !k.lastWall.IsZero() {
		t.Errorf("last instant kept = %v, want none", k.lastWall)
	}
	if n := strings.Count(out.String(), "record not understood"); n != 2 {
		t.Errorf("%d reports, want 2:\n%s", n, &out)
	}
	found := false
	if err := kept.Scan(ops[1].Key, append(ops[1].Key, 0), func(_, v []byte) bool { found = bytes.Equal(v, ops[1].Value); return false }); err != nil || !found {
		t.Errorf("the bad record is still there: %v, %v", found, err)
	}
}
