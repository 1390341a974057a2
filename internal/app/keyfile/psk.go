package keyfile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"fairlead/internal/core/hop"
)

// Bounds of a pre-shared key, in octets. RFC 7296 section 2.15 asks for a key with as much
// randomness as the strongest key that is negotiated; only the length can be checked.
const (
	leastPSK = 16
	mostPSK  = 1024
)

// PSK parses the content of a file with a pre-shared key: one line, which is the
// key's text, or 0x and the key in hexadecimal, or 0s and the key in Base64.
func PSK(text []byte) (hop.Secret, error) {
	line := oneLine(text)
	var key []byte
	var err error
	switch {
	case bytes.HasPrefix(line, []byte("0x")):
		key, err = unhex(line[2:])
	case bytes.HasPrefix(line, []byte("0s")):
		if key, err = base64.StdEncoding.DecodeString(string(line[2:])); err != nil {
			err = errors.New("0s, but not Base64 (0s and the key in Base64)")
		}
	default:
		key, err = line, plain(line)
	}
	switch {
	case err != nil:
		return nil, err
	case len(key) < leastPSK:
		return nil, fmt.Errorf("a key of %d octets (at least %d, random: RFC 7296 section 2.15)", len(key), leastPSK)
	case len(key) > mostPSK:
		return nil, fmt.Errorf("a key of %d octets (at most %d)", len(key), mostPSK)
	case uniform(key):
		return nil, errors.New("a key whose octets are all the same (random ones: RFC 7296 section 2.15)")
	}
	return bytes.Clone(key), nil
}

// oneLine is the text without the end of its last line.
func oneLine(text []byte) []byte {
	if line, ok := bytes.CutSuffix(text, []byte("\n")); ok {
		text, _ = bytes.CutSuffix(line, []byte("\r"))
	}
	return text
}

// plain reports why a key that is written as text is probably a mistake.
func plain(line []byte) error {
	switch {
	case bytes.ContainsAny(line, "\r\n"):
		return errors.New("more than one line (one line with the key)")
	case !utf8.Valid(line) || bytes.ContainsFunc(line, unicode.IsControl):
		return errors.New("octets that are no text (write 0x and the key in hexadecimal, or 0s and the key in Base64)")
	case len(bytes.TrimSpace(line)) != len(line):
		return errors.New("a space before or after the key (the key alone)")
	}
	return nil
}

// unhex decodes hexadecimal. Its error has no part of the text.
func unhex(digits []byte) ([]byte, error) {
	key := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(key, digits); err != nil {
		return nil, errors.New("not hexadecimal (two digits for each octet)")
	}
	return key, nil
}

// uniform reports whether all octets are the same.
func uniform(key []byte) bool {
	return len(key) > 0 && bytes.Count(key, key[:1]) == len(key)
}
