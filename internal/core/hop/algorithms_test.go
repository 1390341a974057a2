package hop_test

import (
	"strings"
	"testing"

	"fairlead/internal/core/hop"
)

// ruled is a row of a table of RFC 8221 or RFC 8247, as somebody writes it into a
// proposal that is good but for the row itself.
type ruled struct {
	name, status string // as in the RFC
	proposal     string
	refused      string // in the reason; empty: it is allowed
}

// mentions checks that an error has all the parts, or that there is none.
func mentions(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	if len(parts) == 0 {
		if err != nil {
			t.Errorf("%s: %v, want no error", what, err)
		}
		return
	}
	if err == nil {
		t.Errorf("%s: no error, want one with %q", what, parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: %v, want %q in it", what, err, p)
		}
	}
}

// checkTable walks a table: what MUST NOT and SHOULD NOT be used is refused with its
// level and section, the rest is allowed unless the row says why not.
func checkTable(t *testing.T, section string, check func(string) error, rows []ruled) {
	t.Helper()
	for _, r := range rows {
		var parts []string
		switch {
		case r.status == "MUST NOT" || r.status == "SHOULD NOT":
			if r.refused == "" {
				t.Errorf("%s: the row has no reason", r.name)
			}
			parts = []string{r.refused, r.name, " is " + r.status + " in " + section}
		case r.refused != "":
			parts = []string{r.refused, r.name}
		}
		mentions(t, r.proposal, check(r.proposal), parts...)
	}
}

// TestRFC8213_3j_ESPEncryption is RFC 8213 3j and 3k.
func TestRFC8213_3j_ESPEncryption(t *testing.T) {
	checkTable(t, "RFC 8221 section 5", hop.CheckESP, []ruled{
		{"ENCR_DES_IV64", "MUST NOT", "des_iv64-sha256", "broken"},
		{"ENCR_DES", "MUST NOT", "des-sha256", "broken"},
		{"ENCR_3DES", "SHOULD NOT", "3des-sha256", "64 bits"},
		{"ENCR_BLOWFISH", "MUST NOT", "blowfish256-sha256", "64 bits"},
		{"ENCR_3IDEA", "MUST NOT", "3idea-sha256", "no RFC"},
		{"ENCR_DES_IV32", "MUST NOT", "des_iv32-sha256", "broken"},
		// A MUST for authentication alone, which is not what RFC 8213 is for.
		{"ENCR_NULL", "MUST", "null-sha256", "RFC 8213 section 3"},
		{"ENCR_AES_CBC", "MUST", "aes128-sha256", ""},
		{"ENCR_AES_CBC", "MUST", "aes256-sha256", ""},
		{"ENCR_AES_CBC", "MAY", "aes192-sha256", ""},
		{"ENCR_AES_CCM_8", "SHOULD", "aes128ccm8", ""},
		{"ENCR_AES_GCM_16", "MUST", "aes128gcm16", ""},
		{"ENCR_AES_GCM_16", "MUST", "aes256gcm16", ""},
		{"ENCR_AES_GCM_16", "MAY", "aes192gcm16", ""},
		{"ENCR_CHACHA20_POLY1305", "SHOULD", "chacha20poly1305", ""},
		// Section 8: MAY, since it is not mentioned.
		{"ENCR_AES_CTR", "MAY", "aes256ctr-sha256", ""},
		// Neither is in the table; what strongSwan has of them is refused.
		{"ENCR_CAST", "", "cast128-sha256", "64 bits"},
		{"ENCR_IDEA", "", "idea-sha256", "64 bits"},
		{"ENCR_RC5", "", "rc5-sha256", "64 bits"},
		{"ENCR_TWOFISH_CBC", "", "twofish256-sha256", "private number"},
		{"ENCR_SERPENT_CBC", "", "serpent256-sha256", "private number"},
		{"ENCR_NULL_AUTH_AES_GMAC", "", "aes256gmac", "RFC 8213 section 3"},
	})
}

func TestRFC8213_3j_ESPAuthentication(t *testing.T) {
	checkTable(t, "RFC 8221 section 6", hop.CheckESP, []ruled{
		{"AUTH_NONE", "MUST NOT", "aes256-auth_none", "RFC 8221 section 4"},
		{"AUTH_HMAC_MD5_96", "MUST NOT", "aes256-md5", "MD5 is broken"},
		{"AUTH_HMAC_SHA1_96", "MUST-", "aes256-sha1", ""},
		{"AUTH_DES_MAC", "MUST NOT", "aes256-des_mac", "DES is broken"},
		{"AUTH_KPDK_MD5", "MUST NOT", "aes256-kpdk_md5", "MD5 is broken"},
		{"AUTH_AES_XCBC_96", "MAY", "aes256-aesxcbc", ""},
		{"AUTH_AES_128_GMAC", "MAY", "aes256-gmac", "for AH, not for ESP"},
		{"AUTH_AES_256_GMAC", "MAY", "aes256-gmac", "for AH, not for ESP"},
		{"AUTH_HMAC_SHA2_256_128", "MUST", "aes256-sha256", ""},
		{"AUTH_HMAC_SHA2_512_256", "SHOULD", "aes256-sha512", ""},
		{"AUTH_HMAC_SHA2_256_96", "", "aes256-sha256_96", "too short"},
		{"AUTH_HMAC_MD5_128", "", "aes256-md5_128", "MD5 is broken"},
	})
}

