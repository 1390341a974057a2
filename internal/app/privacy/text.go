package privacy

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Text masks the identifiers in a text of unknown form, such as an error of the kernel: addresses
// and prefixes, and octets in hexadecimal with colons, with hyphens, after 0x, or twelve digits
// and more without any of these. In doubt it masks. Where the type of a value is known, the other
// methods are used.
func (m Mask) Text(s string) string {
	if m.Shows() {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if i == 0 || !isWord(s[i-1]) {
			if text, n := m.identifier(s[i:]); n > 0 {
				b.WriteString(text)
				i += n
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// identifier masks the identifier at the beginning of s, and returns how long it was; 0 if s does
// not begin with one.
func (m Mask) identifier(s string) (text string, n int) {
	n = span(s, ":.")
	for ; n >= 2; n-- {
		if n < len(s) && isWord(s[n]) || s[n-1] == '.' {
			continue
		}
		if a, err := netip.ParseAddr(s[:n]); err == nil {
			if bits, digits := length(s[n:]); digits > 0 && bits <= a.BitLen() {
				return m.PrefixText(netip.PrefixFrom(a, bits)), n + digits
			}
			return m.AddrText(a), n
		}
		if octets, ok := pairs(s[:n], ":"); ok {
			return m.octets(octets), n
		}
	}
	n = span(s, "-")
	for ; n >= 8; n-- {
		if n < len(s) && isWord(s[n]) {
			continue
		}
		if octets, ok := pairs(s[:n], "-"); ok {
			return m.octets(octets), n
		}
	}
	if strings.HasPrefix(s, "0x") { // a word in a stack may be half an address
		if n = 2 + span(s[2:], ""); n > 2+8 {
			return m.text(s[:n], kindText, []byte(s[:n])), n
		}
	}
	n = span(s, "")
	if octets, err := hex.DecodeString(s[:n]); err == nil && n >= 12 && (n == len(s) || !isWord(s[n])) {
		return m.octets(octets), n
	}
	return "", 0
}

// maxIdentifier bounds the length of an identifier in a text: that of a DUID of 130 octets.
const maxIdentifier = 3 * 130

// span is how many hexadecimal digits and separators there are at the beginning of s.
func span(s, separators string) int {
	for i := range min(len(s), maxIdentifier) {
		if !isHex(s[i]) && strings.IndexByte(separators, s[i]) < 0 {
			return i
		}
	}
	return min(len(s), maxIdentifier)
}

// length reads the prefix length at the beginning of s, and returns the length of its text.
func length(s string) (bits, n int) {
	if s == "" || s[0] != '/' {
		return 0, 0
	}
	n = 1
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	bits, err := strconv.Atoi(s[1:n])
	if err != nil {
		return 0, 0
	}
	return bits, n
}

// pairs reads three octets or more with a separator between them.
func pairs(s, separator string) ([]byte, bool) {
	if len(s) < 8 || len(s)%3 != 2 {
		return nil, false
	}
	var octets []byte
	for p := range strings.SplitSeq(s, separator) {
		o, err := hex.DecodeString(p)
		if err != nil || len(o) != 1 {
			return nil, false
		}
		octets = append(octets, o[0])
	}
	return octets, true
}

// octets masks octets as a link-layer address if they have its length, otherwise as a DUID.
func (m Mask) octets(b []byte) string {
	if len(b) == 6 {
		return m.LinkLayerText(linkaddr.From(b))
	}
	if len(b) > dhcp6.MaxDUIDLen {
		return m.text(hex.EncodeToString(b), kindText, b)
	}
	return m.DUIDText(string(b))
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}
