package ike

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates.
type Authority struct {
	Name        string
	Certificate *x509.Certificate

	key *ecdsa.PrivateKey
}

// Credential is a certificate with its private key.
type Credential struct {
	Name        string
	Certificate []byte // DER
	Key         []byte // DER, PKCS #8
}

// Request is what a certificate is to say. If From and Until are zero, the certificate is valid
// from an hour ago, for a day.
type Request struct {
	Name        string       // the common name, and the name of its files
	Addresses   []netip.Addr // subject alternative names
	Names       []string     // DNS names, likewise
	From, Until time.Time
}

// serial returns a random serial number for a certificate.
func serial() (*big.Int, error) { return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) }

// NewAuthority makes an authority with a certificate of its own.
func NewAuthority(name string) (*Authority, error) {
	number, err := serial()
	if err != nil {
		return nil, fmt.Errorf("ike: authority %s: %w", name, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ike: authority %s: %w", name, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("ike: authority %s: %w", name, err)
	}
	a := &Authority{Name: name, key: key}
	if a.Certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("ike: authority %s: %w", name, err)
	}
	return a, nil
}

// Issue makes a key and signs a certificate for it.
func (a *Authority) Issue(r Request) (*Credential, error) {
	number, err := serial()
	if err != nil {
		return nil, fmt.Errorf("ike: certificate %s: %w", r.Name, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("ike: certificate %s: %w", r.Name, err)
	}
	if r.From.IsZero() {
		r.From = time.Now().Add(-time.Hour)
	}
	if r.Until.IsZero() {
		r.Until = time.Now().Add(24 * time.Hour)
	}
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: r.Name},
		NotBefore: r.From, NotAfter: r.Until, DNSNames: r.Names,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	for _, address := range r.Addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("ike: certificate %s: %w", r.Name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("ike: certificate %s: %w", r.Name, err)
	}
	return &Credential{Name: r.Name, Certificate: der, Key: private}, nil
}

// CertificatePEM returns the authority's certificate in PEM.
func (a *Authority) CertificatePEM() []byte { return block("CERTIFICATE", a.Certificate.Raw) }

// CertificatePEM returns the certificate in PEM.
func (c *Credential) CertificatePEM() []byte { return block("CERTIFICATE", c.Certificate) }

// KeyPEM returns the private key in PEM.
func (c *Credential) KeyPEM() []byte { return block("PRIVATE KEY", c.Key) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Files are the paths of a credential and of its authority's certificate.
type Files struct {
	Certificate, Key, Authority string
}

// Stanza returns the key ike for a peer in Fairlead's configuration that has this certificate,
// indented by four spaces.
func (f Files) Stanza() string {
	return fmt.Sprintf("    ike:\n      certificate: %s\n      key: %s\n      ca: %s\n", f.Certificate, f.Key, f.Authority)
}

// Write writes a credential, and the certificate of the authority that its owner trusts, into a
// folder. The files are in PEM, and only their owner can read them.
func (c *Credential) Write(folder string, trusted *Authority) (Files, error) {
	f := Files{
		Certificate: filepath.Join(folder, c.Name+".crt"),
		Key:         filepath.Join(folder, c.Name+".key"),
		Authority:   filepath.Join(folder, c.Name+"-ca.crt"),
	}
	for path, text := range map[string][]byte{
		f.Certificate: c.CertificatePEM(), f.Key: c.KeyPEM(), f.Authority: trusted.CertificatePEM(),
	} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return Files{}, fmt.Errorf("ike: %w", err)
		}
	}
	return f, nil
}
