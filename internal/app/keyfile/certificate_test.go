package keyfile_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"fairlead/internal/app/keyfile"
)

// fixture is a file of testdata/x509.txtar, several joined where names are.
func fixture(t *testing.T, names ...string) []byte {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/x509.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range names {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			t.Fatalf("no fixture %s", name)
		}
		all = append(all, archive.Files[i].Data...)
	}
	return all
}

// What OpenSSL writes is read, whatever kind of key it is.
func TestCertificateAndKey(t *testing.T) {
	for _, tc := range []struct{ certificate, key string }{
		{"rsa2048.pem", "rsa2048.key"},
		{"rsa2048.pem", "rsa2048-pkcs1.key"},
		{"p256.pem", "p256.key"},
		{"p256.pem", "p256-sec1.key"},
		{"ed25519.pem", "ed25519.key"},
	} {
		file := fixture(t, tc.certificate)
		c, err := keyfile.Certificate(file)
		if err != nil {
			t.Errorf("%s: %v", tc.certificate, err)
			continue
		}
		if block, _ := pem.Decode(file); !bytes.Equal(c.Raw, block.Bytes) {
			t.Errorf("%s: another certificate than is in the file", tc.certificate)
		}
		der, public, err := keyfile.PrivateKey(fixture(t, tc.key))
		if err != nil {
			t.Errorf("%s: %v", tc.key, err)
			continue
		}
		if _, err := x509.ParsePKCS8PrivateKey(der); err != nil {
			t.Errorf("%s: not PKCS #8: %v", tc.key, err)
		}
		for _, other := range []string{"rsa2048.pem", "p256.pem", "ed25519.pem"} {
			with, err := keyfile.Certificate(fixture(t, other))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := keyfile.Matches(with, public), other == tc.certificate; got != want {
				t.Errorf("%s and %s match: %v, want %v", other, tc.key, got, want)
			}
		}
	}
}

