// Package docs holds documents; this test tries the configuration files in them.
package docs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/config"
)

// folder is where the examples have their keys.
const folder = "/etc/fairlead/keys/"

var (
	fenced  = regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```$")
	keyFile = regexp.MustCompile(folder + `[\w.-]+`)
)

// Every example in ipsec.md is a file, or a part of a peer, that Fairlead takes.
func TestExamplesOfIPsec(t *testing.T) {
	text, err := os.ReadFile("ipsec.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/"
	blocks := fenced.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 10 {
		t.Fatalf("%d examples: the document is read wrongly", len(blocks))
	}
	for _, b := range blocks {
		example := indent(b[1], 0)
		for _, path := range keyFile.FindAllString(example, -1) {
			keep(t, dir, filepath.Base(path))
		}
		whole := strings.ReplaceAll(example, folder, dir)
		if !strings.HasPrefix(whole, "peers:") {
			whole = around(whole, dir)
			keep(t, dir, "other.psk")
			keep(t, dir, "other.esp")
		}
		if strings.Contains(whole, "\nrelay6:") || strings.Contains(whole, "\nrelay4:") {
			_, err = config.Kinds{config.Relay6Kind(), config.Relay4Kind()}.Parse("relay.yaml", []byte(whole))
		} else {
			_, err = config.ParseGuard("guard.yaml", []byte(whole))
		}
		if err != nil {
			t.Errorf("%v\n%s", err, whole)
		}
	}
}

// around makes a file of the part of one peer.
func around(part, dir string) string {
	const six = "peers:\n  - name: relay1\n    address: 2001:db8:ffff::547\n    local: 2001:db8:ffff::1\n    role: server\n"
	const four = "peers:\n  - name: relay4\n    address: 198.51.100.1\n    local: 198.51.100.67\n    role: relay\n"
	const ipsec = "    protection: ipsec\n"
	switch {
	case strings.HasPrefix(part, "in:"):
		return six + ipsec + "    manual:\n      out: {spi: 0x3001, key-file: " + dir + "other.esp}\n" + indent(part, 6)
	case strings.HasPrefix(part, "giaddrs:"):
		return four + ipsec + "    ike: {psk-file: " + dir + "other.psk}\n" + indent(part, 4)
	case !strings.Contains(part, "protection:"):
		return six + ipsec + indent(part, 4)
	}
	return six + indent(part, 4)
}

// indent moves lines together so that the first begins at a column.
func indent(text string, column int) string {
	first := len(text) - len(strings.TrimLeft(text, " "))
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.Repeat(" ", column) + strings.TrimPrefix(line, strings.Repeat(" ", first)))
	}
	return b.String()
}

// keep makes a key file, by its name of the kind that the examples use.
func keep(t *testing.T, dir, name string) {
	t.Helper()
	if _, err := os.Stat(dir + name); err == nil {
		return
	}
	write := func(name, text string) {
		if err := os.WriteFile(dir+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	switch filepath.Ext(name) {
	case ".psk":
		write(name, "0x"+random()+"\n")
	case ".esp":
		write(name, "encryption "+random()+"\nintegrity "+random()+"\n")
	default:
		certificate, key := selfSigned(t)
		for _, name := range []string{"relay1.pem", "ca.pem"} {
			write(name, certificate)
		}
		write("relay1.key", key)
	}
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// selfSigned is a certificate of the examples' relay that is its own authority,
// and its key, in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IPAddresses: []net.IP{net.ParseIP("2001:db8:ffff::1")},
		IsCA:        true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
