package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"fairlead/internal/app/cli"
)

// printed runs a command line, and returns what it prints. The command must succeed, and must
// write nothing to stderr.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cli.Main(cli.Commands{}, args, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Fatalf("%q: code %d, %q", args, code, &stderr)
	}
	return stdout.String()
}

// RFC 7296 section 2.15: keys are random and have 256 bits; no two are equal.
func TestPresharedKey(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		text := printed(t, "ipsec", "key", "psk")
		encoded, ok := strings.CutPrefix(text, "0s")
		key, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, "\n"))
		if !ok || err != nil || len(key) != 32 || strings.Count(text, "\n") != 1 {
			t.Fatalf("%q: want one line of 0s and 32 octets in base64", text)
		}
		seen[string(key)] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d keys of 100 are distinct", len(seen))
	}
}

func TestManualKey(t *testing.T) {
	for _, tt := range []struct {
		algorithm             string
		encryption, integrity int
	}{
		{"aes128-sha256", 16, 32},
		{"aes256-sha256", 32, 32},
		{"aes256-sha512", 32, 64},
	} {
		text := printed(t, "ipsec", "key", "manual", "--algorithm", tt.algorithm)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) != 3 || lines[0] != "# "+tt.algorithm {
			t.Fatalf("%s: %q, want three lines, the first with the algorithm", tt.algorithm, text)
		}
		encryption := manualKey(t, lines[1], "encryption ", tt.encryption)
		integrity := manualKey(t, lines[2], "integrity ", tt.integrity)
		if bytes.HasPrefix(integrity, encryption) {
			t.Errorf("%s: one key for both", tt.algorithm)
		}
	}
	if got := printed(t, "ipsec", "key", "manual"); !strings.HasPrefix(got, "# aes256-sha256\n") {
		t.Errorf("without an algorithm: %q, want aes256-sha256", got)
	}
}

func manualKey(t *testing.T, line, prefix string, octets int) []byte {
	t.Helper()
	text, ok := strings.CutPrefix(line, prefix)
	key, err := hex.DecodeString(text)
	if !ok || err != nil || len(key) != octets {
		t.Errorf("%q: want %q and %d octets in hexadecimal", line, prefix, octets)
	}
	return key
}
