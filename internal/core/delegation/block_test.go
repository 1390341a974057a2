package delegation_test

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
)

var someBlock = delegation.Block{Prefix: netip.MustParsePrefix("2001:db8:100::/56"), Client: binding.DUID("\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01"), Link: "lan0"}

// A block of the time when there was one role, octet by octet as its key was then.
func TestFormerBlock(t *testing.T) {
	key, err := hex.DecodeString("62" + "20010db8010000000000000000000000" + "39" + "0a0003000102005e100001" + "6c616e30")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := delegation.ParseFormerBlock(key); err != nil || got != someBlock {
		t.Errorf("%+v, %v; want %+v", got, err, someBlock)
	}
	if _, err := delegation.ParseBlock(key); err == nil {
		t.Error("a former key is read as one of today")
	}
}

// FuzzBlock: a damaged key is an error, never a panic, and what is read is written back
// the same.
func FuzzBlock(f *testing.F) {
	f.Add(delegation.BlockKey(nil, someBlock))
	f.Fuzz(func(t *testing.T, b []byte) {
		if blk, err := delegation.ParseBlock(b); err == nil {
			if again, err := delegation.ParseBlock(delegation.BlockKey(nil, blk)); err != nil || again != blk {
				t.Fatalf("block %+v became %+v, %v", blk, again, err)
			}
		}
	})
}
