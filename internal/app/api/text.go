package api

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/wire/dhcp6"
)

// Identifier are the octets by which a client or a relay agent is known: a DUID, a DHCPv4 client
// identifier, or, for a client without one, the type and address of its hardware. For a client
// whose DUID is not known they are its link-local address and, where that is known, its
// link-layer address.
//
// As text it is hexadecimal with colons, "00:03:00:01:02:00:5e:10:00:01".
type Identifier string

// maxIdentifier is how many octets an option of DHCPv4 can hold, which is more than a DUID may
// have.
const maxIdentifier = 255

// ParseIdentifier reads what a person typed: hexadecimal, with or without colons. Its errors are
// those of dhcp6.ParseOctets.
func ParseIdentifier(text string) (Identifier, error) {
	octets, err := dhcp6.ParseOctets(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("identifier %q: %w", text, err)
	case len(octets) == 0 || len(octets) > maxIdentifier:
		return "", fmt.Errorf("identifier %q: it has %d octets, and must have 1 to %d", text, len(octets), maxIdentifier)
	}
	return Identifier(octets), nil
}

func (d Identifier) String() string { return dhcp6.DUID(d).String() }

// MarshalText writes the octets with colons.
func (d Identifier) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes. Unlike ParseIdentifier it accepts an empty
// identifier and any length: a client may have an identifier that breaks the rules.
func (d *Identifier) UnmarshalText(b []byte) error {
	octets, err := hex.DecodeString(strings.ReplaceAll(string(b), ":", ""))
	if err != nil {
		return fmt.Errorf("identifier %q: %w", b, err)
	}
	*d = Identifier(octets)
	return nil
}

// Lifetime is a lifetime, remaining or granted. In JSON it is whole seconds, never below 0, or
// "infinite" (RFC 8415 section 7.7).
type Lifetime time.Duration

// Infinite is a lifetime without end.
const Infinite Lifetime = math.MaxInt64

// String writes two units, "6d 4h", "59m 30s", because a table has room for two, or "infinite".
func (l Lifetime) String() string {
	if l == Infinite {
		return "infinite"
	}
	seconds := max(0, int64(time.Duration(l)/time.Second))
	units := []struct {
		name string
		size int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	for i, u := range units {
		if seconds < u.size || i == len(units)-1 {
			continue
		}
		s := strconv.FormatInt(seconds/u.size, 10) + u.name
		next := units[i+1]
		if rest := seconds % u.size / next.size; rest > 0 {
			s += " " + strconv.FormatInt(rest, 10) + next.name
		}
		return s
	}
	return strconv.FormatInt(seconds, 10) + "s"
}

// MarshalJSON writes whole seconds or "infinite".
func (l Lifetime) MarshalJSON() ([]byte, error) {
	if l == Infinite {
		return []byte(`"infinite"`), nil
	}
	return strconv.AppendInt(nil, max(0, int64(time.Duration(l)/time.Second)), 10), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Lifetime) UnmarshalJSON(b []byte) error {
	if string(b) == `"infinite"` {
		*l = Infinite
		return nil
	}
	var seconds int64
	if err := json.Unmarshal(b, &seconds); err != nil || seconds < 0 || seconds > int64(math.MaxInt64/time.Second) {
		return fmt.Errorf("lifetime %s: not whole seconds or \"infinite\"", b)
	}
	*l = Lifetime(time.Duration(seconds) * time.Second)
	return nil
}

// ParsePrefix reads a prefix. An address stands for a prefix of full length. Bits after the
// length are an error.
func ParsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, errAddr := netip.ParseAddr(text)
		if errAddr != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("prefix %q: neither a prefix nor an address", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: an IPv4 address in the form of IPv6 (%s?)", text, p.Addr().Unmap())
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: bits are set beyond its length (%s?)", text, p.Masked())
	}
	return p, nil
}
