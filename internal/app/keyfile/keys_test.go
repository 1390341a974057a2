package keyfile_test

import (
	"bytes"
	"strings"
	"testing"

	"fairlead/internal/app/keyfile"
	"fairlead/internal/core/hop"
)

// random32 is a key of 32 octets in hexadecimal, and what it stands for.
const random32 = "8f3c2a91d05be6774c1af0239e6db85c13a7f24e90cb5d6821fe3b7a46d9c50e"

var octets32 = []byte{
	0x8f, 0x3c, 0x2a, 0x91, 0xd0, 0x5b, 0xe6, 0x77, 0x4c, 0x1a, 0xf0, 0x23, 0x9e, 0x6d, 0xb8, 0x5c,
	0x13, 0xa7, 0xf2, 0x4e, 0x90, 0xcb, 0x5d, 0x68, 0x21, 0xfe, 0x3b, 0x7a, 0x46, 0xd9, 0xc5, 0x0e,
}

func TestPSK(t *testing.T) {
	const word = "correct horse battery"
	for _, tc := range []struct {
		name, text string
		want       []byte
	}{
		{"text", word, []byte(word)},
		{"text with an end of line", word + "\n", []byte(word)},
		{"text with an end of line of Windows", word + "\r\n", []byte(word)},
		{"text of 16 octets", "abcdefghijklmnop\n", []byte("abcdefghijklmnop")},
		{"text of other letters", "Schlüssel für alle\n", []byte("Schlüssel für alle")},
		{"hexadecimal", "0x" + random32 + "\n", octets32},
		{"hexadecimal in capitals", "0x" + strings.ToUpper(random32) + "\n", octets32},
		{"Base64", "0sjzwqkdBb5ndMGvAjnm24XBOn8k6Qy11oIf47ekbZxQ4=\n", octets32},
		{"text that starts with 0", "0123456789abcdef\n", []byte("0123456789abcdef")},
	} {
		got, err := keyfile.PSK([]byte(tc.text))
		if err != nil || !bytes.Equal(got, tc.want) {
			t.Errorf("%s: % x, %v, want % x", tc.name, []byte(got), err, tc.want)
		}
	}
}

// What is no key is refused, and what was in the file is not told.
func TestPSKRefused(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"15 octets", "abcdefghijklmno\n", "a key of 15 octets (at least 16, random: RFC 7296 section 2.15)"},
		{"15 octets in hexadecimal", "0x8f3c2a91d05be6774c1af0239e6db8", "a key of 15 octets (at least 16, random: RFC 7296 section 2.15)"},
		{"nothing but an end of line", "\n", "a key of 0 octets (at least 16, random: RFC 7296 section 2.15)"},
		{"0x alone", "0x\n", "a key of 0 octets (at least 16, random: RFC 7296 section 2.15)"},
		{"1025 octets", strings.Repeat("ab", 512) + "c", "a key of 1025 octets (at most 1024)"},
		{"all alike", strings.Repeat("a", 16), "a key whose octets are all the same (random ones: RFC 7296 section 2.15)"},
		{"zeros", "0x" + strings.Repeat("00", 32), "a key whose octets are all the same (random ones: RFC 7296 section 2.15)"},
		{"two lines", "correct horse\nbattery staple\n", "more than one line (one line with the key)"},
		{"empty line after it", "correct horse battery\n\n", "more than one line (one line with the key)"},
		{"odd digits", "0x" + random32 + "a\n", "not hexadecimal (two digits for each octet)"},
		{"no digits", "0xcorrect horse battery\n", "not hexadecimal (two digits for each octet)"},
		{"hexadecimal and a space", "0x" + random32 + " \n", "not hexadecimal (two digits for each octet)"},
		{"no Base64", "0scorrect horse battery\n", "0s, but not Base64 (0s and the key in Base64)"},
		{"octets", "\x8f\x3c\x2a\x91\xd0\x5b\xe6\x77\x4c\x1a\xf0\x23\x9e\x6d\xb8\x5c", "octets that are no text (write 0x and the key in hexadecimal, or 0s and the key in Base64)"},
		{"a tab", "correct\thorse battery", "octets that are no text (write 0x and the key in hexadecimal, or 0s and the key in Base64)"},
		{"a space before", " correct horse battery", "a space before or after the key (the key alone)"},
		{"a space after", "correct horse battery \n", "a space before or after the key (the key alone)"},
	} {
		got, err := keyfile.PSK([]byte(tc.text))
		if text(err) != tc.want || got != nil {
			t.Errorf("%s: %v, error %q, want %q", tc.name, got, text(err), tc.want)
		}
		tells(t, tc.name, err, tc.text)
	}
}

