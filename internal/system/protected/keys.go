package protected

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

// Keying makes the keys of a hop between two ends, of which the relay's has one
// address or more, and returns what stands in the stanza of each, in YAML,
// indented by four. Addresses beside a relay's first are its further giaddrs.
type Keying func(t *testing.T, dir string, server netip.Addr, relay ...netip.Addr) (atRelay, atServer string)

// Keyings are the three that there are.
var Keyings = map[string]Keying{"psk": Preshared, "certificate": Certificates, "manual": ByHand}

// Random are that many octets in hexadecimal.
func Random(octets int) string {
	b := make([]byte, octets)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// KeyFile writes a file that its owner alone can read, with a name that nothing
// else has.
func KeyFile(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "key-"+Random(8))
	need(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// PSK is the stanza of either end with that key, in hexadecimal.
func PSK(t *testing.T, dir, key string) string {
	t.Helper()
	return "    ike:\n      psk-file: " + KeyFile(t, dir, "0x"+key+"\n") + "\n"
}

// Preshared is the Keying by a pre-shared key.
func Preshared(t *testing.T, dir string, _ netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
	t.Helper()
	text := PSK(t, dir, Random(32)) + giaddrs(relay[1:])
	return text, text
}

// giaddrs are the addresses of a relay beside its first.
func giaddrs(further []netip.Addr) string {
	if len(further) == 0 {
		return ""
	}
	text := "    giaddrs:\n"
	for _, a := range further {
		text += "      - " + a.String() + "\n"
	}
	return text
}

// Certificates is the Keying by certificates of one authority.
func Certificates(t *testing.T, dir string, server netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
	t.Helper()
	a, err := ike.NewAuthority("authority")
	need(t, err)
	further := giaddrs(relay[1:])
	return Certificate(t, dir, a, a, ike.Request{Addresses: relay}) + further,
		Certificate(t, dir, a, a, ike.Request{Addresses: []netip.Addr{server}}) + further
}

// Certificate is the stanza of an end whose certificate is by one authority while
// it believes in another. It is given a name that nothing else has.
func Certificate(t *testing.T, dir string, by, trusted *ike.Authority, r ike.Request) string {
	t.Helper()
	r.Name = "end-" + Random(4)
	c, err := by.Issue(r)
	need(t, err)
	files, err := c.Write(dir, trusted)
	need(t, err)
	return files.Stanza()
}

// ManualKeys is a file with a new pair of keys.
func ManualKeys(t *testing.T, dir string) string {
	t.Helper()
	return KeyFile(t, dir, "encryption "+Random(32)+"\nintegrity "+Random(32)+"\n")
}

// ByHand is the Keying by manual keys: SPIs from 0x1001 to the server, from 0x2001
// back, and keys of its own for each address of the relay.
func ByHand(t *testing.T, dir string, _ netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
	t.Helper()
	for i, a := range relay {
		to, from := ManualKeys(t, dir), ManualKeys(t, dir)
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