func TestIKEEncryption(t *testing.T) {
	checkTable(t, "RFC 8247 section 2.1", hop.CheckIKE, []ruled{
		{"ENCR_AES_CBC", "MUST", "aes128-sha256-modp2048", ""},
		{"ENCR_AES_CBC", "MUST", "aes256-sha256-modp2048", ""},
		{"ENCR_AES_CBC", "MAY", "aes192-sha256-modp2048", ""},
		{"ENCR_CHACHA20_POLY1305", "SHOULD", "chacha20poly1305-prfsha256-x25519", ""},
		{"ENCR_AES_GCM_16", "SHOULD", "aes128gcm16-prfsha256-ecp256", ""},
		{"ENCR_AES_CCM_8", "SHOULD", "aes128ccm8-prfsha256-ecp256", ""},
		// A MAY, for which there is no need: every implementation has AES.
		{"ENCR_3DES", "MAY", "3des-sha256-modp2048", "64 bits"},
		{"ENCR_DES", "MUST NOT", "des-sha256-modp2048", "broken"},
		{"ENCR_NULL", "MUST NOT", "null-sha256-modp2048", "does not encrypt"},
		{"ENCR_AES_CTR", "MAY", "aes256ctr-sha256-modp2048", ""},
	})
}

func TestIKEFunctions(t *testing.T) {
	checkTable(t, "RFC 8247 section 2.2", hop.CheckIKE, []ruled{
		{"PRF_HMAC_SHA2_256", "MUST", "aes256gcm16-prfsha256-ecp256", ""},
		{"PRF_HMAC_SHA2_512", "SHOULD+", "aes256gcm16-prfsha512-ecp256", ""},
		{"PRF_HMAC_SHA1", "MUST-", "aes256gcm16-prfsha1-ecp256", ""},
		{"PRF_AES128_XCBC", "SHOULD", "aes256gcm16-prfaesxcbc-ecp256", ""},
		{"PRF_HMAC_MD5", "MUST NOT", "aes256gcm16-prfmd5-ecp256", "MD5 is broken"},
	})
	checkTable(t, "RFC 8247 section 2.3", hop.CheckIKE, []ruled{
		{"AUTH_HMAC_SHA2_256_128", "MUST", "aes256-sha256-ecp256", ""},
		{"AUTH_HMAC_SHA2_512_256", "SHOULD", "aes256-sha512-ecp256", ""},
		{"AUTH_HMAC_SHA1_96", "MUST-", "aes256-sha1-ecp256", ""},
		{"AUTH_AES_XCBC_96", "SHOULD", "aes256-aesxcbc-ecp256", ""},
		{"AUTH_HMAC_MD5_96", "MUST NOT", "aes256-md5-ecp256", "MD5 is broken"},
		{"AUTH_DES_MAC", "MUST NOT", "aes256-des_mac-ecp256", "DES is broken"},
		{"AUTH_KPDK_MD5", "MUST NOT", "aes256-kpdk_md5-ecp256", "MD5 is broken"},
	})
}

// TestGroups holds for both: an ESP SA that is rekeyed makes the same exchange.
func TestGroups(t *testing.T) {
	for _, of := range []struct {
		check  func(string) error
		prefix string
	}{{hop.CheckIKE, "aes256gcm16-prfsha256-"}, {hop.CheckESP, "aes256gcm16-"}} {
		checkTable(t, "RFC 8247 section 2.4", of.check, []ruled{
			{"group 14", "MUST", of.prefix + "modp2048", ""},
			{"group 19", "SHOULD", of.prefix + "ecp256", ""},
			{"group 5, 1536-bit MODP", "SHOULD NOT", of.prefix + "modp1536", "too narrow"},
			{"group 2, 1024-bit MODP", "SHOULD NOT", of.prefix + "modp1024", "too narrow"},
			{"group 1, 768-bit MODP", "MUST NOT", of.prefix + "modp768", "broken"},
			{"group 22, 1024-bit MODP with 160-bit subgroup", "MUST NOT", of.prefix + "modp1024s160", "safe prime"},
			{"group 23, 2048-bit MODP with 224-bit subgroup", "SHOULD NOT", of.prefix + "modp2048s224", "safe prime"},
			{"group 24, 2048-bit MODP with 256-bit subgroup", "SHOULD NOT", of.prefix + "modp2048s256", "safe prime"},
			{"group 31", "", of.prefix + "x25519", ""},
			{"group 25", "", of.prefix + "ecp192", "weaker than group 14"},
		})
	}
}

