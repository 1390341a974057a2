package ike_test

import (
	"crypto/x509"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
	"fairlead/internal/lab/labtest"
)

var need = labtest.Need

const text = `connections {
	one {
		version = 2
		local_addrs = 2001:db8::1
		remote_addrs = 2001:db8::2
		local {
			auth = psk
		}
		remote {
			auth = psk
			id = 2001:db8::2
		}
		children {
			dhcp {
				mode = transport
				local_ts = dynamic[udp/547]
				remote_ts = dynamic[udp/547]
			}
		}
	}
}
secrets {
	ike-one {
		id = 2001:db8::2
		secret = "no more than a test"
	}
}
`

// swanctl shows what was loaded, and a new start forgets it. A charon that was killed can be
// started again, while there is another one in another node.
func TestCharon(t *testing.T) {
	labtest.Parallel(t)
	n := lab.ForTest(t)
	var both []*ike.Charon
	for _, name := range []string{"a", "b"} {
		d, err := n.Node(name)
		need(t, err)
		c, err := ike.Start(d, ike.Config{})
		need(t, err)
		both = append(both, c)
	}
	a, b := both[0], both[1]
	need(t, a.Load(text))
	has := func(c *ike.Charon, want bool) {
		t.Helper()
		out, err := c.Swanctl("--list-conns")
		need(t, err)
		if got := strings.Contains(out, "one: IKEv2"); got != want {
			t.Errorf("%s has the connection: %v, want %v:\n%s", c.Node.Name, got, want, out)
		}
	}
	has(a, true)
	has(b, false)
	need(t, a.Stop())
	need(t, a.Start())
	has(a, false)
	need(t, a.Load(text))
	need(t, a.Kill())
	if _, err := a.Swanctl("--list-conns"); err == nil {
		t.Error("a killed charon answers")
	}
	need(t, a.Start())
	has(a, false)
	if err := a.Load(strings.Replace(text, "mode = transport", "mode = sideways", 1)); err == nil {
		t.Error("a mode that there is not was taken")
	}
}

func TestCertificates(t *testing.T) {
	good, err := ike.NewAuthority("good")
	need(t, err)
	other, err := ike.NewAuthority("other")
	need(t, err)
	address := netip.MustParseAddr("2001:db8::1")
	issue := func(r ike.Request) *x509.Certificate {
		t.Helper()
		r.Addresses = []netip.Addr{address}
		c, err := good.Issue(r)
		need(t, err)
		parsed, err := x509.ParseCertificate(c.Certificate)
		need(t, err)
		if _, err := x509.ParsePKCS8PrivateKey(c.Key); err != nil {
			t.Error(err)
		}
		return parsed
	}
	holds := func(c *x509.Certificate, a *ike.Authority, want bool) {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AddCert(a.Certificate)
		_, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: "[2001:db8::1]", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if (err == nil) != want {
			t.Errorf("%s under %s: %v, want it to hold: %v", c.Subject, a.Name, err, want)
		}
	}
	holds(issue(ike.Request{Name: "relay"}), good, true)
	holds(issue(ike.Request{Name: "relay"}), other, false)
	holds(issue(ike.Request{Name: "old", From: time.Now().Add(-2 * time.Hour), Until: time.Now().Add(-time.Hour)}), good, false)
}

func TestWrite(t *testing.T) {
	a, err := ike.NewAuthority("ca")
	need(t, err)
	c, err := a.Issue(ike.Request{Name: "relay"})
	need(t, err)
	files, err := c.Write(t.TempDir(), a)
	need(t, err)
	for path, want := range map[string]string{
		files.Certificate: "CERTIFICATE", files.Key: "PRIVATE KEY", files.Authority: "CERTIFICATE",
	} {
		text, err := os.ReadFile(path)
		need(t, err)
		if !strings.HasPrefix(string(text), "-----BEGIN "+want+"-----\n") {
			t.Errorf("%s begins with %.40q", path, text)
		}
		info, err := os.Stat(path)
		need(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}
