package config

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/core/links"
	"fairlead/internal/wire/dhcp6"
)

// day is a day of 24 hours, whatever the calendar says.
const day = 24 * time.Hour

var truth = oneOf(choice[bool]{"true", true}, choice[bool]{"false", false})

// integer returns a parser of a decimal number.
func integer[T ~int | ~uint8 | ~uint16 | ~uint32 | ~int64](least, most T) func(string) (T, error) {
	return func(text string) (T, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != text || n < int64(least) || n > int64(most) {
			return 0, fmt.Errorf("%q (a number from %d to %d)", text, least, most)
		}
		return T(n), nil
	}
}

// orWord returns a parser that also accepts a word, which stands for the value means.
func orWord[T any](word string, means T, parse func(string) (T, error)) func(string) (T, error) {
	return func(text string) (T, error) {
		if text == word {
			return means, nil
		}
		got, err := parse(text)
		if err != nil {
			err = orElse{word, err}
		}
		return got, err
	}
}

// orElse is an error that names one more word that is allowed.
type orElse struct {
	word string
	err  error
}

func (e orElse) Error() string {
	text := e.err.Error()
	if open := strings.LastIndex(text, " ("); open >= 0 && strings.HasSuffix(text, ")") {
		return text[:open+2] + e.word + ", or " + text[open+2:]
	}
	return text
}

func (e orElse) Unwrap() error { return e.err }

// units are in falling order, as they are in the text of a duration.
var units = []struct {
	name string
	long time.Duration
}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

