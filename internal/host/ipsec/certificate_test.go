package ipsec_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/lab/ike"
)

func authority(t *testing.T, name string) *ike.Authority {
	t.Helper()
	a, err := ike.NewAuthority(name)
	need(t, err)
	return a
}

func issue(t *testing.T, a *ike.Authority, r ike.Request) *ike.Credential {
	t.Helper()
	c, err := a.Issue(r)
	need(t, err)
	return c
}

// certified is the hop six with certificates.
func certified(own *ike.Credential, trusted *ike.Authority) hop.Hop {
	h := six
	h.IKE = &hop.IKE{Certificate: own.Certificate, Key: own.Key, Authorities: [][]byte{trusted.Certificate.Raw}}
	return h
}

// If a certificate is not accepted, both ends are told why.
func TestCertificateFailures(t *testing.T) {
	ours, theirs, other := authority(t, "ours"), authority(t, "theirs"), authority(t, "another")
	there := []netip.Addr{six.Remote}
	past := time.Now().Add(-2 * time.Hour)
	mine := issue(t, ours, ike.Request{Name: "a", Addresses: []netip.Addr{six.Local}})
	for _, c := range []struct {
		name  string
		yours *ike.Credential
		why   string // the reason that the initiator gives, about the responder
	}{
		{"authority", issue(t, other, ike.Request{Name: "b", Addresses: there}), "no trusted ECDSA public key found for '2001:db8::2': no issuer certificate found"},
		{"expired", issue(t, theirs, ike.Request{Name: "b", Addresses: there, From: past, Until: past.Add(time.Hour)}), "no trusted ECDSA public key found for '2001:db8::2': subject certificate invalid (valid from"},
		{"name", issue(t, theirs, ike.Request{Name: "b", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::9")}}), "no trusted ECDSA public key found for '2001:db8::2'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			far := r.open(r.b, hop.OwnerGuard)
			need(t, far.Load(t.Context(), []hop.Hop{turned(certified(c.yours, ours))}))
			h := certified(mine, theirs)
			need(t, r.s.Load(t.Context(), []hop.Hop{h}))
			here, away := r.s.Events(t.Context()), far.Events(t.Context())
			begin := func() { _ = r.s.Initiate(t.Context(), &h, "dhcp") }
			heard(t, here, "the initiator", begin, failed("srv.six", c.why))
			heard(t, away, "the responder", begin, failed("srv.six", ""))
		})
	}
}

// RFC 8213 3e: a certificate that one peer's authority has signed is not accepted for another
// peer, although strongSwan knows both authorities.
func TestAuthorityOfAnotherPeer(t *testing.T) {
	ours, theirs, other := authority(t, "ours"), authority(t, "theirs"), authority(t, "another")
	r := newRig(t)
	mine := issue(t, ours, ike.Request{Name: "a", Addresses: []netip.Addr{six.Local, four.Local}})
	h, beside := certified(mine, theirs), four
	beside.IKE = certified(mine, other).IKE
	need(t, r.s.Load(t.Context(), []hop.Hop{h, beside}))
	far := r.open(r.b, hop.OwnerGuard)
	forged := turned(certified(issue(t, other, ike.Request{Name: "b", Addresses: []netip.Addr{six.Remote}}), ours))
	need(t, far.Load(t.Context(), []hop.Hop{forged}))
	here := r.s.Events(t.Context())
	heard(t, here, "the initiator", func() { _ = r.s.Initiate(t.Context(), &h, "dhcp") }, failed("srv.six", "constraint check failed"))
	heard(t, here, "the responder", func() { _ = far.Initiate(t.Context(), &forged, "dhcp") }, failed("srv.six", ""))
	for _, sa := range r.observe(r.s).IKE {
		if sa.Established {
			t.Errorf("SA %+v", sa)
		}
	}
	need(t, far.Load(t.Context(), []hop.Hop{turned(certified(issue(t, theirs, ike.Request{Name: "b", Addresses: []netip.Addr{six.Remote}}), ours))}))
	_ = r.s.Initiate(t.Context(), &h, "dhcp")
	r.established(r.s, "srv.six")
}

// Private keys have no names in strongSwan: labels tell which ones we loaded. A key that was
// there before stays, and so does one that another owner uses.
func TestPrivateKeys(t *testing.T) {
	r := newRig(t)
	ca := authority(t, "ca")
	shared := issue(t, ca, ike.Request{Name: "shared", Addresses: []netip.Addr{six.Local}})
	own := issue(t, ca, ike.Request{Name: "own", Addresses: []netip.Addr{six.Local}})
	keys := func() []string { return ask(t, r.a, "get-keys", "keys") }
	need(t, r.a.Install(shared, ca))
	need(t, r.a.Load(foreign))
	theirs := keys()
	if len(theirs) != 1 {
		t.Fatalf("private keys %q", theirs)
	}
	need(t, r.s.Load(t.Context(), []hop.Hop{certified(shared, ca)}))
	r.wantSeen(r.s, "srv.six")
	need(t, r.s.Load(t.Context(), []hop.Hop{certified(own, ca)}))
	r.wantSeen(r.s, "srv.six")
	if got := keys(); len(got) != 2 {
		t.Errorf("private keys %q, want %q and one more", got, theirs)
	}
	guard := r.open(r.a, hop.OwnerGuard)
	need(t, guard.Load(t.Context(), []hop.Hop{certified(own, ca)}))
	need(t, r.open(r.a, hop.OwnerRelay).Unload(t.Context())) // a new process, which does not know what was loaded
	if got := keys(); len(got) != 2 {
		t.Errorf("private keys %q, want those of the administrator and of the guard", got)
	}
	need(t, guard.Unload(t.Context()))
	if got := keys(); !slices.Equal(got, theirs) {
		t.Errorf("private keys %q, want %q", got, theirs)
	}
	r.wantKeys(r.a, "ike-theirs")
}

// We compute the number by which strongSwan will know a private key, for each kind of key.
func TestKeyKinds(t *testing.T) {
	r := newRig(t)
	elliptical, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	need(t, err)
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	need(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	need(t, err)
	for _, key := range []crypto.Signer{elliptical, large, edwards} {
		t.Run(fmt.Sprintf("%T", key), func(t *testing.T) {
			template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "one"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
			h := six
			h.IKE = &hop.IKE{}
			h.IKE.Certificate, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			need(t, err)
			h.IKE.Key, err = x509.MarshalPKCS8PrivateKey(key)
			need(t, err)
			h.IKE.Authorities = [][]byte{h.IKE.Certificate}
			need(t, r.s.Load(t.Context(), []hop.Hop{h}))
			r.wantSeen(r.s, "srv.six")
			if got := ask(t, r.a, "get-keys", "keys"); len(got) != 1 {
				t.Errorf("private keys %q", got)
			}
		})
	}
}

// A private key that does not belong to its certificate is refused, and is not left in
// strongSwan.
func TestWrongPrivateKey(t *testing.T) {
	r := newRig(t)
	ca := authority(t, "ca")
	h := certified(issue(t, ca, ike.Request{Name: "one", Addresses: []netip.Addr{six.Local}}), ca)
	h.IKE.Key = issue(t, ca, ike.Request{Name: "two", Addresses: []netip.Addr{six.Local}}).Key
	err := r.s.Load(t.Context(), []hop.Hop{h, four})
	if err == nil || !strings.Contains(err.Error(), "hop srv.six: private key: is not that of the certificate") {
		t.Errorf("error: %v", err)
	}
	if got := ask(t, r.a, "get-keys", "keys"); len(got) != 0 {
		t.Errorf("private keys %q are left", got)
	}
	r.wantSeen(r.s, "srv4")
}
