package control_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
)

// authority signs certificates for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{next: 0x1000}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = parse(t, template, template, a.key, a.key)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parse(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// issue makes a certificate for a name, with organisational units, for a client or a server.
func (a *authority) issue(t *testing.T, usage x509.ExtKeyUsage, name string, units ...string) tls.Certificate {
	t.Helper()
	a.next++
	key := newKey(t)
	cert := parse(t, &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name, OrganizationalUnit: units},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func writePEM(t *testing.T, path, kind string, der []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// files writes the files that the configuration names.
func (a *authority) files(t *testing.T, clients *authority) *config.ControlTLS {
	t.Helper()
	dir := t.TempDir()
	pair := a.issue(t, x509.ExtKeyUsageServerAuth, "relay")
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return &config.ControlTLS{
		Address:     netip.MustParseAddrPort("127.0.0.1:0"),
		Certificate: writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", pair.Certificate[0], 0o644),
		Key:         writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", key, 0o600),
		ClientCA:    writePEM(t, filepath.Join(dir, "ca.pem"), "CERTIFICATE", clients.cert.Raw, 0o644),
	}
}

// call sends one request over TCP, with or without a certificate.
func call(t *testing.T, s *served, trust *authority, pair *tls.Certificate, method, path string) (int, string, error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(trust.cert)
	c := &tls.Config{RootCAs: pool}
	if pair != nil {
		// The client shows it, whatever authority the server asks for.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(within(t), method, "https://"+s.TCPAddr().String()+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := web.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

func TestCertificates(t *testing.T) {
	servers, clients, strangers := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "strangers")
	audit := filepath.Join(t.TempDir(), "audit.log")
	s := serve(t, func(c *config.Config) {
		c.Control.Listen = servers.files(t, clients)
		c.Control.Operators = []config.Principal{{Name: "alice"}, {Group: true, Name: "noc"}}
		c.Control.Readers = []config.Principal{{Name: "bob"}, {ID: 0}}
		c.Audit.File = audit
	}, nil)
	user := x509.ExtKeyUsageClientAuth
	tests := []struct {
		name         string
		pair         tls.Certificate
		look, change int // HTTP status; 0: no connection
	}{
		{"operator", clients.issue(t, user, "alice"), 200, 200},
		{"operator by unit", clients.issue(t, user, "carol", "sales", "noc"), 200, 200},
		{"reader", clients.issue(t, user, "bob"), 200, 403},
		{"nobody", clients.issue(t, user, "mallory"), 403, 403},
		{"nobody with a unit that is a user's name", clients.issue(t, user, "mallory", "alice"), 403, 403},
		{"nobody with a name that is a group's", clients.issue(t, user, "noc"), 403, 403},
		{"root is nobody here", clients.issue(t, user, "root"), 403, 403},
		{"a number is nobody here", clients.issue(t, user, "0"), 403, 403},
		{"no name", clients.issue(t, user, ""), 403, 403},
		{"another authority", strangers.issue(t, user, "alice"), 0, 0},
		{"a server's certificate", clients.issue(t, x509.ExtKeyUsageServerAuth, "alice"), 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []struct {
				method, path string
				want         int
			}{{"GET", "/v1/status", tt.look}, {"POST", "/v1/reload", tt.change}} {
				code, body, err := call(t, s, servers, &tt.pair, r.method, r.path)
				if code != r.want || (err != nil) != (r.want == 0) {
					t.Errorf("%s %s: %d %s %v, want %d", r.method, r.path, code, body, err, r.want)
				}
			}
		})
	}
	if code, _, err := call(t, s, servers, nil, "GET", "/v1/status"); err == nil {
		t.Errorf("without a certificate: %d, want no connection", code)
	}
	b, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	want := `"deed":"reload","outcome":"done","role":"operator","user":"alice","certificate":"1001","issuer":"CN=clients"`
	if !strings.Contains(string(b), want) {
		t.Errorf("audit log lacks %s:\n%s", want, b)
	}
}

// A reload takes new certificates over, and refuses bad ones as a whole.
func TestCertificatesChange(t *testing.T) {
	old, next, clients := newAuthority(t, "old"), newAuthority(t, "next"), newAuthority(t, "clients")
	s := serve(t, func(c *config.Config) {
		c.Control.Listen = old.files(t, clients)
		c.Control.Readers = []config.Principal{{Name: "bob"}}
	}, nil)
	bob := clients.issue(t, x509.ExtKeyUsageClientAuth, "bob")
	if code, _, err := call(t, s, old, &bob, "GET", "/v1/status"); code != 200 || err != nil {
		t.Fatalf("before: %d, %v", code, err)
	}
	changed := *s.config
	changed.Control.Listen = next.files(t, clients)
	if err := s.Reconfigure(&changed.Process); err != nil {
		t.Fatal(err)
	}
	if code, _, err := call(t, s, next, &bob, "GET", "/v1/status"); code != 200 || err != nil {
		t.Errorf("after: %d, %v", code, err)
	}
	bad := changed
	bad.Control.Readers = nil
	broken := *changed.Control.Listen
	broken.Key = broken.Certificate
	bad.Control.Listen = &broken
	if err := s.Reconfigure(&bad.Process); err == nil {
		t.Error("a key that is none: no error")
	}
	if code, _, err := call(t, s, next, &bob, "GET", "/v1/status"); code != 200 || err != nil {
		t.Errorf("after a refused change: %d, %v, want all as before", code, err)
	}
}

// A key that stands in the place of its file's path is not repeated in an error, whatever its
// first characters are.
func TestListenFilesThatAreKeys(t *testing.T) {
	const key = "/U3VwZXJTZWNyZXRLZXlPZlRoZVBlZXI="
	for _, field := range []string{"certificate", "key", "client-ca"} {
		a := newAuthority(t, "a")
		c := config.Default()
		c.Control.Socket, c.Control.Group, c.Control.Listen = filepath.Join(t.TempDir(), "c.sock"), "0", a.files(t, a)
		*map[string]*string{"certificate": &c.Control.Listen.Certificate, "key": &c.Control.Listen.Key, "client-ca": &c.Control.Listen.ClientCA}[field] = key
		_, err := control.Listen(&c.Process, controltest.New().Routes(), discard)
		if want := "control.listen." + field + ": no such file or directory"; err == nil || err.Error() != want {
			t.Errorf("%s: err = %v, want %s", field, err, want)
		}
	}
}

// Files with secrets that others can read are refused.
func TestKeyThatOthersCanRead(t *testing.T) {
	a := newAuthority(t, "a")
	c := config.Default()
	c.Control.Socket, c.Control.Group, c.Control.Listen = filepath.Join(t.TempDir(), "c.sock"), "0", a.files(t, a)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(c.Control.Listen.Key, mode); err != nil {
			t.Fatal(err)
		}
		_, err := control.Listen(&c.Process, controltest.New().Routes(), discard)
		if err == nil || !strings.Contains(err.Error(), "lets others than its owner in") {
			t.Errorf("mode %v: err = %v, want a refusal", mode, err)
		}
	}
}
