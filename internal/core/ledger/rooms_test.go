package ledger

import (
	"bytes"
	"testing"

	"fairlead/internal/core/effect"
)

// What one record is written into is no other's, however long they are, and
// neither are operations that are appended beyond what was asked for.
func TestRoomsAreApart(t *testing.T) {
	var m rooms
	var records [][]byte
	for n := range 3 * roomOctets / ordinaryRecord {
		length := []int{1, ordinaryRecord - 1, ordinaryRecord, 2 * ordinaryRecord, 2 * roomOctets}[n%5]
		b := append(m.record(), bytes.Repeat([]byte{byte(n)}, length)...)
		m.taken(b)
		records = append(records, b)
	}
	for n, b := range records {
		if want := bytes.Repeat([]byte{byte(n)}, len(b)); !bytes.Equal(b, want) {
			t.Fatalf("record %d of %d octets was written over", n, len(b))
		}
	}
	var all [][]effect.KeepOp
	for n := range 3 * roomOps {
		ops := m.operations(1 + n%3)
		for range 1 + n%4 { // sometimes one too many
			ops = append(ops, effect.KeepOp{Key: []byte{byte(n)}})
		}
		all = append(all, ops)
	}
	for n, ops := range all {
		for _, op := range ops {
			if op.Key[0] != byte(n) {
				t.Fatalf("operation of %d was written over by %d", byte(n), op.Key[0])
			}
		}
	}
}
