package config

import (
	"crypto"
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fairlead/internal/app/keyfile"
	"fairlead/internal/core/hop"
)

// Bounds of the time after which an ESP SA is rekeyed.
const (
	leastLifetime = 10 * time.Second
	mostLifetime  = 7 * day
)

// ikeEntry is a mapping "ike" while it is being read.
type ikeEntry struct {
	hop.IKE
	at          map[string]Value
	certificate *x509.Certificate
	public      crypto.PublicKey // the public key that belongs to the private key
	authorities []*x509.Certificate
}

// decodeIKE reads how strongSwan makes the keys.
func (s *stanza) decodeIKE(v Value) {
	e := &ikeEntry{at: make(map[string]Value)}
	keep := func(key string, then func(Value)) func(Value) {
		return func(v Value) {
			e.at[key] = v
			then(v)
		}
	}
	files := v.d.files
	v.Mapping(
		Optional("psk-file", keep("psk-file", readKey(&e.PSK, e.noting(files.secret), keyfile.PSK))).hidden(),
		Optional("certificate", keep("certificate", readKey(&e.certificate, files.public, keyfile.Certificate))).hidden(),
		Optional("key", keep("key", readKey(&e.Key, files.secret, func(text []byte) (key hop.Secret, err error) {
			key, e.public, err = keyfile.PrivateKey(text)
			return key, err
		}))).hidden(),
		Optional("ca", keep("ca", readKey(&e.authorities, files.public, keyfile.Authorities))).hidden(),
		Optional("local-id", keep("local-id", Read(&e.LocalID, keyfile.Identity))),
		Optional("remote-id", keep("remote-id", Read(&e.RemoteID, keyfile.Identity))),
		Optional("proposals", proposals(&e.Proposals, hop.CheckIKE)),
		Optional("esp", proposals(&e.ESP, hop.CheckESP)),
		Optional("lifetime", Read(&e.Lifetime, duration(leastLifetime, mostLifetime))),
	)
	e.check(v)
	s.ike = e.made()
	s.entry = e
}

// noting returns open, changed so that it also keeps the edition of the key file.
func (e *ikeEntry) noting(open func(string) (keyfile.File, error)) func(string) (keyfile.File, error) {
	return func(path string) (keyfile.File, error) {
		f, err := open(path)
		e.Edition = f.Edition
		return f, err
	}
}

// proposals returns a reader of proposals that have to pass a check.
func proposals(to *[]string, check func(string) error) func(Value) {
	return func(v Value) {
		ReadList(to, "proposals in strongSwan's words", func(text string) (string, error) { return text, check(text) })(v)
		if v.isEmptyList() {
			v.Problem("no proposal (at least one, or leave the key out for its default)")
		}
	}
}

// check checks the keys of the mapping against each other.
func (e *ikeEntry) check(v Value) {
	psk, shared := e.at["psk-file"]
	of := []string{"certificate", "key", "ca"}
	var have, lack []string
	for _, key := range of {
		if _, ok := e.at[key]; ok {
			have = append(have, key)
		} else {
			lack = append(lack, key)
		}
	}
	switch {
	case shared && len(have) > 0:
		psk.Problem("a pre-shared key beside %s (psk-file, or certificate, key and ca)", strings.Join(have, ", "))
	case shared:
		psk.once(e.PSK)
	case len(have) == 0:
		v.Problem("no keys (psk-file, or certificate, key and ca)")
	case len(lack) > 0:
		v.Problem("%s without %s (psk-file, or certificate, key and ca)", strings.Join(have, ", "), strings.Join(lack, ", "))
	}
	if e.RemoteID != "" && strings.EqualFold(e.RemoteID, e.LocalID) {
		e.at["remote-id"].Problem("%s is local-id as well (each end has its own)", e.RemoteID)
	}
	if e.certificate != nil && e.public != nil && !keyfile.Matches(e.certificate, e.public) {
		e.at["key"].Problem("not the key of the certificate (the private key that belongs to it)")
	}
	if e.certificate != nil {
		e.at["certificate"].warn(keyfile.Validity(e.certificate, v.d.now))
	}
	for _, c := range e.authorities {
		e.at["ca"].warn(keyfile.Validity(c, v.d.now))
	}
}

// made returns what was read.
func (e *ikeEntry) made() *hop.IKE {
	ike := e.IKE
	if e.certificate != nil {
		ike.Certificate = e.certificate.Raw
	}
	for _, c := range e.authorities {
		ike.Authorities = append(ike.Authorities, c.Raw)
	}
	return &ike
}

// checkLocalIdentity checks our identity, because the peer looks for it in our certificate (RFC
// 7296 section 4).
func (s *stanza) checkLocalIdentity() {
	e := s.entry
	if e == nil || e.certificate == nil {
		return
	}
	prove := func(identity, hint string) {
		if !keyfile.Proves(e.certificate, identity) {
			e.at["certificate"].Problem("it does not say that we are %s, but %s (%s)",
				identity, strings.Join(keyfile.Names(e.certificate), "; "), hint)
		}
	}
	switch {
	case e.LocalID != "":
		prove(e.LocalID, "local-id: one of these, or a certificate with that name")
	case e.at["local-id"].node != nil:
	default:
		const hint = "local-id: one of these, or a certificate with the local address among its alternative names"
		for _, a := range s.locals() {
			prove(a.String(), hint)
		}
	}
}

// locals returns our addresses towards the peer.
func (s *stanza) locals() []netip.Addr {
	var all []netip.Addr
	for _, h := range s.hops() {
		if h.Local.IsValid() && !slices.Contains(all, h.Local) {
			all = append(all, h.Local)
		}
	}
	return all
}
