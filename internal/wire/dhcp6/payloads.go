package dhcp6

import (
	"net/netip"
	"strings"
)

// The functions of this file append payloads, or parts of them: a configuration keeps options
// as code and payload.

// AppendAddressList appends the payload of an option that is a list of IPv6 addresses in order
// of preference: DNS_SERVERS (RFC 3646 section 3) or SNTP_SERVERS (RFC 4075 section 4). An
// address that is not IPv6 is ErrMalformed, a list above MaxOptionLen octets ErrTooBig; the
// offset is that of the address in the list. b is then returned as it was.
func AppendAddressList(b []byte, addresses ...netip.Addr) ([]byte, error) {
	before := len(b)
	for i, a := range addresses {
		switch at := 16 * i; {
		case !a.Is6() || a.Is4In6():
			return b[:before], &Error{Field: "address", Offset: at, Err: ErrMalformed}
		case at+16 > MaxOptionLen:
			return b[:before], &Error{Field: "address", Offset: at, Err: ErrTooBig}
		}
		b = appendAddr(b, a)
	}
	return b, nil
}

// The suboptions of NTP_SERVER (RFC 5908 section 4): a server's unicast address, a multicast
// address at which servers are heard, and a server's domain name.
const (
	ntpServerAddress    OptionCode = 1
	ntpMulticastAddress OptionCode = 2
	ntpServerName       OptionCode = 3
)

// AppendNTPServerAddress appends the payload of an NTP_SERVER option for a unicast or multicast
// address. The option has one time source, so that several of them take as many options (RFC
// 5908 section 4).
func AppendNTPServerAddress(b []byte, server netip.Addr) []byte {
	code := ntpServerAddress
	if server.IsMulticast() {
		code = ntpMulticastAddress
	}
	b = appendOptionHeader(b, code, 16)
	return appendAddr(b, server)
}

// AppendNTPServerName appends the payload of an NTP_SERVER option for a server's domain name
// (RFC 5908 section 4.3). The errors are those of AppendDomainList for the name. b is then
// returned as it was.
func AppendNTPServerName(b []byte, name string) ([]byte, error) {
	in, mark := BeginOption(b, ntpServerName)
	in, err := AppendDomainList(in, name)
	if err != nil {
		return b, err
	}
	return EndOption(in, mark)
}

// The bounds of a domain name in octets (RFC 1035 section 2.3.4): of a label, and of the name
// with the length of each label and the root's.
const (
	maxLabelLen = 63
	maxNameLen  = 255
)

// AppendDomainList appends the payload of a DOMAIN_LIST option (RFC 3646 section 4): each name
// in order, not compressed (RFC 8415 section 10). A name is labels of letters, digits, '-' and
// '_' with dots between them; a dot at the end changes nothing. ErrMalformed is a name that is
// none, ErrTooBig a label above 63 octets, a name above 255 or a list above MaxOptionLen. The
// offset counts octets of the payload up to the label. b is then returned as it was.
func AppendDomainList(b []byte, names ...string) ([]byte, error) {
	before := len(b)
	for _, name := range names {
		start := len(b)
		for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
			at := len(b) - before
			switch {
			case label == "" || strings.ContainsFunc(label, notOfName):
				return b[:before], &Error{Field: "label", Offset: at, Err: ErrMalformed}
			case len(label) > maxLabelLen:
				return b[:before], &Error{Field: "label", Offset: at, Err: ErrTooBig}
			case len(b)-start+1+len(label)+1 > maxNameLen, at+1+len(label)+1 > MaxOptionLen:
				return b[:before], &Error{Field: "domain name", Offset: at, Err: ErrTooBig}
			}
			b = append(b, byte(len(label)))
			b = append(b, label...)
		}
		b = append(b, 0)
	}
	return b, nil
}

// notOfName reports whether a label may not have r in it.
func notOfName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
