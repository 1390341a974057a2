package hop_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

func manual6(suite hop.Suite, in uint32) hop.Hop {
	h := server6()
	h.IKE, h.Manual = nil, manual(suite, in)
	return h
}

// TestRFC8221_3b_ManualSuites: AES-CBC with HMAC-SHA-2 and nothing that counts,
// cut as RFC 4868 section 2.3 says: RFC 8221 3b, RFC 8213 3k.
func TestRFC8221_3b_ManualSuites(t *testing.T) {
	for suite, want := range map[hop.Suite]string{
		hop.AES128SHA256: "cbc(aes) 16, hmac(sha256) 32 cut to 128",
		hop.AES256SHA256: "cbc(aes) 32, hmac(sha256) 32 cut to 128",
		hop.AES256SHA512: "cbc(aes) 32, hmac(sha512) 64 cut to 256",
	} {
		h := manual6(suite, 1)
		for _, a := range hop.OwnerRelay.Associations(&h) {
			got := fmt.Sprintf("%s %d, %s %d cut to %d", a.Encryption.Name, len(a.Encryption.Key), a.Integrity.Name, len(a.Integrity.Key), a.Integrity.Truncate)
			if got != want || a.Encryption.Truncate != 0 {
				t.Errorf("%v: %s, want %s", suite, got, want)
			}
		}
	}
}

// TestRollOver: one SA to send by, and one for each inbound SPI, all the owner's.
func TestRollOver(t *testing.T) {
	h := manual6(hop.AES256SHA256, 2)
	for owner, reqid := range map[hop.Owner]uint32{hop.OwnerRelay: 0xfa1d0001, hop.OwnerGuard: 0xfa1d0002} {
		var got []string
		for _, a := range owner.Associations(&h) {
			got = append(got, fmt.Sprintf("%v %v %v>%v %#x", a.Hop, a.Out, a.Source, a.Dest, a.SPI))
			if a.Reqid != reqid {
				t.Errorf("%s: reqid %#x, want %#x", owner, a.Reqid, reqid)
			}
		}
		want := []string{
			"core1 true 2001:db8::1>2001:db8::2 0x100",
			"core1 false 2001:db8::2>2001:db8::1 0x200",
			"core1 false 2001:db8::2>2001:db8::1 0x201",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", owner, got, want)
		}
	}
}

// TestManualReplay: RFC 4303 section 3.3.3 and RFC 8213 4b.
func TestManualReplay(t *testing.T) {
	if hop.ManualReplayWindow != 0 || !hop.ManualMayWrap {
		t.Error("anti-replay with manual keys, whose counters start anew with the sender")
	}
}

// TestManualPolicies are the selectors in both directions: RFC 8213 3h.
func TestManualPolicies(t *testing.T) {
	h := manual6(hop.AES256SHA256, 1)
	h.Role, h.RelayPort, h.Link = trust.Relay, 1547, "lan0"
	h.Local, h.Remote = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	var got []string
	for _, p := range hop.OwnerGuard.Policies(&h) {
		got = append(got, fmt.Sprintf("%s out=%v %v.%d>%v.%d %d %s %#x", p.Hop, p.Out, p.Source, p.SourcePort, p.Dest, p.DestPort, p.Protocol, p.Link, p.Reqid))
	}
	want := []string{
		"core1 out=true fe80::1/128.547>fe80::2/128.547 17 lan0 0xfa1d0002",
		"core1 out=false fe80::2/128.547>fe80::1/128.547 17  0xfa1d0002",
		"core1 out=true fe80::1/128.547>fe80::2/128.1547 17 lan0 0xfa1d0002",
		"core1 out=false fe80::2/128.1547>fe80::1/128.547 17  0xfa1d0002",
		"core1 out=true fe80::1/128.547>fe80::2/128.0 6 lan0 0xfa1d0002",
		"core1 out=false fe80::2/128.0>fe80::1/128.547 6  0xfa1d0002",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestKeyedByIKE: XFRM is strongSwan's there.
func TestKeyedByIKE(t *testing.T) {
	h := server6()
	if a, p := hop.OwnerRelay.Associations(&h), hop.OwnerRelay.Policies(&h); a != nil || p != nil {
		t.Errorf("SAs %v and policies %v, want none", a, p)
	}
}

// TestAssociationHidesItsKeys: however it is printed.
func TestAssociationHidesItsKeys(t *testing.T) {
	h := manual6(hop.AES256SHA512, 1)
	a := hop.OwnerRelay.Associations(&h)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, a); strings.Contains(got, "EEEE") || strings.Contains(got, "IIII") || !strings.Contains(got, "key of 32 octets") {
			t.Errorf("%s prints %s", format, got)
		}
	}
}
