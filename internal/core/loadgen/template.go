package loadgen

import "encoding/binary"

// MaxMessage is the most octets that a client's message has.
const MaxMessage = 400

// template is a message of client 0, with the offsets of the fields that differ between
// clients.
type template struct {
	octets []byte
	// xid is the offset of the four octets that end with the transaction-id; above are the
	// octets before it among those four.
	xid     int
	above   uint32
	index   []int // of the client's index, in its identifiers
	address int   // of the address that it holds; 0: there is none
	length  int   // of that address
	prefix  int   // of the IA Prefix option's prefix-length
}

// stamp appends the message of one client.
func (t *template) stamp(b []byte, client, xid uint32, held *binding) []byte {
	at := len(b)
	b = append(b, t.octets...)
	m := b[at:]
	binary.BigEndian.PutUint32(m[t.xid:], t.above|xid)
	for _, i := range t.index {
		binary.BigEndian.PutUint32(m[i:], client)
	}
	if t.address != 0 {
		copy(m[t.address:], held.address[len(held.address)-t.length:])
	}
	if t.prefix != 0 {
		copy(m[t.prefix:], held.prefix[:])
	}
	return b
}
