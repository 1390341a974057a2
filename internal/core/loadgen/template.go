package loadgen

import "encoding/binary"

// MaxMessage is the greatest number of octets of a client's message.
const MaxMessage = 400

// template is a message of client 0, with the offsets of the fields that differ between
// clients.
type template struct {
	octets []byte
	// xid is the offset of the four octets that end with the transaction-id; above is the octet
	// before the transaction-id in them.
	xid     int
	above   uint32
	index   []int // offsets of the client's index, in its identifiers
	address int   // offset of the address that it holds; 0: there is none
	length  int   // offset of the length of that address
	prefix  int   // offset of the prefix-length in the IA Prefix option
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