// RFC 8247 sections 3.1.1 and 3.2: what is too weak to say who somebody is.
func TestRFC8247_CertificatesRefused(t *testing.T) {
	for _, tc := range []struct {
		files []string
		want  string
	}{
		{[]string{"rsa1024.pem"}, "an RSA key of 1024 bits (at least 2048: RFC 8247 section 3.1.1)"},
		{[]string{"sha1.pem"}, "signed with ECDSA-SHA1 (SHA2-256 or better: RFC 8247 section 3.2)"},
		{[]string{"p224.pem"}, "an ECDSA key on P-224 (P-256, P-384 or P-521)"},
		{[]string{"nosign.pem"}, "a certificate whose key must not sign (key usage digitalSignature: RFC 4945 section 5.1.3.2)"},
		{[]string{"p256.pem", "ca.pem"}, "2 certificates (one; the peer has what lies between it and the authority)"},
		{[]string{"p256.key"}, `PEM of type "PRIVATE KEY" (CERTIFICATE)`},
		{nil, "no certificate in it (PEM)"},
	} {
		c, err := keyfile.Certificate(fixture(t, tc.files...))
		if c != nil || text(err) != tc.want {
			t.Errorf("%s: error %q, want %q", tc.files, text(err), tc.want)
		}
	}
	_, err := keyfile.Certificate([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	if !strings.HasPrefix(text(err), "no certificate: ") {
		t.Errorf("three octets: %v", err)
	}
}

func TestAuthorities(t *testing.T) {
	all, err := keyfile.Authorities(fixture(t, "ca.pem", "casha1self.pem"))
	if err != nil || len(all) != 2 || all[0].Subject.CommonName != "Root" || all[1].Subject.CommonName != "Old Root" {
		t.Errorf("two authorities, of which the second has signed itself by SHA-1: %v, %v", all, err)
	}
	for _, tc := range []struct {
		files []string
		want  string
	}{
		{[]string{"ca.pem", "p256.pem"}, `"CN=relay1,O=Example,C=CH" is no authority (a certificate with CA:TRUE in its basic constraints)`},
		{[]string{"canosign.pem"}, `"CN=Mute" must not sign certificates (key usage keyCertSign)`},
		{[]string{"ca1024.pem"}, `"CN=Small": an RSA key of 1024 bits (at least 2048: RFC 8247 section 3.1.1)`},
		{slices.Repeat([]string{"ca.pem"}, 65), "more than 64 certificates"},
		{nil, "no certificate in it (PEM)"},
	} {
		if _, err := keyfile.Authorities(fixture(t, tc.files...)); text(err) != tc.want {
			t.Errorf("%.3s: error %q, want %q", tc.files, text(err), tc.want)
		}
	}
}

func TestPrivateKeyRefused(t *testing.T) {
	const encrypted = "an encrypted private key (nobody is there to type the passphrase: openssl pkey -in OLD -out NEW)"
	const unknown = "no private key that can be read (RSA, ECDSA or Ed25519, as PKCS #8)"
	for _, tc := range []struct {
		files []string
		want  string
	}{
		{[]string{"encrypted.key"}, encrypted},
		{[]string{"encrypted-sec1.key"}, encrypted},
		{[]string{"p224.key"}, "an ECDSA key on P-224 (P-256, P-384 or P-521)"},
		{[]string{"x25519.key"}, unknown},
		{[]string{"p256.pem"}, `PEM of type "CERTIFICATE" (PRIVATE KEY)`},
		{[]string{"p256.key", "rsa2048.key"}, `PEM of type "PRIVATE KEY" after the key (one key)`},
		{nil, "no private key in it (PEM)"},
	} {
		der, _, err := keyfile.PrivateKey(fixture(t, tc.files...))
		if der != nil || text(err) != tc.want {
			t.Errorf("%s: error %q, want %q", tc.files, text(err), tc.want)
		}
	}
	// The standard library may refuse to read it before we look at its length.
	if der, _, err := keyfile.PrivateKey(fixture(t, "rsa1024.key")); der != nil || err == nil {
		t.Errorf("RSA of 1024 bits: %v", err)
	}
}

// A certificate proves the names in it and no others.
func TestProves(t *testing.T) {
	c, err := keyfile.Certificate(fixture(t, "p256.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for identity, want := range map[string]bool{
		"2001:db8::1": true, "2001:db8::2": false, "192.0.2.1": true, "192.0.2.2": false, "::ffff:192.0.2.1": false,
		"relay1.example.com": true, "RELAY1.example.com": true, "relay1": false, "example.com": false, "relay1.example.com.": false,
		"noc@example.com": true, "root@example.com": false,
		"C=CH, O=Example, CN=relay1": true, "C=CH,O=Example,CN=relay1": true,
		"CN=relay1, O=Example, C=CH": false, "C=CH, O=Example": false, "C=CH, O=Example, CN=relay2": false, "CN=relay1": false,
	} {
		if got := keyfile.Proves(c, identity); got != want {
			t.Errorf("proves %s: %v, want %v", identity, got, want)
		}
	}
	want := []string{"2001:db8::1", "192.0.2.1", "relay1.example.com", "noc@example.com", "C=CH, O=Example, CN=relay1"}
	if got := keyfile.Names(c); !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	for _, name := range want {
		if _, err := keyfile.Identity(name); err != nil || !keyfile.Proves(c, name) {
			t.Errorf("%s, which we name ourselves: proves %v, %v", name, keyfile.Proves(c, name), err)
		}
	}
}

func TestIdentity(t *testing.T) {
	for text, want := range map[string]string{
		"2001:DB8:0::1": "2001:db8::1", "192.0.2.1": "192.0.2.1", "relay1": "relay1", "Relay-1.example.com": "Relay-1.example.com",
		"noc+1@example.com": "noc+1@example.com", "C=CH, O=Example Ltd, CN=relay 1": "C=CH, O=Example Ltd, CN=relay 1",
	} {
		if got, err := keyfile.Identity(text); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	const forms = `(an address, a domain name, user@domain, or a distinguished name such as "O=Example, CN=relay1")`
	const parts = "(C, ST, L, O, OU, CN, SN, DC, UID or E, = and text, parted by commas)"
	for identity, want := range map[string]string{
		"%any":                   `"%any" stands for many ` + forms,
		"*.example.com":          `"*.example.com" stands for many ` + forms,
		"C=CH, CN=*":             `"C=CH, CN=*" stands for many ` + forms,
		"fe80::1%eth0":           `"fe80::1%eth0" has a zone (the address alone)`,
		"@example.com":           `"@example.com" is no identity ` + forms,
		"a@b@c":                  `"a@b@c" is no identity ` + forms,
		"fqdn:relay1":            `"fqdn:relay1" is no identity ` + forms,
		"a b":                    `"a b" is no identity ` + forms,
		"a..b":                   `"a..b" is no identity ` + forms,
		"CN=":                    `"CN=" is no part of a distinguished name ` + parts,
		"cn=relay1":              `"cn=relay1" is no part of a distinguished name ` + parts,
		"CN=a, b":                `"b" is no part of a distinguished name ` + parts,
		strings.Repeat("a", 254): "254 octets long " + forms,
	} {
		if got, err := keyfile.Identity(identity); got != "" || text(err) != want {
			t.Errorf("%s: %q, error %q, want %q", identity, got, text(err), want)
		}
	}
}

func TestValidity(t *testing.T) {
	c, err := keyfile.Certificate(fixture(t, "p256.pem"))
	if err != nil {
		t.Fatal(err)
	}
	const at = "2006-01-02 15:04 MST"
	for _, tc := range []struct {
		now  time.Time
		want string
	}{
		{c.NotBefore, ""},
		{c.NotBefore.Add(-time.Second), `certificate "CN=relay1,O=Example,C=CH" is not valid before ` + c.NotBefore.UTC().Format(at)},
		{c.NotAfter.Add(-30 * 24 * time.Hour), ""},
		{c.NotAfter.Add(-30*24*time.Hour + time.Second), `certificate "CN=relay1,O=Example,C=CH" expires at ` + c.NotAfter.UTC().Format(at)},
		{c.NotAfter.Add(time.Second), `certificate "CN=relay1,O=Example,C=CH" has expired at ` + c.NotAfter.UTC().Format(at)},
	} {
		if got := keyfile.Validity(c, tc.now); got != tc.want {
			t.Errorf("at %v: %q, want %q", tc.now, got, tc.want)
		}
	}
}
