package dhcp6_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// octets reads hexadecimal with any white space in it.
func octets(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatalf("hex %q: %v", text, err)
	}
	return b
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// wantError asserts the cause, the text and the type of an error.
func wantError(t testing.TB, err, cause error, text string) {
	t.Helper()
	var typed *dhcp6.Error
	if !errors.Is(err, cause) || !errors.As(err, &typed) || err.Error() != text {
		t.Errorf("err = %v, want the *Error %q with cause %v", err, text, cause)
	}
}

// pair is one option as Options.All yields it.
type pair struct {
	Code    dhcp6.OptionCode
	Payload string
}

// pairs lists what All yields.
func pairs(o dhcp6.Options) []pair {
	var list []pair
	for c, payload := range o.All() {
		list = append(list, pair{c, string(payload)})
	}
	return list
}
