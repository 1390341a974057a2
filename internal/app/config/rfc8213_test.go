package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/hop"
)

// server returns a peer for a file of the relay. more has its protection.
func server(name, address, more string) string {
	return "  - {name: " + name + ", address: " + address + ", role: server, interfaces: [eth0]" + more + "}\n"
}

const ipsec = ", local: 2001:db8::1, protection: ipsec, "

// refusedWith fails the test unless these peers are refused with exactly this problem, at the
// last place where the word is.
func refusedWith(t *testing.T, name, peers, word, want string) {
	t.Helper()
	text := "peers:\n" + peers
	got := problems(t, whole(text))
	if diff := cmp.Diff("f.yaml:"+place(text, word)+": "+want+"\n", got); diff != "" {
		t.Errorf("%s: problems (-want +got)\n%s", name, diff)
	}
}

// place returns the line and the column of the last place where a word is.
func place(text, word string) string {
	before := text[:strings.LastIndex(text, word)]
	return fmt.Sprintf("%d:%d", strings.Count(before, "\n")+1, len(before)-strings.LastIndex(before, "\n"))
}

// TestRFC8213_3c_ProtectionHasNoDefault shows that the operator of a relay has to say for each
// peer whether messages travel in clear.
func TestRFC8213_3c_ProtectionHasNoDefault(t *testing.T) {
	refusedWith(t, "nothing said", server("a", "2001:db8::a", ""), "{name:",
		"peers[0].protection: missing (there is no default; none: messages in clear; ipsec: in ESP or not at all)")
	if got := problems(t, whole("peers:\n"+server("a", "2001:db8::a", ", protection: none"))); got != "" {
		t.Errorf("none said aloud: %s", got)
	}
}

// TestRFC8213_3e_TrustIsPairwise shows that a key belongs to one peer, whatever its files are
// called and however it is written.
func TestRFC8213_3e_TrustIsPairwise(t *testing.T) {
	a := server("a", "2001:db8::a", ipsec+"ike: {psk-file: /x.psk}")
	if got := problems(t, whole("peers:\n"+a+server("b", "2001:db8::b", ipsec+"ike: {psk-file: /y.psk}"))); got != "" {
		t.Errorf("two keys: %s", got)
	}
	refusedWith(t, "one key", a+server("b", "2001:db8::b", ipsec+"ike: {psk-file: /copy+x.psk}"), "/copy",
		"peers[1].ike.psk-file: the same key as peers[0].ike.psk-file (each peer, direction and SPI has its own)")

	c := server("c", "2001:db8::c", ipsec+"manual: {out: {spi: 257, key-file: /c-out.keys}, in: {spi: 257, key-file: /c-in.keys}}")
	if got := problems(t, whole("peers:\n"+c+server("d", "2001:db8::d", ipsec+"manual: {out: {spi: 257, key-file: /d-out.keys}, in: {spi: 258, key-file: /d-in.keys}}"))); got != "" {
		t.Errorf("four manual keys: %s", got)
	}
	refusedWith(t, "one manual key", c+server("d", "2001:db8::d", ipsec+"manual: {out: {spi: 257, key-file: /copy+c-out.keys}, in: {spi: 258, key-file: /d-in.keys}}"), "/copy",
		"peers[1].manual.out.key-file: the same key as peers[0].manual.out.key-file (each peer, direction and SPI has its own)")
	refusedWith(t, "one integrity key", c+server("d", "2001:db8::d", ipsec+"manual: {out: {spi: 257, key-file: /half+c-out.keys}, in: {spi: 258, key-file: /d-in.keys}}"), "/half",
		"peers[1].manual.out.key-file: the same key as peers[0].manual.out.key-file (each peer, direction and SPI has its own)")
}

// TestRFC8213_3j_AlgorithmsAreChecked shows that algorithms of which RFC 8221 and RFC 8247 warn
// are refused at their place, and that algorithms that do not encrypt are refused as well.
//
// RFC 8213 3j and 3k.
func TestRFC8213_3j_AlgorithmsAreChecked(t *testing.T) {
	for _, word := range []string{"null-sha256", "aes128gmac", "3des-sha256", "aes128-md5", "aes256"} {
		text := server("a", "2001:db8::a", ipsec+"ike: {psk-file: /a.psk, esp: [aes256gcm16, "+word+"]}")
		err := hop.CheckESP(word)
		if err == nil {
			t.Errorf("%s: taken", word)
			continue
		}
		refusedWith(t, word, text, word+"]", "peers[0].ike.esp[1]: "+err.Error())
	}
	for _, proposal := range slices.Concat(hop.DefaultESP(), []string{"aes128-sha256"}) {
		text := server("a", "2001:db8::a", ipsec+"ike: {psk-file: /a.psk, esp: ["+proposal+"]}")
		if got := problems(t, whole("peers:\n"+text)); got != "" {
			t.Errorf("%s: %s", proposal, got)
		}
	}
}

// TestRFC8213_3r_UnicastAlone shows that IPsec with a multicast address is refused, whether the
// address is written or is the default.
func TestRFC8213_3r_UnicastAlone(t *testing.T) {
	const text = "ipsec towards ff05::1:3, which is multicast (address: the peer's own, because ipsec is between two hosts)"
	refusedWith(t, "named", server("a", "ff05::1:3", ipsec+"ike: {psk-file: /a.psk}"), "ipsec", "peers[0].protection: "+text)
	refusedWith(t, "meant", "  - {name: a, role: server, interfaces: [eth0]"+ipsec+"ike: {psk-file: /a.psk}}\n", "ipsec", "peers[0].protection: "+text)
}

// TestRFC8221_3a_ManualKeysAreWarnedOf shows that manual keys are accepted, and that the operator
// is told what they lack.
//
// RFC 8213 4b and 4c.
func TestRFC8221_3a_ManualKeysAreWarnedOf(t *testing.T) {
	text := "peers:\n" + server("a", "2001:db8::a", ipsec+"manual: {out: {spi: 257, key-file: /o.keys}, in: {spi: 257, key-file: /i.keys}}")
	want := "f.yaml:" + place(text, "{out") + ": peers[0].manual: manual keys: a message that is sent again is not noticed, " +
		"and the keys stay until they are changed by hand (ike has neither fault)"
	if got := parseKeys(t, whole(text)).Warnings.Error(); got != want {
		t.Errorf("warnings (-want +got)\n%s", cmp.Diff(want, got))
	}
}

// TestRFC8221_3b_NoCounterModeByHand shows that with manual keys only CBC is allowed.
func TestRFC8221_3b_NoCounterModeByHand(t *testing.T) {
	for _, word := range []string{"aes256gcm16", "chacha20poly1305", "aes128ctr-sha256", "aes128ccm16"} {
		refusedWith(t, word, server("a", "2001:db8::a", ipsec+"manual: {algorithm: "+word+", out: {spi: 257, key-file: /o.keys}, in: {spi: 257, key-file: /i.keys}}"), word,
			"peers[0].manual.algorithm: \""+word+"\" (one of: aes128-sha256, aes256-sha256, aes256-sha512)")
	}
}
