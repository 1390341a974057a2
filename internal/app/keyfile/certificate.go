package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"fairlead/internal/core/hop"
)

const (
	// leastRSA is the smallest length of RSA keys, in bits. RFC 8247 section 3.1.1 says SHOULD
	// NOT for shorter ones, and we know of no peer that needs them.
	leastRSA = 2048
	// mostAuthorities bounds the certificates in one file of authorities.
	mostAuthorities = 64
	// soon is how long before its end there is a warning about a certificate.
	soon = 30 * 24 * time.Hour
)

// Certificate parses a PEM file with one certificate, our own.
func Certificate(text []byte) (*x509.Certificate, error) {
	all, err := certificates(text)
	if err != nil {
		return nil, err
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("%d certificates (one; the peer has what lies between it and the authority)", len(all))
	}
	c := all[0]
	if err := strong(c); err != nil {
		return nil, err
	}
	if c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return nil, errors.New("a certificate whose key must not sign (key usage digitalSignature: RFC 4945 section 5.1.3.2)")
	}
	return c, nil
}

// Authorities parses a PEM file with the certificates of authorities that may have signed a
// peer's.
func Authorities(text []byte) ([]*x509.Certificate, error) {
	all, err := certificates(text)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		switch {
		case !c.BasicConstraintsValid || !c.IsCA:
			return nil, fmt.Errorf("%q is no authority (a certificate with CA:TRUE in its basic constraints)", name(c))
		case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
			return nil, fmt.Errorf("%q must not sign certificates (key usage keyCertSign)", name(c))
		}
		if err := strong(c); err != nil {
			return nil, fmt.Errorf("%q: %w", name(c), err)
		}
	}
	return all, nil
}

// certificates parses a PEM file with certificates and nothing else.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM of type %q (CERTIFICATE)", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("no certificate: %w", err)
		}
		if all = append(all, c); len(all) > mostAuthorities {
			return nil, fmt.Errorf("more than %d certificates", mostAuthorities)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in it (PEM)")
	}
	return all, nil
}

// strong refuses certificates whose key or signature is too weak.
func strong(c *x509.Certificate) error {
	if err := strongKey(c.PublicKey); err != nil {
		return err
	}
	// No peer checks the signature of a self-signed certificate.
	if !bytes.Equal(c.RawIssuer, c.RawSubject) {
		switch c.SignatureAlgorithm {
		case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
			return fmt.Errorf("signed with %v (SHA2-256 or better: RFC 8247 section 3.2)", c.SignatureAlgorithm)
		}
	}
	return nil
}

func strongKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < leastRSA {
			return fmt.Errorf("an RSA key of %d bits (at least %d: RFC 8247 section 3.1.1)", n, leastRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return errors.New("an ECDSA key on P-224 (P-256, P-384 or P-521)")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("a key of type %T (RSA, ECDSA or Ed25519)", public)
}

// PrivateKey parses a PEM file with a private key that is not encrypted. The
// first result is the key in PKCS #8, as DER.
func PrivateKey(text []byte) (hop.Secret, crypto.PublicKey, error) {
	block, rest := pem.Decode(text)
	// OpenSSL writes the parameters of a curve before the key.
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, nil, errors.New("no private key in it (PEM)")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, nil, fmt.Errorf("PEM of type %q after the key (one key)", more.Type)
	}
	key, err := parseKey(block)
	if err != nil {
		return nil, nil, err
	}
	if err := strongKey(key.Public()); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, errors.New("a private key that cannot be written as PKCS #8")
	}
	return der, key.Public(), nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	_, encrypted := block.Headers["DEK-Info"]
	switch {
	case encrypted || block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("an encrypted private key (nobody is there to type the passphrase: openssl pkey -in OLD -out NEW)")
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("PEM of type %q (PRIVATE KEY)", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("no private key that can be read (RSA, ECDSA or Ed25519, as PKCS #8)") // the cause may quote the key
	}
	return signer, nil
}

// Matches reports whether the public key is the certificate's.
func Matches(c *x509.Certificate, public crypto.PublicKey) bool {
	own, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

// Validity tells what is wrong with the time in which a certificate is valid; empty if nothing
// is.
func Validity(c *x509.Certificate, now time.Time) string {
	const day = "2006-01-02 15:04 MST"
	switch {
	case now.Before(c.NotBefore):
		return fmt.Sprintf("certificate %q is not valid before %s", name(c), c.NotBefore.UTC().Format(day))
	case now.After(c.NotAfter):
		return fmt.Sprintf("certificate %q has expired at %s", name(c), c.NotAfter.UTC().Format(day))
	case now.Add(soon).After(c.NotAfter):
		return fmt.Sprintf("certificate %q expires at %s", name(c), c.NotAfter.UTC().Format(day))
	}
	return ""
}

// name is the name of a certificate in texts.
func name(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return s
	}
	return "serial number " + c.SerialNumber.String()
}
