// Package hop decides how the traffic between DHCP servers and relay agents is protected
// hop by hop (RFC 8213): which pairs of addresses and ports come under IPsec, how each is
// keyed, which state strongSwan, the kernel's XFRM and the packet filter must have for it,
// and what is to be done when some of that state is missing.
//
// It only decides: host/ipsec speaks to strongSwan and XFRM, host/nft installs the guard,
// and app/protect drives both. "fairlead ipsec plan" prints the values as they are
// installed. Nothing here is safe for concurrent use, except that values are never changed
// once made.
package hop

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// Hop is one pair of addresses between which DHCP travels in ESP or not at all.
// Exactly one of IKE and Manual is set.
type Hop struct {
	Name      string         // unique: the peer's name; NAME+1 and so on for its further addresses
	Peer      string         // name of the peer it belongs to
	Role      trust.PeerRole // what the peer is to us
	Local     netip.Addr     // of this host, without zone
	Remote    netip.Addr     // of the peer, of the same family, without zone
	Link      string         // interface, where the addresses are link-local; else empty
	RelayPort uint16         // port that the relay of the two sends from beside the well-known one (RFC 8357); 0: none
	IKE       *IKE
	Manual    *Manual
}

// Port is the well-known port of servers and relay agents in the hop's family.
func (h *Hop) Port() uint16 {
	if h.Local.Is4() {
		return dhcp4.ServerPort
	}
	return dhcp6.ServerPort
}

// Selector is one kind of traffic of a hop. Port 0 is any port.
type Selector struct {
	Name          string // dhcp, relay-port or leasequery
	Protocol      uint8  // UDP or TCP
	Local, Remote uint16 // ports
}

// Protocols of selectors.
const (
	UDP = 17
	TCP = 6
)

// Selectors are what is protected (RFC 8213 section 3, "Selectors"): datagrams
// between the well-known ports, those of a relay that sends from another port,
// and leasequery connections from the relay to the server (RFC 5460, RFC 6926).
func (h *Hop) Selectors() []Selector {
	port := h.Port()
	s := []Selector{{Name: "dhcp", Protocol: UDP, Local: port, Remote: port}}
	if h.Role == trust.Server {
		if h.RelayPort != 0 && h.RelayPort != port {
			s = append(s, Selector{Name: "relay-port", Protocol: UDP, Local: h.RelayPort, Remote: port})
		}
		return append(s, Selector{Name: "leasequery", Protocol: TCP, Remote: port})
	}
	if h.RelayPort != 0 && h.RelayPort != port {
		s = append(s, Selector{Name: "relay-port", Protocol: UDP, Local: port, Remote: h.RelayPort})
	}
	return append(s, Selector{Name: "leasequery", Protocol: TCP, Local: port})
}

// Owner is the process of ours to which a connection, a key or a table belongs. A relay
// and a guard on one host leave each other's alone.
type Owner string

// The owners: the relay daemon, and "fairlead guard" for somebody else's program.
const (
	OwnerRelay Owner = "relay"
	OwnerGuard Owner = "guard"
)

// prefix begins all our names in strongSwan.
const prefix = "fairlead-"

// Prefix begins the names of the owner's connections, keys and certificates in strongSwan.
// All other names belong to other programs.
func (o Owner) Prefix() string { return prefix + string(o) + "-" }

// ConnectionName is the name of the hop's connection in strongSwan. Dots, which
// part section names in its files, become tildes, which no peer's name has.
func (o Owner) ConnectionName(hop string) string {
	return o.Prefix() + strings.ReplaceAll(hop, ".", "~")
}

// Table is the name of the owner's guard tables, in families inet and netdev.
func (o Owner) Table() string { return prefix + string(o) + "-guard" }

// Reqid is the XFRM request id of manual policies and states, which marks them
// as the owner's. strongSwan counts its own from 1.
func (o Owner) Reqid() uint32 {
	if o == OwnerGuard {
		return 0xfa1d0002
	}
	return 0xfa1d0001
}

// Secret is key material. It prints as nothing but its length.
type Secret []byte

// String hides the secret.
func (s Secret) String() string {
	if len(s) == 0 {
		return "no key"
	}
	return "key of " + strconv.Itoa(len(s)) + " octets"
}

// Format hides the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// IKE has the parameters by which strongSwan keys a hop (RFC 7296). Either PSK or
// Certificate, Key and Authorities are set.
type IKE struct {
	PSK         Secret
	Edition     string   // differs from that of any former or later PSK, and reveals nothing of the PSK; empty: not known
	Certificate []byte   // DER
	Key         Secret   // DER, PKCS #8
	Authorities [][]byte // DER: authorities that may have signed the peer's certificate
	LocalID     string   // identity; empty: the address
	RemoteID    string
	Proposals   []string      // of IKE, in strongSwan's words; empty: DefaultIKE
	ESP         []string      // of ESP, in strongSwan's words; empty: DefaultESP
	Lifetime    time.Duration // after which an ESP SA is rekeyed; 0: DefaultLifetime
}

// Public reports whether the hop is keyed by certificates.
func (i *IKE) Public() bool { return len(i.Certificate) > 0 }

// DefaultLifetime is when an ESP SA is rekeyed.
const DefaultLifetime = time.Hour

// Manual is a hop keyed by hand. In may have two SAs while keys roll over.
type Manual struct {
	Out ManualSA
	In  []ManualSA
}

// ManualSA is one direction's key.
type ManualSA struct {
	SPI   uint32 // 256 or greater
	Suite Suite
	Encryption,
	Integrity Secret
	Made time.Time // when the key file was last changed
}

// Suite is a pair of algorithms for manual keys. RFC 8221 section 3 forbids
// counter modes, and so all AEADs of today, with manual keys.
type Suite uint8

// The suites: AES-CBC with HMAC-SHA-256-128 or HMAC-SHA-512-256.
const (
	AES128SHA256 Suite = iota + 1
	AES256SHA256
	AES256SHA512
)

func (s Suite) String() string {
	switch s {
	case AES128SHA256:
		return "aes128-sha256"
	case AES256SHA256:
		return "aes256-sha256"
	case AES256SHA512:
		return "aes256-sha512"
	}
	return "unknown"
}

// KeyLengths are the lengths of the suite's two keys in octets.
func (s Suite) KeyLengths() (encryption, integrity int) {
	switch s {
	case AES128SHA256:
		return 16, 32
	case AES256SHA256:
		return 32, 32
	case AES256SHA512:
		return 32, 64
	}
	return 0, 0
}
