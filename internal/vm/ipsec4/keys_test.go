//go:build vm

package ipsec4_test

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

// keying makes the keys of a hop between two ends, of which the relay's has one
// address or more, and returns what stands in the stanza of each, in YAML.
type keying func(t *testing.T, dir string, server netip.Addr, giaddrs ...netip.Addr) (atRelay, atServer string)

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

func preshared(t *testing.T, dir string, _ netip.Addr, giaddrs ...netip.Addr) (atRelay, atServer string) {
	t.Helper()
	text := "    ike:\n      psk-file: " + secret(t, dir, "0x"+random(32)+"\n") + "\n" + further(giaddrs[1:])
	return text, text
}

// further are the addresses of a relay beside its first.
func further(giaddrs []netip.Addr) string {
	if len(giaddrs) == 0 {
		return ""
	}
	text := "    giaddrs:\n"
	for _, a := range giaddrs {
		text += "      - " + a.String() + "\n"
	}
	return text
}

func certificates(t *testing.T, dir string, server netip.Addr, giaddrs ...netip.Addr) (atRelay, atServer string) {
	t.Helper()
	authority, err := ike.NewAuthority("authority")
	need(t, err)
	stanza := func(addresses ...netip.Addr) string {
		c, err := authority.Issue(ike.Request{Name: "end-" + random(4), Addresses: addresses})
		need(t, err)
		files, err := c.Write(dir, authority)
		need(t, err)
		return fmt.Sprintf("    ike:\n      certificate: %s\n      key: %s\n      ca: %s\n", files.Certificate, files.Key, files.Authority) +
			further(giaddrs[1:])
	}
	return stanza(giaddrs...), stanza(server)
}

func byHand(t *testing.T, dir string, _ netip.Addr, giaddrs ...netip.Addr) (atRelay, atServer string) {
	t.Helper()
	for i, a := range giaddrs {
		to, from := manualKeys(t, dir), manualKeys(t, dir)
		toSPI, fromSPI := 0x1001+i, 0x2001+i
		indent := "    "
		if i == 1 {
			atRelay, atServer = atRelay+"    giaddrs:\n", atServer+"    giaddrs:\n"
		}
		if i > 0 {
			indent = "        "
			atRelay, atServer = atRelay+"      - address: "+a.String()+"\n", atServer+"      - address: "+a.String()+"\n"
		}
		stanza := func(outSPI int, out string, inSPI int, in string) string {
			return fmt.Sprintf("%[1]smanual:\n%[1]s  out: {spi: %[2]d, key-file: %[3]s}\n%[1]s  in: {spi: %[4]d, key-file: %[5]s}\n",
				indent, outSPI, out, inSPI, in)
		}
		atRelay, atServer = atRelay+stanza(toSPI, to, fromSPI, from), atServer+stanza(fromSPI, from, toSPI, to)
	}
	return atRelay, atServer
}

// manualKeys is a file with a new pair of keys.
func manualKeys(t *testing.T, dir string) string {
	t.Helper()
	return secret(t, dir, "encryption "+random(32)+"\nintegrity "+random(32)+"\n")
}
