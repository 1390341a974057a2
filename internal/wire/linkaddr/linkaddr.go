// Package linkaddr has the type of link-layer addresses (RFC 6939 calls them client link-layer
// addresses). An Addr can be compared, and needs no allocation. The zero Addr means that the
// address is not known, as on PPP links.
package linkaddr

import "encoding/hex"

// MaxLen is the length of the longest address that an Addr can hold, in octets. EUI-64 needs 8.
const MaxLen = 8

// Addr is a link-layer address of 0 to MaxLen octets.
type Addr struct {
	octets [MaxLen]byte
	length uint8
}

// From copies b. An address that is longer than MaxLen counts as unknown.
func From(b []byte) Addr {
	var a Addr
	if len(b) > MaxLen {
		return a
	}
	a.length = uint8(copy(a.octets[:], b))
	return a
}

// Parse reads the colon-separated form, for example 02:00:5e:00:53:01.
func Parse(s string) (Addr, bool) {
	if (len(s)+1)%3 != 0 || (len(s)+1)/3 > MaxLen {
		return Addr{}, false
	}
	var a Addr
	for i := 0; i < len(s); i += 3 {
		if i > 0 && s[i-1] != ':' {
			return Addr{}, false
		}
		if _, err := hex.Decode(a.octets[a.length:a.length+1], []byte(s[i:i+2])); err != nil {
			return Addr{}, false
		}
		a.length++
	}
	return a, true
}

// IsValid reports whether an address is known.
func (a Addr) IsValid() bool { return a.length > 0 }

// Len is the number of octets.
func (a Addr) Len() int { return int(a.length) }

// Append appends the octets to b.
func (a Addr) Append(b []byte) []byte { return append(b, a.octets[:a.length]...) }

// String is the colon-separated form; it is empty where the address is not known.
func (a Addr) String() string {
	return string(a.AppendString(make([]byte, 0, 3*MaxLen)))
}

// AppendString appends the text of String to b.
func (a Addr) AppendString(b []byte) []byte {
	for i := range a.octets[:a.length] {
		if i > 0 {
			b = append(b, ':')
		}
		b = hex.AppendEncode(b, a.octets[i:i+1])
	}
	return b
}
