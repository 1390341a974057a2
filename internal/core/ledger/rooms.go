package ledger

import "fairlead/internal/core/effect"

// rooms is memory for what leaves with Changes and is never used again: it is
// made for many at a time, which costs less than making it for each. It goes when
// the last of them has been carried out.
type rooms struct {
	octets []byte // what is left
	ops    []effect.KeepOp
}

const (
	roomOctets     = 8 << 10
	roomOps        = 128
	ordinaryRecord = 288 // octets of a record and its key, unless names are long
)

// record is room to append one record with its key to; taken says what became of
// it.
func (m *rooms) record() []byte {
	if cap(m.octets) < ordinaryRecord {
		m.octets = make([]byte, 0, roomOctets)
	}
	return m.octets
}

// taken takes note of what was appended to what record gave.
func (m *rooms) taken(b []byte) {
	if len(b) <= cap(m.octets) { // else it has found another place
		m.octets = m.octets[len(b):len(b)]
	}
}

// operations is room for n operations.
func (m *rooms) operations(n int) []effect.KeepOp {
	if cap(m.ops) < n {
		m.ops = make([]effect.KeepOp, 0, max(roomOps, n))
	}
	ops := m.ops[:0:n]
	m.ops = m.ops[n:n]
	return ops
}
