package dhcp6_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"slices"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

var reconfigureKey = dhcp6.ReconfigureKey{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

// reconfigure is a Reconfigure without its Authentication option.
const reconfigure = `0a 000000
	0002 000a 0003 0001 020000000001
	0001 000a 0003 0001 0200000000c1
	0013 0001 05`

// signed is that Reconfigure with the digest, behind octets of something else.
func signed(t testing.TB, before int) []byte {
	b := append(make([]byte, before), octets(t, reconfigure)...)
	return dhcp6.AppendReconfigureDigest(b, before, 7, reconfigureKey)[before:]
}

// hmacMD5 is RFC 2104 section 2 in its own words.
func hmacMD5(key, text []byte) []byte {
	inner, outer := bytes.Repeat([]byte{0x36}, 64), bytes.Repeat([]byte{0x5c}, 64)
	for i := range key {
		inner[i] ^= key[i]
		outer[i] ^= key[i]
	}
	first := md5.Sum(append(inner, text...))
	second := md5.Sum(append(outer, first[:]...))
	return second[:]
}

func TestReconfigureDigest(t *testing.T) {
	auth := "000b 001c 03 01 00 0000000000000007 02"
	want := octets(t, reconfigure+auth+"00000000000000000000000000000000")
	copy(want[len(want)-16:], hmacMD5(reconfigureKey[:], want))
	for _, before := range []int{0, 34} {
		if got := signed(t, before); !bytes.Equal(got, want) {
			t.Errorf("behind %d octets: got %x, want %x", before, got, want)
		}
	}
}

func TestReconfigureAuthentic(t *testing.T) {
	whole := signed(t, 0)
	check := func(b []byte, key dhcp6.ReconfigureKey) bool {
		m, err := dhcp6.ParseMessage(b)
		return err == nil && m.ReconfigureAuthentic(key)
	}
	if !check(whole, reconfigureKey) {
		t.Fatal("what was signed is not authentic")
	}
	for bit := range 8 * len(whole) {
		forged := slices.Clone(whole)
		forged[bit/8] ^= 1 << (bit % 8)
		if check(forged, reconfigureKey) {
			t.Errorf("authentic with bit %d turned", bit)
		}
	}
	other := reconfigureKey
	other[15]++
	if check(whole, other) {
		t.Error("authentic by another key")
	}
	if check(octets(t, reconfigure), reconfigureKey) {
		t.Error("authentic without an Authentication option")
	}
	if check(dhcp6.AppendReconfigureDigest(slices.Clone(whole), 0, 8, reconfigureKey), reconfigureKey) {
		t.Error("authentic with two Authentication options")
	}
	// The key in a Reply is no digest.
	if check(dhcp6.AppendReconfigureKey(octets(t, reconfigure), 7, reconfigureKey), reconfigureKey) {
		t.Error("authentic by a key that stands in the message")
	}
	// Options may follow the Authentication option.
	behind := append(slices.Clone(whole), 0, 14, 0, 0)
	at := len(whole) - 16
	clear(behind[at : at+16])
	copy(behind[at:], hmacMD5(reconfigureKey[:], behind))
	if !check(behind, reconfigureKey) {
		t.Error("not authentic with an option behind the digest")
	}
}

func TestReconfigureKeyIsNotPrinted(t *testing.T) {
	if got := fmt.Sprintf("%v %s", reconfigureKey, reconfigureKey); got != "(secret) (secret)" {
		t.Errorf("printed as %q", got)
	}
}

func TestAuthRefused(t *testing.T) {
	wantError(t, asError(dhcp6.ParseAuth)(make([]byte, 10)), dhcp6.ErrTruncated, "dhcp6: option 11 header at octet 0: truncated")
}
