package dhcp4_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp4"
)

// octets reads hexadecimal with any white space in it. "00*192" is 192 times 00.
func octets(t testing.TB, text string) []byte {
	t.Helper()
	var b []byte
	for _, word := range strings.Fields(text) {
		digits, times, repeated := strings.Cut(word, "*")
		n := 1
		if repeated {
			var err error
			if n, err = strconv.Atoi(times); err != nil {
				t.Fatalf("hex %q: %v", word, err)
			}
		}
		part, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("hex %q: %v", word, err)
		}
		for range n {
			b = append(b, part...)
		}
	}
	return b
}

// request is the header and cookie of a request from an Ethernet client that has no
// address, as octets reads it.
const request = "01 01 06 00 11223344 0000 0000 00*16 0200000000c1 00*10 00*192 63825363 "

// message parses the octets of text.
func message(t testing.TB, text string) dhcp4.Message {
	t.Helper()
	m, err := dhcp4.ParseMessage(octets(t, text))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return m
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// wantError checks the cause, the text and the type of an error.
func wantError(t testing.TB, err, cause error, text string) {
	t.Helper()
	var typed *dhcp4.Error
	if !errors.Is(err, cause) || !errors.As(err, &typed) || err.Error() != text {
		t.Errorf("err = %v, want the *Error %q with cause %v", err, text, cause)
	}
}

// wantPanic checks that do panics with an *Error of this text.
func wantPanic(t *testing.T, text string, do func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if err, ok := recover().(error); !ok {
			t.Errorf("no panic, want %q", text)
		} else {
			wantError(t, err, dhcp4.ErrTooBig, text)
		}
	}()
	do()
}

// pair is one option, or one sub-option, as All yields it.
type pair struct {
	Code    int
	Payload string
}

// pairs lists what All of a message's options yields.
func pairs(o dhcp4.Options) []pair {
	var list []pair
	for c, payload := range o.All() {
		list = append(list, pair{int(c), string(payload)})
	}
	return list
}

// subPairs lists what All of an option 82 yields.
func subPairs(a dhcp4.AgentInformation) []pair {
	var list []pair
	for c, value := range a.All() {
		list = append(list, pair{int(c), string(value)})
	}
	return list
}