var amount = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})([a-z]+)`)

// duration returns a parser of durations such as 90s, 12h, 30d or 1h30m.
func duration(least, most time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		sum, ok := sumOf(text)
		if !ok || sum < least || sum > most {
			return 0, fmt.Errorf("%q (a time from %s to %s, such as 90s, 12h or 30d)", text, shortTime(least), shortTime(most))
		}
		return sum, nil
	}
}

// sumOf adds up the amounts in a duration's text.
func sumOf(text string) (time.Duration, bool) {
	if text == "0" {
		return 0, true
	}
	var sum time.Duration
	next := 0
	for rest := text; rest != ""; {
		m := amount.FindStringSubmatch(rest)
		if m == nil {
			return 0, false
		}
		for next < len(units) && units[next].name != m[2] {
			next++
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if next == len(units) || err != nil || n > int64((math.MaxInt64-sum)/units[next].long) {
			return 0, false
		}
		sum += time.Duration(n) * units[next].long
		next++
		rest = rest[len(m[0]):]
	}
	return sum, text != ""
}

// shortTime writes a duration as the configuration file does.
func shortTime(t time.Duration) string {
	var b strings.Builder
	for _, u := range units {
		if n := t / u.long; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			t -= n * u.long
		}
	}
	return cmp.Or(b.String(), "0")
}

// size returns a parser of sizes in octets, such as 16MiB.
func size(least, most int64) func(string) (int64, error) {
	return func(text string) (int64, error) {
		for _, u := range []struct {
			name  string
			shift int
		}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}} {
			digits, ok := strings.CutSuffix(text, u.name)
			if !ok {
				continue
			}
			n, err := integer[int64](0, 1<<32)(digits)
			if got := n << u.shift; err == nil && least <= got && got <= most {
				return got, nil
			}
		}
		return 0, fmt.Errorf("%q (a size from %dKiB to %dGiB, in KiB, MiB or GiB)", text, least>>10, most>>30)
	}
}

// file parses the path of a file or a folder.
func file(text string) (string, error) {
	switch clean := filepath.Clean(text); {
	case !filepath.IsAbs(text):
		return "", fmt.Errorf("%q is relative (a path that starts with /)", text)
	case clean != text:
		return "", fmt.Errorf("%q (write %s)", text, clean)
	}
	return text, nil
}

// socket parses the path of a Unix socket, whose address holds 107 octets.
func socket(text string) (string, error) {
	if len(text) > 107 {
		return "", fmt.Errorf("%d octets long (a socket's path has at most 107)", len(text))
	}
	return file(text)
}

// listen parses the address and port of a TCP listener.
func listen(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil || at.Port() == 0 || at.Addr().IsMulticast() {
		return netip.AddrPort{}, fmt.Errorf("%q (an address and a port, such as \"[::1]:9547\" in quotes)", text)
	}
	return at, nil
}

// address parses an IPv6 address without zone.
func address(text string) (netip.Addr, error) {
	a, err := anyAddress(text, "an IPv6 address")
	if err == nil && a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is IPv4 (an IPv6 address)", text)
	}
	return a, err
}

// hostAddress parses a unicast address of either family without zone.
func hostAddress(text string) (netip.Addr, error) {
	a, err := anyAddress(text, eitherAddress)
	if err == nil && (a.IsMulticast() || a == broadcast) {
		return netip.Addr{}, fmt.Errorf("%q is of many hosts (a unicast address)", text)
	}
	return a, err
}

const eitherAddress = "an IPv6 or IPv4 address"

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// giaddrAddress parses an IPv4 address of a relay.
func giaddrAddress(text string) (netip.Addr, error) {
	a, err := hostAddress(text)
	if err == nil && !a.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is IPv6 (an IPv4 address: giaddr is a field of DHCPv4)", text)
	}
	return a, err
}

// serverHere says what a server on this machine needs.
const serverHere = "a server on this machine needs an address of its own, such as 2001:db8::547/128 or 192.0.2.67/32 on lo"

// peerAddress parses the address of a peer of a relay: a unicast address, or a group of servers.
func peerAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err == nil && a.IsLoopback():
		return netip.Addr{}, fmt.Errorf("%q is no address of a network (%s; %s)", text, eitherAddress, serverHere)
	case err == nil && a.Is6() && a.IsMulticast():
		return address(text)
	}
	return hostAddress(text)
}

// anyAddress parses an address of either family, without zone.
func anyAddress(text, want string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an address (%s)", text, want)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q has a zone (write %s)", text, a.WithZone(""))
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q is IPv4 in the form of IPv6 (%s)", text, want)
	case a.IsUnspecified() || a.IsLoopback():
		return netip.Addr{}, fmt.Errorf("%q is no address of a network (%s)", text, want)
	}
	return a, nil
}

// unicast parses an IPv6 address of one host, without zone.
func unicast(text string) (netip.Addr, error) {
	a, err := address(text)
	if err == nil && a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%q is multicast (a unicast address)", text)
	}
	return a, err
}

// global parses an IPv6 address that can identify a link outside of this link.
func global(text string) (netip.Addr, error) {
	a, err := unicast(text)
	if err == nil && a.IsLinkLocalUnicast() {
		return netip.Addr{}, fmt.Errorf("%q is link-local (a global or unique local address)", text)
	}
	return a, err
}

// prefix parses an IPv6 prefix without host bits.
func prefix(text string) (netip.Prefix, error) {
	p, err := anyPrefix(text)
	if err == nil && p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 (an IPv6 prefix)", text)
	}
	return p, err
}

// prefixIPv4 parses an IPv4 prefix without host bits.
func prefixIPv4(text string) (netip.Prefix, error) {
	p, err := anyPrefix(text)
	if err == nil && !p.Addr().Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is IPv6 (an IPv4 prefix)", text)
	}
	return p, err
}

// anyPrefix parses a prefix of either family without host bits.
func anyPrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not a prefix (an address and a length from 1 to 128, such as 2001:db8::/32)", text)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 in the form of IPv6 (a prefix of one of the two)", text)
	case p.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("%q holds every address (a length from 1 to %d)", text, p.Addr().BitLen())
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits beyond its length (write %s)", text, p.Masked())
	}
	return p, nil
}

// pool parses a prefix of which clients may be given parts.
func pool(text string) (netip.Prefix, error) {
	p, err := prefix(text)
	if a := p.Addr(); err == nil && (a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsLoopback() || a.IsUnspecified()) {
		return netip.Prefix{}, fmt.Errorf("%q is no client's (a prefix of global or unique local unicast addresses)", text)
	}
	return p, err
}

// lengthRange parses "48-64" or "56".
func lengthRange(text string) ([2]int, error) {
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		high = low
	}
	length := integer(1, 128)
	least, err := length(low)
	most, err2 := length(high)
	if err != nil || err2 != nil || least > most {
		return [2]int{}, fmt.Errorf("%q (a length from 1 to 128, or two such as 48-64, the smaller one first)", text)
	}
	return [2]int{least, most}, nil
}

// maxName is the longest name that Linux gives an interface.
const maxName = 15

// globSigns are the characters that make a name a glob.
const globSigns = `*?[\`

// isGlob reports whether the text can match more than one name.
func isGlob(text string) bool { return strings.ContainsAny(text, globSigns) }

// interfaceName parses the name of one interface.
func interfaceName(text string) (string, error) {
	switch {
	case isGlob(text):
		return "", fmt.Errorf("%q is a glob (the name of one interface)", text)
	case len(text) > maxName:
		return "", fmt.Errorf("%q has %d octets (an interface's name has at most %d)", text, len(text), maxName)
	case strings.ContainsAny(text, "/: \t") || text == "." || text == "..":
		return "", fmt.Errorf("%q is no interface's name (no space, slash or colon)", text)
	}
	return text, nil
}

// interfaceGlob parses the name of an interface, or a glob.
func interfaceGlob(text string) (string, error) {
	if !isGlob(text) {
		return interfaceName(text)
	}
	if _, err := path.Match(text, ""); err != nil {
		return "", fmt.Errorf("%q is not a glob (* for any text, ? for one character, [a-z] for one of several)", text)
	}
	if strings.ContainsAny(text, "/: \t") {
		return "", fmt.Errorf("%q matches no interface's name (no space, slash or colon)", text)
	}
	return text, nil
}

// template parses a template of package links. A problem is reported where the template's error
// is.
func template(text string) (links.Template, error) {
	t, err := links.ParseTemplate(text)
	if err == nil {
		return t, nil
	}
	var octet int
	if _, scan := fmt.Sscanf(err.Error(), "template: octet %d: ", &octet); scan == nil {
		_, rest, _ := strings.Cut(strings.TrimPrefix(err.Error(), "template: "), ": ")
		if !strings.HasSuffix(rest, ")") {
			rest += " (write {{ or }} for a brace)"
		}
		return t, &offsetError{octet, errors.New(rest)}
	}
	return t, err
}

// spi parses a security parameters index: a decimal number, or 0x and a hexadecimal one. Those
// below 256 are reserved (RFC 4303 section 2.1).
func spi(text string) (uint32, error) {
	digits, base := text, 10
	if rest, ok := strings.CutPrefix(text, "0x"); ok {
		digits, base = rest, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n < leastSPI || digits[0] == '+' || base == 10 && digits[0] == '0' {
		return 0, fmt.Errorf("%q (a number from %d to 4294967295, or 0x100 to 0xffffffff)", text, leastSPI)
	}
	return uint32(n), nil
}

// octetString returns a parser of 1 to most octets, written as a text, or as 0x and hexadecimal
// digits.
func octetString(most int) func(string) ([]byte, error) {
	return func(text string) ([]byte, error) {
		b := []byte(text)
		if digits, isHex := strings.CutPrefix(text, "0x"); isHex {
			var err error
			if b, err = hex.DecodeString(digits); err != nil {
				return nil, fmt.Errorf("%q is not 0x and octets in hexadecimal (such as 0x00040001, or a text)", text)
			}
		}
		if len(b) == 0 || len(b) > most {
			return nil, fmt.Errorf("%d octets long (1 to %d)", len(b), most)
		}
		return b, nil
	}
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// duid parses a DUID in hexadecimal, or a UUID, of which it makes a DUID of type 4.
func duid(text string) (dhcp6.DUID, error) {
	if uuid.MatchString(text) {
		octets, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err != nil {
			return nil, err
		}
		return dhcp6.AppendDUIDUUID(nil, [16]byte(octets)), nil
	}
	d, err := dhcp6.ParseDUID(text)
	if err != nil {
		return nil, fmt.Errorf("%q is not a DUID (3 to 130 octets in hexadecimal, such as 00:03:00:01:02:00:5e:10:00:01, or a UUID)", text)
	}
	return d, nil
}
