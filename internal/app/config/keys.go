package config

import (
	"crypto/sha256"
	"errors"

	"fairlead/internal/app/keyfile"
	"fairlead/internal/core/hop"
)

var errNoTLS = errors.New(`"tls" is ` + noTLS + " (one of: none, ipsec)")

// keyFiles reads the files that a configuration names.
type keyFiles struct {
	secret, public func(path string) (keyfile.File, error)
}

// onDisk reads them where they are.
var onDisk = keyFiles{keyfile.Secret, keyfile.Public}

// keyFile reads the file that a value names; what is wrong with either is
// reported where the value is.
func (v value) keyFile(open func(string) (keyfile.File, error)) (path string, f keyfile.File, ok bool) {
	path, ok = scalar(v, file)
	if !ok {
		return path, f, false
	}
	f, err := open(path)
	if err != nil {
		v.problem("%s: %v", path, err)
		return path, f, false
	}
	return path, f, true
}

// readKey makes a reader of a value that names a file.
func readKey[T any](to *T, open func(string) (keyfile.File, error), parse func([]byte) (T, error)) func(value) {
	return func(v value) {
		path, f, ok := v.keyFile(open)
		if !ok {
			return
		}
		got, err := parse(f.Text)
		if err != nil {
			v.problem("%s: %v", path, err)
			return
		}
		*to = got
	}
}

// decodeManual reads the keys of one pair of addresses.
func decodeManual(v value) *hop.Manual {
	m := new(hop.Manual)
	suite := hop.AES256SHA256
	var suites []choice[hop.Suite]
	for s := hop.AES128SHA256; s <= hop.AES256SHA512; s++ {
		suites = append(suites, choice[hop.Suite]{s.String(), s})
	}
	v.mapping(
		optional("algorithm", read(&suite, oneOf(suites...))),
		required("out", "a mapping with spi and key-file", func(v value) { m.Out = decodeSA(v, suite) }),
		required("in", "a mapping with spi and key-file, or a list of two while keys roll over", func(v value) {
			if !v.isList() {
				m.In = []hop.ManualSA{decodeSA(v, suite)}
				return
			}
			v.list("mappings with spi and key-file", func(v value) { m.In = append(m.In, decodeSA(v, suite)) })
			if n := len(m.In); n < 1 || n > 2 {
				v.problem("%d entries (one, or two while keys roll over)", n)
			}
		}),
	)
	return m
}

// leastSPI: those below are reserved (RFC 4303 section 2.1).
const leastSPI = 256

// decodeSA reads the key of one direction.
func decodeSA(v value, suite hop.Suite) hop.ManualSA {
	sa := hop.ManualSA{Suite: suite}
	v.mapping(
		required("spi", "a number from 256", read(&sa.SPI, spi)),
		required("key-file", "a file with the keys", func(v value) {
			path, f, ok := v.keyFile(v.d.files.secret)
			if !ok {
				return
			}
			var err error
			if sa.Encryption, sa.Integrity, err = keyfile.Manual(f.Text, suite); err != nil {
				v.problem("%s: %v", path, err)
			}
			sa.Made = f.Changed
			v.once(sa.Encryption, sa.Integrity)
		}),
	)
	return sa
}

// once reports keys that are in force elsewhere in the file: trust is pairwise
// (RFC 8213 section 3), and a key for both directions would let the peer's
// messages come back to it.
func (v value) once(keys ...hop.Secret) {
	for _, key := range keys {
		if len(key) == 0 {
			continue // not read, which is reported
		}
		sum := sha256.Sum256(key)
		if other, ok := v.d.keys[sum]; ok {
			v.problem("the same key as %s (each peer, direction and SPI has its own)", other)
			return
		}
		v.d.keys[sum] = v.path
	}
}
