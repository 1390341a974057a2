package binding

import (
	"net/netip"
	"strings"

	"fairlead/internal/wire/linkaddr"
)

// Client identifies the client of a binding. It is comparable; the zero Client is nobody.
type Client struct {
	octets string // its ClientKind, and then the identifier
}

// ClientKind is the kind of a client's identifier.
type ClientKind byte

// The kinds. Their numbers are in the store.
const (
	ByDUID     ClientKind = 1 // DHCPv6: its DUID (RFC 8415 section 11)
	ByClientID ClientKind = 2 // DHCPv4: its client identifier (RFC 2132 section 9.14)
	ByHardware ClientKind = 3 // DHCPv4 without one: type and address of its hardware (RFC 2131 section 4.2)
	ByAddress  ClientKind = 4 // identifier not known: link-local and link-layer address on its link
)

// DUID is the client of that DUID; without octets it is nobody.
func DUID[T ~string | ~[]byte](octets T) Client { return Identified(ByDUID, octets) }

// AtAddress is a client of which only the addresses on its link are known, because the
// server named the binding without the DUID.
func AtAddress(nextHop netip.Addr, linkLayer linkaddr.Addr) Client {
	var b [16 + linkaddr.MaxLen]byte
	a := nextHop.As16()
	copy(b[:], a[:])
	return Identified(ByAddress, linkLayer.Append(b[:16]))
}

// ClientID is the client of that client identifier, as its option has it; without octets it
// is nobody.
func ClientID[T ~string | ~[]byte](octets T) Client { return Identified(ByClientID, octets) }

// Hardware is the client of that hardware address, which is of one of the types of ARP.
func Hardware(hardwareType uint8, address []byte) Client {
	var b [1 + 16]byte // chaddr has 16 octets
	b[0] = hardwareType
	return Identified(ByHardware, append(b[:1], address...))
}

// Identified is the client with an identifier of a kind; without octets it is nobody.
func Identified[T ~string | ~[]byte](k ClientKind, identifier T) Client {
	if len(identifier) == 0 {
		return Client{}
	}
	b := make([]byte, 0, 1+stackID)
	return Client{string(append(append(b, byte(k)), identifier...))}
}

// stackID is the length up to which an identifier is put together on the stack: a DUID has
// at most 130 octets (RFC 8415 section 11.1), a client identifier 255.
const stackID = 255

// IsZero reports whether it is nobody.
func (c Client) IsZero() bool { return c.octets == "" }

// Kind says by what a client is identified; 0: it is nobody.
func (c Client) Kind() ClientKind {
	if c.octets == "" {
		return 0
	}
	return ClientKind(c.octets[0])
}

// Identifier is the octets by which a client is identified: its DUID, its client identifier,
// the type and the octets of its hardware address, or its link-local and then its link-layer
// address.
func (c Client) Identifier() string {
	if c.octets == "" {
		return ""
	}
	return c.octets[1:]
}

// DUID is the octets of the client's DUID; empty where the client has none or it is not
// known.
func (c Client) DUID() string {
	if c.Kind() != ByDUID {
		return ""
	}
	return c.octets[1:]
}

// Compare orders clients: by their kinds, then by their identifiers.
func (c Client) Compare(other Client) int { return strings.Compare(c.octets, other.octets) }

// Append appends the client as it is stored; ParseClient reads that.
func (c Client) Append(b []byte) []byte { return append(b, c.octets...) }

// Len is how many octets Append appends.
func (c Client) Len() int { return len(c.octets) }

// ParseClient is the reverse of Append; false for a client of no known kind.
func ParseClient[T ~string | ~[]byte](b T) (Client, bool) {
	c := Client{string(b)}
	return c, c.octets == "" || c.Kind() >= ByDUID && c.Kind() <= ByAddress
}
