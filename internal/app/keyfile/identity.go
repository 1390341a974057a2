package keyfile

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// hostForm is a domain name; userForm has a user in front of it.
var (
	hostForm = regexp.MustCompile(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*$`)
	userForm = regexp.MustCompile(`^[a-zA-Z0-9_.+-]+$`)
)

// attributes are the parts of a distinguished name, as strongSwan spells them.
var attributes = map[string]string{
	"C": "2.5.4.6", "ST": "2.5.4.8", "L": "2.5.4.7", "O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3",
	"SN": "2.5.4.5", "DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1", "E": "1.2.840.113549.1.9.1",
}

// Identity parses the identity of one end of an IKE SA: an address, a domain
// name, user@domain or a distinguished name ("C=CH, O=Example, CN=relay1", in the
// order of the certificate). Wildcards are refused: one identity is one peer.
func Identity(text string) (string, error) {
	const allowed = "an address, a domain name, user@domain, or a distinguished name such as \"O=Example, CN=relay1\""
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return "", fmt.Errorf("%q has a zone (the address alone)", text)
		}
		return a.String(), nil
	}
	switch user, host, mail := strings.Cut(text, "@"); {
	case strings.ContainsAny(text, "*%"):
		return "", fmt.Errorf("%q stands for many (%s)", text, allowed)
	case strings.Contains(text, "="):
		if _, err := distinguished(text); err != nil {
			return "", err
		}
		return text, nil
	case len(text) > 253:
		return "", fmt.Errorf("%d octets long (%s)", len(text), allowed)
	case mail && userForm.MatchString(user) && hostForm.MatchString(host), !mail && hostForm.MatchString(text):
		return text, nil
	}
	return "", fmt.Errorf("%q is no identity (%s)", text, allowed)
}

// Proves reports whether a certificate has the identity in its alternative names, or, for a
// distinguished name, in its subject.
func Proves(c *x509.Certificate, identity string) bool {
	if a, err := netip.ParseAddr(identity); err == nil {
		return slices.ContainsFunc(c.IPAddresses, func(ip net.IP) bool {
			have, ok := netip.AddrFromSlice(ip)
			return ok && have.Unmap() == a
		})
	}
	same := func(have string) bool { return strings.EqualFold(have, identity) }
	switch {
	case strings.Contains(identity, "="):
		want, err := distinguished(identity)
		return err == nil && slices.Equal(want, subject(c))
	case strings.Contains(identity, "@"):
		return slices.ContainsFunc(c.EmailAddresses, same)
	}
	return slices.ContainsFunc(c.DNSNames, same)
}

// Names are the identities that a certificate proves, for texts.
func Names(c *x509.Certificate) []string {
	var names []string
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	names = append(append(names, c.DNSNames...), c.EmailAddresses...)
	if len(c.Subject.Names) > 0 {
		parts := make([]string, 0, len(c.Subject.Names))
		for _, part := range subject(c) {
			parts = append(parts, word(part[0])+"="+part[1])
		}
		names = append(names, strings.Join(parts, ", "))
	}
	return names
}

// word is the spelling of an attribute's type.
func word(oid string) string {
	for w, o := range attributes {
		if o == oid {
			return w
		}
	}
	return oid
}

// subject is a certificate's subject as types and values, in its order.
func subject(c *x509.Certificate) [][2]string {
	var parts [][2]string
	for _, n := range c.Subject.Names {
		parts = append(parts, [2]string{n.Type.String(), fmt.Sprint(n.Value)})
	}
	return parts
}

// distinguished parses "C=CH, O=Example, CN=relay1" into types and values.
func distinguished(text string) ([][2]string, error) {
	var parts [][2]string
	for part := range strings.SplitSeq(text, ",") {
		key, content, ok := strings.Cut(strings.TrimSpace(part), "=")
		oid, known := attributes[key]
		if !ok || !known || content == "" {
			return nil, fmt.Errorf("%q is no part of a distinguished name (C, ST, L, O, OU, CN, SN, DC, UID or E, = and text, parted by commas)", strings.TrimSpace(part))
		}
		parts = append(parts, [2]string{oid, content})
	}
	return parts, nil
}
