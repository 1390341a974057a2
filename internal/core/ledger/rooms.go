package ledger

import "fairlead/internal/core/effect"

// rooms is memory for the records and operations of Changes. It is allocated for many at a time,
// which costs less than for each one. No part of it is used twice; the garbage collector frees it
// after the last Change in it has been carried out.
type rooms struct {
	octets []byte // what is not used yet
	ops    []effect.KeepOp
}

const (
	roomOctets     = 8 << 10
	roomOps        = 128
	ordinaryRecord = 288 // octets: more than a record and its key have, unless names are long
)

// record is an empty slice to which one record with its key is appended. taken has to be called
// with the result.
func (m *rooms) record() []byte {
	if cap(m.octets) < ordinaryRecord {
		m.octets = make([]byte, 0, roomOctets)
	}
	return m.octets
}

// taken takes in what was appended to the slice of record.
func (m *rooms) taken(b []byte) {
	if len(b) <= cap(m.octets) { // else append has allocated memory of its own for it
		m.octets = m.octets[len(b):len(b)]
	}
}

// operations is an empty slice for n operations.
func (m *rooms) operations(n int) []effect.KeepOp {
	if cap(m.ops) < n {
		m.ops = make([]effect.KeepOp, 0, max(roomOps, n))
	}
	ops := m.ops[:0:n]
	m.ops = m.ops[n:n]
	return ops
}
