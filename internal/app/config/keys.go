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

// onDisk reads files from the disk.
var onDisk = keyFiles{keyfile.Secret, keyfile.Public}

// keyFile reads the file that a value names. Problems of the value or the file are reported at
// the value.
func (v Value) keyFile(open func(string) (keyfile.File, error)) (path string, f keyfile.File, ok bool) {
	path, ok = scalar(v, file)
	if !ok {
		return path, f, false
	}
	f, err := open(path)
	if err != nil {
		v.unopened(err)
		return path, f, false
	}
	return path, f, true
}

// readKey returns a reader of a value that names a file.
func readKey[T any](to *T, open func(string) (keyfile.File, error), parse func([]byte) (T, error)) func(Value) {
	return func(v Value) {
		path, f, ok := v.keyFile(open)
		if !ok {
			return
		}
		got, err := parse(f.Text)
		if err != nil {
			v.Problem("%s: %v", path, err)
			return
		}
		*to = got
	}
}

// manualEntry is a mapping "manual" while it is being read.
type manualEntry struct {
	hop.Manual
	out Value   // the mapping that has the SPI
	in  []Value // one for each SA
}

// replayed says what RFC 8213 section 4 and RFC 8221 section 3 say of manual keys.
const replayed = "manual keys: a message that is sent again is not noticed, and the keys stay until they are changed by hand (ike has neither fault)"

// decodeManual reads the keys of one pair of addresses.
func decodeManual(v Value) *manualEntry {
	m := new(manualEntry)
	v.warn(replayed)
	suite := hop.AES256SHA256
	var suites []choice[hop.Suite]
	for s := hop.AES128SHA256; s <= hop.AES256SHA512; s++ {
		suites = append(suites, choice[hop.Suite]{s.String(), s})
	}
	v.Mapping(
		Optional("algorithm", Read(&suite, oneOf(suites...))),
		Required("out", "a mapping with spi and key-file", func(v Value) { m.Out, m.out = decodeSA(v, suite) }).hidden(),
		Required("in", "a mapping with spi and key-file, or a list of two while keys roll over", func(v Value) {
			each := func(v Value) {
				sa, at := decodeSA(v, suite)
				m.In, m.in = append(m.In, sa), append(m.in, at)
			}
			if !v.isList() {
				each(v)
				return
			}
			v.list("mappings with spi and key-file", each)
			if n := len(m.In); n < 1 || n > 2 {
				v.Problem("%d entries (one, or two while keys roll over)", n)
			}
		}).hidden(),
	)
	return m
}

// leastSPI is the lowest SPI that is not reserved (RFC 4303 section 2.1).
const leastSPI = 256

// decodeSA reads the key of one direction, and returns where its SPI stands.
func decodeSA(v Value, suite hop.Suite) (sa hop.ManualSA, at Value) {
	sa.Suite, at = suite, v
	v.Mapping(
		Required("spi", "a number from 256", func(v Value) {
			at = v
			Read(&sa.SPI, spi)(v)
		}),
		Required("key-file", "a file with the keys", func(v Value) {
			path, f, ok := v.keyFile(v.d.files.secret)
			if !ok {
				return
			}
			var err error
			if sa.Encryption, sa.Integrity, err = keyfile.Manual(f.Text, suite); err != nil {
				v.Problem("%s: %v", path, err)
			}
			sa.Made = f.Changed
			v.once(sa.Encryption, sa.Integrity)
		}).hidden(),
	)
	return sa, at
}

// once reports keys that are used elsewhere in the file too. Trust is pairwise (RFC 8213 section
// 3), and with one key for both directions the peer's own messages could be sent back to it.
func (v Value) once(keys ...hop.Secret) {
	for _, key := range keys {
		if len(key) == 0 {
			continue // the key could not be read, which has been reported
		}
		sum := sha256.Sum256(key)
		if other, ok := v.d.keys[sum]; ok {
			v.Problem("the same key as %s (each peer, direction and SPI has its own)", other)
			return
		}
		v.d.keys[sum] = v.path
	}
}
