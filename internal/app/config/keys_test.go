package config

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/keyfile"
	"fairlead/internal/core/hop"
)

// today is when the files of these tests are read; made is when a key was last changed.
var (
	today = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	made  = time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)
)

// testFiles are key files that are on no disk. What they contain follows from their names.
//
//	*.psk       a pre-shared key of its own
//	*.keys      manual keys of its own, for aes256-sha256
//	NAME.key    a private key of its own
//	NAME.pem    the certificate for NAME.key; an authority's if NAME starts with ca
//	absent*     none
//	short*      a file that is too short for a key
//
// The part of a name before + makes no difference: a+x.psk has the same key as x.psk. An
// exception is half+x.keys, which shares only the integrity key with x.keys. A certificate's
// alternative names are NAME.example.com and 2001:db8:ffff::1.
var testFiles = keyFiles{secret: testSecret, public: testPublic}

// octets returns octets that look random, and are always the same for one name.
func octets(name string, n int) []byte {
	sum := sha512.Sum512([]byte(name))
	return sum[:n]
}

func privateOf(name string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(octets(name+".key", ed25519.SeedSize))
}

func testSecret(path string) (keyfile.File, error) {
	name := filepath.Base(path)
	if _, same, ok := strings.Cut(name, "+"); ok {
		name = same
	}
	switch {
	case strings.HasPrefix(name, "absent"):
		return keyfile.File{}, fs.ErrNotExist
	case strings.HasPrefix(name, "short"):
		return keyfile.File{Text: []byte("0x0102\n")}, nil
	case strings.HasSuffix(name, ".psk"):
		return keyfile.File{Text: fmt.Appendf(nil, "0x%x\n", octets(name, 32)), Changed: made}, nil
	case strings.HasSuffix(name, ".key"):
		der, err := x509.MarshalPKCS8PrivateKey(privateOf(strings.TrimSuffix(name, ".key")))
		return keyfile.File{Text: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}, err
	}
	keys := octets(name, 64)
	if strings.HasPrefix(filepath.Base(path), "half+") {
		copy(keys, octets("half", 32))
	}
	return keyfile.File{Text: fmt.Appendf(nil, "encryption %x\nintegrity %x\n", keys[:32], keys[32:]), Changed: made}, nil
}

func testPublic(path string) (keyfile.File, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".pem")
	switch {
	case strings.HasPrefix(name, "absent"):
		return keyfile.File{}, fs.ErrNotExist
	case strings.HasPrefix(name, "short"):
		return keyfile.File{Text: []byte("----\n")}, nil
	}
	der, err := x509.CreateCertificate(nil, template509(name), template509("ca"), privateOf(name).Public(), crypto.Signer(privateOf("ca")))
	return keyfile.File{Text: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// template509 returns what the certificate of that name says. That of old-* has expired, that of
// young-* is not valid yet, and that of late-* ends in a week.
func template509(name string) *x509.Certificate {
	from, to := today.AddDate(-1, 0, 0), today.AddDate(1, 0, 0)
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "old":
		to = today.AddDate(0, 0, -1)
	case "young":
		from = today.AddDate(0, 0, 1)
	case "late":
		to = today.AddDate(0, 0, 7)
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: name},
		NotBefore: from, NotAfter: to,
		DNSNames: []string{name + ".example.com"}, IPAddresses: []net.IP{net.ParseIP("2001:db8:ffff::1")},
		BasicConstraintsValid: true, IsCA: strings.HasPrefix(name, "ca"),
	}
}

// withKeys returns a decoder that knows the test's files and no others.
func withKeys(guard bool) *decoder {
	d := newDecoder("f.yaml")
	d.files, d.now, d.guard = testFiles, today, guard
	return d
}

// parseKeys is Parse with the test's files.
func parseKeys(t *testing.T, text string) *Config {
	t.Helper()
	d := withKeys(false)
	c := d.config([]byte(text), relays)
	if err := d.failed(); err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return c
}

// parseGuardKeys is ParseGuard with the test's files.
func parseGuardKeys(t *testing.T, text string) *Config {
	t.Helper()
	d := withKeys(true)
	g := d.guardFile([]byte(text))
	if err := d.failed(); err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return g
}

// manualSA returns the SA that a test file makes.
func manualSA(spi uint32, file string) hop.ManualSA {
	keys := octets(file, 64)
	return hop.ManualSA{SPI: spi, Suite: hop.AES256SHA256, Encryption: keys[:32], Integrity: keys[32:], Made: made}
}

// decodePEM returns what the first block of a PEM file contains.
func decodePEM(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM in %q", text)
	}
	return block.Bytes
}

// printAll prints a hop in all ways in which one might be printed by mistake.
func printAll(h hop.Hop) string {
	text := fmt.Sprintf("%v %+v %#v", h, h, h)
	if h.IKE != nil {
		text += fmt.Sprintf("%v %+v %#v %s %x", *h.IKE, *h.IKE, *h.IKE, h.IKE.PSK, h.IKE.PSK.String())
	}
	if h.Manual != nil {
		text += fmt.Sprintf("%v %+v %#v", *h.Manual, *h.Manual, *h.Manual)
	}
	return text
}

// spellings returns the ways in which octets are written.
func spellings(b []byte) []string {
	list := fmt.Sprint(b)
	return []string{string(b), fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), list[1 : len(list)-1], fmt.Sprintf("%#v", b)}
}

// The edition of a pre-shared key tells whether the file is the same, and does not reveal the
// key.
func TestEditionOfAKey(t *testing.T) {
	d := withKeys(true)
	d.files.secret = func(path string) (keyfile.File, error) {
		f, err := testFiles.secret(path)
		f.Edition = "third"
		return f, err
	}
	g := d.guardFile([]byte("peers: [{name: a, address: 192.0.2.1, local: 192.0.2.2, role: relay, giaddrs: [192.0.2.9], protection: ipsec, ike: {psk-file: /a.psk}}]\n"))
	if err := d.failed(); err != nil {
		t.Fatal(err)
	}
	hops := g.Hops()
	if len(hops) != 2 || hops[0].IKE.Edition != "third" || hops[1].IKE.Edition != "third" {
		t.Errorf("hops %+v", hops)
	}
}
