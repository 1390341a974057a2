package loadgen

import (
	"encoding/binary"

	"fairlead/internal/wire/dhcp6"
)

// IAID is the IAID of every IA of every client.
const IAID = 1

// macHead are the first octets of every client's link-layer address. They are locally
// administered, and chosen by us. The client's index follows them.
var macHead = [2]byte{0x02, 0xfa}

// MAC returns the link-layer address of the client with index n.
func MAC(n uint32) (mac [6]byte) {
	copy(mac[:], macHead[:])
	binary.BigEndian.PutUint32(mac[2:], n)
	return mac
}

// IndexOf returns the client that has this link-layer address, and false if no client has it.
func IndexOf(mac [6]byte) (uint32, bool) {
	return binary.BigEndian.Uint32(mac[2:]), [2]byte(mac[:]) == macHead
}

// LinkLocal returns the link-local address that the client with index n makes of its link-layer
// address (RFC 4291, appendix A).
func LinkLocal(n uint32) [16]byte {
	a := [16]byte{0: 0xfe, 1: 0x80, 8: macHead[0] ^ 2, 9: macHead[1], 11: 0xff, 12: 0xfe}
	a[10] = byte(n >> 24)
	a[13], a[14], a[15] = byte(n>>16), byte(n>>8), byte(n)
	return a
}

// Index returns the client that has the link-local address a, and false if no client has it. a
// has 16 octets.
func Index(a []byte) (uint32, bool) {
	if binary.BigEndian.Uint64(a) != 0xfe80<<48 || a[8] != macHead[0]^2 || a[9] != macHead[1] || a[11] != 0xff || a[12] != 0xfe {
		return 0, false
	}
	return uint32(a[10])<<24 | uint32(a[13])<<16 | uint32(a[14])<<8 | uint32(a[15]), true
}

// DUID returns the client identifier of the client with index n: a DUID-LL (RFC 8415 section
// 11.4). The index is its last four octets.
func DUID(n uint32) dhcp6.DUID {
	mac := MAC(n)
	return dhcp6.AppendDUIDLL(nil, dhcp6.HardwareEthernet, mac[:])
}
