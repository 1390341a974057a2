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

// Keying makes the keys of a hop between two ends. The relay's end has one or more addresses;
// those after the first are its further giaddrs. It returns what belongs into the stanza of each
// end, in YAML, indented by four spaces.
type Keying func(n *rig.Net, server netip.Addr, relay ...netip.Addr) (atRelay, atServer string)

// Keyings are all ways to make keys.
var Keyings = map[string]Keying{"psk": Preshared, "certificate": Certificates, "manual": ByHand}

// Random returns so many random octets in hexadecimal.
func Random(octets int) string {
	b := make([]byte, octets)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// KeyFile writes a file that only its owner can read, under a unique name.
func KeyFile(n *rig.Net, text string) string {
	n.T.Helper()
	path := filepath.Join(n.Dir(), "key-"+Random(8))
	n.Need(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// PSK returns the stanza of either end with that key, in hexadecimal.
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

// giaddrs returns the key for the addresses of a relay after its first one.
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

// Certificate returns the stanza of an end whose certificate is from one authority, while the end
// trusts another. Its files have a unique name.
func Certificate(n *rig.Net, by, trusted *ike.Authority, r ike.Request) string {
	n.T.Helper()
	r.Name = "end-" + Random(4)
	c, err := by.Issue(r)
	n.Need(err)
	files, err := c.Write(n.Dir(), trusted)
	n.Need(err)
	return files.Stanza()
}

// ManualKeys returns the path of a file with a new pair of keys.
func ManualKeys(n *rig.Net) string {
	n.T.Helper()
	return KeyFile(n, "encryption "+Random(32)+"\nintegrity "+Random(32)+"\n")
}

// ByHand is the Keying by manual keys: SPIs from 0x1001 to the server and from 0x2001 back, and
// separate keys for each address of the relay.
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
