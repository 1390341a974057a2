//go:build vm

package ipsec_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"fairlead/internal/lab/ike"
)

// keying makes the keys of one pair of addresses and returns what stands in the
// stanza of each end, in YAML, indented by four.
type keying func(t *testing.T, dir string, a, b netip.Addr) (atA, atB string)

// keyings are the three that there are.
var keyings = map[string]keying{"psk": preshared, "certificate": certificates, "manual": byHand}

// random are that many octets in hexadecimal.
func random(octets int) string {
	b := make([]byte, octets)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// secret writes a file that its owner alone can read, with a name that nothing
// else has.
func secret(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "key-"+random(8))
	need(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func preshared(t *testing.T, dir string, _, _ netip.Addr) (atA, atB string) {
	t.Helper()
	text := "    ike:\n      psk-file: " + secret(t, dir, "0x"+random(32)+"\n") + "\n"
	return text, text
}

func certificates(t *testing.T, dir string, a, b netip.Addr) (atA, atB string) {
	t.Helper()
	authority, err := ike.NewAuthority("authority")
	need(t, err)
	return certificate(t, dir, authority, authority, a, ike.Request{}), certificate(t, dir, authority, authority, b, ike.Request{})
}

// certificate is the stanza of an end with that address, whose certificate is
// by one authority while it believes in another.
func certificate(t *testing.T, dir string, by, trusted *ike.Authority, address netip.Addr, r ike.Request) string {
	t.Helper()
	r.Name, r.Addresses = "end-"+random(4), []netip.Addr{address}
	c, err := by.Issue(r)
	need(t, err)
	files, err := c.Write(dir, trusted)
	need(t, err)
	return fmt.Sprintf("    ike:\n      certificate: %s\n      key: %s\n      ca: %s\n", files.Certificate, files.Key, files.Authority)
}

// manualKeys is a file with a new pair of keys.
func manualKeys(t *testing.T, dir string) string {
	t.Helper()
	return secret(t, dir, "encryption "+random(32)+"\nintegrity "+random(32)+"\n")
}

func byHand(t *testing.T, dir string, _, _ netip.Addr) (atA, atB string) {
	t.Helper()
	to, from := manualKeys(t, dir), manualKeys(t, dir)
	stanza := func(outSPI int, out string, inSPI int, in string) string {
		return fmt.Sprintf("    manual:\n      out: {spi: %d, key-file: %s}\n      in: {spi: %d, key-file: %s}\n", outSPI, out, inSPI, in)
	}
	return stanza(0x1001, to, 0x2001, from), stanza(0x2001, from, 0x1001, to)
}
