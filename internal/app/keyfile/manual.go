package keyfile

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"

	"fairlead/internal/core/hop"
)

// Manual parses the content of a file with the two keys of one direction:
//
//	encryption HEX
//	integrity HEX
//
// in either order. Empty lines and lines that start with # are left out. The
// lengths must be those of the suite.
func Manual(text []byte, suite hop.Suite) (encryption, integrity hop.Secret, err error) {
	wantEncryption, wantIntegrity := suite.KeyLengths()
	number := 0
	for line := range bytes.Lines(text) {
		number++
		fields := bytes.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		switch word := string(fields[0]); word {
		case "encryption":
			err = manualKey(&encryption, fields, suite, wantEncryption)
		case "integrity":
			err = manualKey(&integrity, fields, suite, wantIntegrity)
		default:
			err = errors.New("neither of both kinds of keys (encryption HEX, integrity HEX)")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	switch {
	case encryption == nil:
		return nil, nil, errors.New("no encryption key (a line: encryption HEX)")
	case integrity == nil:
		return nil, nil, errors.New("no integrity key (a line: integrity HEX)")
	case subtle.ConstantTimeCompare(encryption, integrity) == 1:
		return nil, nil, errors.New("one key for encryption and integrity (two keys, each random)")
	}
	return encryption, integrity, nil
}

// manualKey parses the line of one key.
func manualKey(to *hop.Secret, fields [][]byte, suite hop.Suite, want int) error {
	word := fields[0]
	if *to != nil {
		return fmt.Errorf("%s is there already (once)", word)
	}
	if len(fields) != 2 {
		return fmt.Errorf("%d words (two: %s HEX)", len(fields), word)
	}
	key, err := unhex(bytes.TrimPrefix(fields[1], []byte("0x")))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", word, err)
	case len(key) != want:
		return fmt.Errorf("%s: a key of %d octets (%d for %v)", word, len(key), want, suite)
	case uniform(key):
		return fmt.Errorf("%s: a key whose octets are all the same (random ones)", word)
	}
	*to = key
	return nil
}
