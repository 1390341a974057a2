package hop

import (
	"errors"
	"fmt"
	"strings"
)

// noExchange is strongSwan's word for an ESP SA that is rekeyed from the keys of
// the IKE SA, without an exchange of its own.
const noExchange = "none"

// DefaultIKE are the proposals for IKE SAs where a peer's stanza names none: AEADs
// first, then what every implementation must have (RFC 8247 sections 2.1 to 2.4).
func DefaultIKE() []string {
	const groups = "x25519-ecp256-ecp384-modp3072-modp2048"
	return []string{
		"aes256gcm16-aes128gcm16-chacha20poly1305-prfsha512-prfsha256-" + groups,
		"aes256-aes128-sha512-sha256-prfsha512-prfsha256-" + groups,
	}
}

// DefaultESP are the proposals for ESP SAs where a peer's stanza names none: the
// AEADs of RFC 8221 section 5, with an exchange of their own at each rekeying, and
// without for an end that does none.
func DefaultESP() []string {
	const ciphers = "aes256gcm16-aes128gcm16-chacha20poly1305"
	return []string{ciphers + "-x25519-ecp256-modp2048", ciphers}
}

// CheckESP reports why a proposal for ESP SAs, in strongSwan's words joined by
// dashes, must not be used: an algorithm that RFC 8221 warns of, encryption
// without authentication (its section 4), authentication without encryption
// (RFC 8213 section 3), or words that make no proposal.
func CheckESP(proposal string) error { return check(proposal, esp) }

// CheckIKE is CheckESP for the proposals of IKE SAs and RFC 8247.
func CheckIKE(proposal string) error { return check(proposal, ike) }

// protocol is the protocol of a proposal: IKE or ESP.
type protocol string

const (
	esp protocol = "esp"
	ike protocol = "ike"
)

func check(proposal string, of protocol) error {
	has, err := kindsOf(proposal, of)
	if err == nil {
		err = has.whole(of)
	}
	if err != nil {
		return fmt.Errorf("%s proposal %q: %w", of, proposal, err)
	}
	return nil
}

// kinds are the kinds of transforms that a proposal has.
type kinds [sequence + 1]bool

// kindsOf looks each word up, and refuses those that are not allowed.
func kindsOf(proposal string, of protocol) (kinds, error) {
	var has kinds
	for _, word := range strings.Split(proposal, "-") {
		if of == esp && word == noExchange {
			continue
		}
		t := find(word)
		if t == nil {
			return has, fmt.Errorf("%q is no algorithm that is known: allowed are %s", word, allowed(of))
		}
		if t.refused != "" {
			return has, fmt.Errorf("%s is refused: %s (%s)", word, t.refused, t.source(of))
		}
		if !of.takes(t.kind) {
			return has, fmt.Errorf("%s has no place here: %s", word, misplaced(t.kind))
		}
		has[t.kind] = true
	}
	return has, nil
}

// whole reports which transform is missing or too many.
func (has kinds) whole(of protocol) error {
	switch {
	case !has[cipher] && !has[aead]:
		return errors.New("nothing is encrypted: add one of aes256gcm16, aes128gcm16, chacha20poly1305")
	case has[cipher] && has[aead]:
		return errors.New("AEADs and other ciphers cannot be in one proposal: write two")
	case has[aead] && has[integrity] && of == ike && !has[prf]:
		return errors.New("an AEAD takes no integrity algorithm (RFC 8247 section 2.3): for the pseudorandom function write prfsha256, not sha256")
	case has[aead] && has[integrity]:
		return errors.New("an AEAD takes no integrity algorithm (RFC 8221 section 4, RFC 8247 section 2.3)")
	case has[cipher] && !has[integrity]:
		return errors.New("encryption without authentication MUST NOT be used (RFC 8221 section 4, RFC 8247 section 2.1): add one of sha256, sha512, or use an AEAD such as aes256gcm16")
	case of == esp:
		return nil
	// With a cipher and an integrity algorithm strongSwan takes the function of
	// the same hash.
	case has[aead] && !has[prf]:
		return errors.New("there is no pseudorandom function (RFC 8247 section 2.2): add one of prfsha256, prfsha512")
	case !has[group]:
		return errors.New("there is no key exchange (RFC 8247 section 2.4): add one of x25519, ecp256, modp2048")
	}
	return nil
}

// takes reports whether a proposal of the protocol has such transforms.
func (o protocol) takes(k kind) bool {
	if o == esp {
		return k != prf
	}
	return k != sequence
}

func misplaced(k kind) string {
	if k == prf {
		return "pseudorandom functions belong to IKE SAs"
	}
	return "sequence numbers belong to ESP SAs"
}

// find is the transform of a word, nil if there is none.
func find(word string) *transform {
	for i := range transforms {
		for _, w := range strings.Fields(transforms[i].words) {
			if w == word {
				return &transforms[i]
			}
		}
	}
	return nil
}

// source says where a transform's level is from.
func (t *transform) source(of protocol) string {
	l, section := t.ike, map[kind]string{
		cipher: "RFC 8247 section 2.1", aead: "RFC 8247 section 2.1",
		prf: "RFC 8247 section 2.2", integrity: "RFC 8247 section 2.3", group: "RFC 8247 section 2.4",
	}[t.kind]
	if of == esp {
		l = t.esp
		switch t.kind {
		case cipher, aead:
			section = "RFC 8221 section 5"
		case integrity:
			section = "RFC 8221 section 6"
		}
	}
	if l == unlisted {
		return t.name + ", which " + section + " does not name"
	}
	return t.name + " is " + l.String() + " in " + section
}

// allowed lists the words that a proposal may have.
func allowed(of protocol) string {
	var words []string
	for i := range transforms {
		if t := &transforms[i]; t.refused == "" && of.takes(t.kind) {
			words = append(words, strings.Fields(t.words)...)
		}
	}
	if of == esp {
		words = append(words, noExchange)
	}
	return strings.Join(words, ", ")
}