func TestProposalsAreWhole(t *testing.T) {
	const missing = "no algorithm that is known: allowed are aes256gcm16, "
	for _, c := range []struct {
		proposal string
		esp, ike []string
	}{
		{"", []string{`""`, missing}, []string{`""`, missing}},
		{"-", []string{missing}, []string{missing}},
		{"aes256gcm16--x25519", []string{`""`, missing}, []string{missing}},
		{"AES256GCM16", []string{`"AES256GCM16"`, missing}, []string{missing}},
		{"default", []string{`"default"`, missing}, []string{missing}},
		{"aes256gcm16,aes128gcm16", []string{missing}, []string{missing}},
		{"aes256gcm16", nil, []string{"no pseudorandom function", "RFC 8247 section 2.2"}},
		{"aes256gcm16-prfsha256", []string{"prfsha256 has no place here", "IKE SAs"}, []string{"no key exchange", "section 2.4"}},
		{"aes256gcm16-x25519", nil, []string{"no pseudorandom function"}},
		{"aes256gcm16-none", nil, []string{`"none"`, missing}},
		{"aes256gcm16-x25519-none", nil, []string{`"none"`, missing}},
		{"aes256gcm16-esn-noesn", nil, []string{"esn has no place here", "ESP SAs"}},
		{"aes256gcm16-sha256-x25519", []string{"takes no integrity algorithm"}, []string{"takes no integrity algorithm", "write prfsha256"}},
		{"aes256gcm16-sha256-prfsha256-x25519", []string{"no place"}, []string{"takes no integrity algorithm"}},
		{"aes256", []string{"without authentication MUST NOT", "RFC 8221 section 4"}, []string{"without authentication MUST NOT"}},
		{"aes256-ecp256", []string{"without authentication MUST NOT"}, []string{"without authentication MUST NOT", "RFC 8247 section 2.1"}},
		{"aes256-sha256", nil, []string{"no key exchange"}},
		{"aes256-sha256-x25519", nil, nil},
		{"sha256", []string{"nothing is encrypted"}, []string{"nothing is encrypted"}},
		{"x25519", []string{"nothing is encrypted"}, []string{"nothing is encrypted"}},
		{"aes256-aes256gcm16-sha256", []string{"write two"}, []string{"write two"}},
		{"aes256gcm16-null", []string{"null is refused"}, []string{"null is refused"}},
	} {
		mentions(t, "esp "+c.proposal, hop.CheckESP(c.proposal), c.esp...)
		mentions(t, "ike "+c.proposal, hop.CheckIKE(c.proposal), c.ike...)
	}
}

// TestAllowedWords: what an error says is allowed is.
func TestAllowedWords(t *testing.T) {
	for _, of := range []struct {
		name  string
		check func(string) error
		with  [2]string // that make a whole proposal with an AEAD or other word, or with a cipher
	}{
		{"esp", hop.CheckESP, [2]string{"aes256gcm16", "sha256"}},
		{"ike", hop.CheckIKE, [2]string{"aes256gcm16-prfsha256-x25519", "sha256-x25519"}},
	} {
		_, list, found := strings.Cut(of.check("nonsense").Error(), "allowed are ")
		if !found {
			t.Fatalf("%s: the error lists nothing", of.name)
		}
		words := strings.Split(list, ", ")
		if len(words) < 50 {
			t.Errorf("%s: %d words, want 50 at least", of.name, len(words))
		}
		for _, w := range words {
			first, second := of.check(w+"-"+of.with[0]), of.check(w+"-"+of.with[1])
			third := of.check("aes256-" + w + "-x25519")
			if first != nil && second != nil && third != nil {
				t.Errorf("%s: %s is listed as allowed: %v; %v; %v", of.name, w, first, second, third)
			}
		}
	}
}

func TestRFC8213_3j_DefaultsAreAllowed(t *testing.T) {
	for _, p := range hop.DefaultESP() {
		mentions(t, p, hop.CheckESP(p))
	}
	for _, p := range hop.DefaultIKE() {
		mentions(t, p, hop.CheckIKE(p))
	}
	// RFC 8221 section 5: AES-GCM-16 of both lengths and ChaCha20-Poly1305, with
	// an exchange of their own and without.
	want := []string{"aes256gcm16-aes128gcm16-chacha20poly1305-x25519-ecp256-modp2048", "aes256gcm16-aes128gcm16-chacha20poly1305"}
	if got := hop.DefaultESP(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("DefaultESP() = %q, want %q", got, want)
	}
}