func TestManual(t *testing.T) {
	const key16 = "f00102030405060708090a0b0c0d0e0f"
	octets16 := []byte{0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for _, tc := range []struct {
		name, text            string
		suite                 hop.Suite
		encryption, integrity []byte
	}{
		{"AES-128", "encryption " + key16 + "\nintegrity " + random32 + "\n", hop.AES128SHA256, octets16, octets32},
		{"the other order, no last end of line", "integrity " + random32 + "\nencryption " + key16, hop.AES128SHA256, octets16, octets32},
		{"AES-256 and SHA-512", "encryption " + random32 + "\nintegrity " + key16 + key16 + key16 + key16 + "\n", hop.AES256SHA512, octets32, bytes.Repeat(octets16, 4)},
		{
			"AES-256, with all that is allowed", "# of 2027\r\n\n  encryption\t0x" + strings.ToUpper(random32) + "  \r\n#\nintegrity 0x" + key16 + key16 + "\n",
			hop.AES256SHA256, octets32, bytes.Repeat(octets16, 2),
		},
	} {
		encryption, integrity, err := keyfile.Manual([]byte(tc.text), tc.suite)
		if err != nil || !bytes.Equal(encryption, tc.encryption) || !bytes.Equal(integrity, tc.integrity) {
			t.Errorf("%s: % x, % x, %v, want % x, % x", tc.name, []byte(encryption), []byte(integrity), err, tc.encryption, tc.integrity)
		}
	}
}

func TestManualRefused(t *testing.T) {
	encryption, integrity := "encryption "+random32+"\n", "integrity 0e"+random32[2:]+"\n"
	for _, tc := range []struct{ name, text, want string }{
		{"no encryption", integrity, "no encryption key (a line: encryption HEX)"},
		{"no integrity", encryption, "no integrity key (a line: integrity HEX)"},
		{"comment alone", "# none\n", "no encryption key (a line: encryption HEX)"},
		{"twice", encryption + encryption + integrity, "line 2: encryption is there already (once)"},
		{"another word", encryption + "auth " + random32 + "\n", "line 2: neither of both kinds of keys (encryption HEX, integrity HEX)"},
		{"a key alone", random32, "line 1: neither of both kinds of keys (encryption HEX, integrity HEX)"},
		{"no digits", "# new\nencryption\n" + integrity, "line 2: 1 words (two: encryption HEX)"},
		{"three words", integrity[:len(integrity)-1] + " old\n" + encryption, "line 1: 3 words (two: integrity HEX)"},
		{"no hexadecimal", "encryption correct-horse\n" + integrity, "line 1: encryption: not hexadecimal (two digits for each octet)"},
		{"31 octets", encryption + "integrity " + random32[2:], "line 2: integrity: a key of 31 octets (32 for aes256-sha256)"},
		{"33 octets", "encryption 00" + random32 + "\n" + integrity, "line 1: encryption: a key of 33 octets (32 for aes256-sha256)"},
		{"zeros", encryption + "integrity " + strings.Repeat("00", 32), "line 2: integrity: a key whose octets are all the same (random ones)"},
		{"one key for both", encryption + "integrity " + random32, "one key for encryption and integrity (two keys, each random)"},
	} {
		e, i, err := keyfile.Manual([]byte(tc.text), hop.AES256SHA256)
		if text(err) != tc.want || e != nil || i != nil {
			t.Errorf("%s: %v, %v, error %q, want %q", tc.name, e, i, text(err), tc.want)
		}
		tells(t, tc.name, err, tc.text)
	}
}

// tells reports an error with a word of the file in it that may be a key.
func tells(t *testing.T, name string, err error, content string) {
	t.Helper()
	for _, word := range strings.Fields(content) {
		if len(word) >= 10 && word != "encryption" && strings.Contains(text(err), word) {
			t.Errorf("%s: the error has %q of the file in it: %v", name, word, err)
		}
	}
}

// FuzzKeys: no content of a key file makes a parser panic, and what is taken has
// the promised length.
func FuzzKeys(f *testing.F) {
	for _, seed := range []string{
		"0x" + random32, "0sjzwqkdBb5ndMGvAjnm24XBOn8k6Qy11oIf47ekbZxQ4=", "correct horse battery\r\n",
		"encryption " + random32 + "\nintegrity 0x0e" + random32[2:], "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if key, err := keyfile.PSK(content); (err == nil) != (len(key) >= 16 && len(key) <= 1024) {
			t.Errorf("pre-shared key of %d octets, error %v", len(key), err)
		}
		for suite := hop.AES128SHA256; suite <= hop.AES256SHA512; suite++ {
			wantEncryption, wantIntegrity := suite.KeyLengths()
			encryption, integrity, err := keyfile.Manual(content, suite)
			if err == nil && (len(encryption) != wantEncryption || len(integrity) != wantIntegrity) {
				t.Errorf("keys of %d and %d octets for %v", len(encryption), len(integrity), suite)
			}
		}
		_, err := keyfile.Certificate(content)
		_, caErr := keyfile.Authorities(content)
		key, _, keyErr := keyfile.PrivateKey(content)
		if err != nil && err.Error() == "" || caErr != nil && caErr.Error() == "" || (keyErr == nil) != (len(key) > 0) {
			t.Errorf("certificate: %v, authorities: %v, key: %v", err, caErr, keyErr)
		}
		if id, err := keyfile.Identity(string(content)); err == nil && (id == "" || strings.ContainsAny(id, "*%")) {
			t.Errorf("identity %q", id)
		}
	})
}
