package protected

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"fairlead/internal/lab/ike"
	"fairlead/internal/system/rig"
)

// Keying makes the keys of a hop between two ends, of which the relay's has one
// address or more, and returns what stands in the stanza of each, in YAML,
// indented by four. Addresses beside a relay's first are its further giaddrs.
type Keying func(n *rig.Net, server netip.Addr, relay ...netip.Addr) (atRelay, atServer string)

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
func KeyFile(n *rig.Net, text string) string {
	n.T.Helper()
	path := filepath.Join(n.Dir(), "key-"+Random(8))
	n.Need(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// PSK is the stanza of either end with that key, in hexadecimal.
func PSK(n *rig.Net, key string) string {
	n.T.Helper()
	return "    ike:\n      psk-file: " + KeyFile(n, "0x"+key+"\n") + "\n"
}

// Preshared is the Keying by a pre-shared key.
func Preshared(n *rig.Net, _ netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
	n.T.Helper()
	text := PSK(n, Random(32)) + giaddrs(relay[1:])
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
func Certificates(n *rig.Net, server netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
	n.T.Helper()
	a, err := ike.NewAuthority("authority")
	n.Need(err)
	further := giaddrs(relay[1:])
	return Certificate(n, a, a, ike.Request{Addresses: relay}) + further,
		Certificate(n, a, a, ike.Request{Addresses: []netip.Addr{server}}) + further
}

// Certificate is the stanza of an end whose certificate is by one authority while
// it believes in another. It is given a name that nothing else has.
func Certificate(n *rig.Net, by, trusted *ike.Authority, r ike.Request) string {
	n.T.Helper()
	r.Name = "end-" + Random(4)
	c, err := by.Issue(r)
	n.Need(err)
	files, err := c.Write(n.Dir(), trusted)
	n.Need(err)
	return files.Stanza()
}

// ManualKeys is a file with a new pair of keys.
func ManualKeys(n *rig.Net) string {
	n.T.Helper()
	return KeyFile(n, "encryption "+Random(32)+"\nintegrity "+Random(32)+"\n")
}

// ByHand is the Keying by manual keys: SPIs from 0x1001 to the server, from 0x2001
// back, and keys of its own for each address of the relay.
func ByHand(n *rig.Net, _ netip.Addr, relay ...netip.Addr) (atRelay, atServer string) {
	n.T.Helper()
	for i, a := range relay {
		to, from := ManualKeys(n), ManualKeys(n)
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
