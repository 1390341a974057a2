package config

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"fairlead/internal/app/keyfile"
)

// writtenKeys are keys as somebody may write them in the place of a path. YAML reads the last
// ones as something else than a text.
var writtenKeys = map[string]string{
	"Base64":                "0sU3VwZXJTZWNyZXRLZXlPZlRoZVBlZXI=",
	"Base64 with a slash":   "/U3VwZXJTZWNyZXRLZXlPZlRoZVBlZXI=",
	"hexadecimal":           "0x5375706572536563726574",
	"hexadecimal alone":     "5375706572536563726574ab",
	"digits":                "012345670123456701234567",
	"decimal digits":        "98765432109876543210",
	"words":                 "swordfish marzipan gramophone",
	"word":                  "swordfishmarzipan",
	"quoted":                `"swordfish\tmarzipan"`,
	"a colon":               "swordfish: marzipan",
	"a colon without space": "swordfish:marzipan",
	"a number sign":         "swordfish #marzipan",
	"an anchor":             "&swordfishmarzipan",
	"an alias":              "*swordfishmarzipan",
	"a tag":                 "!swordfishmarzipan",
	"a directive":           "%swordfishmarzipan",
	"reserved":              "@swordfishmarzipan",
	"reserved too":          "`swordfishmarzipan",
	"a literal's header":    "|swordfishmarzipan",
	"a folded header":       ">swordfishmarzipan",
	"a list":                "[swordfishmarzipan, gramophone]",
	"a broken list":         "[swordfishmarzipan",
	"a mapping":             "{swordfishmarzipan: gramophone}",
	"a broken mapping":      "{swordfishmarzipan",
	"a broken quote":        `"swordfishmarzipan`,
	"PEM":                   "|\n            -----BEGIN PRIVATE KEY-----\n            U3dvcmRmaXNobWFyemlwYW4\n            -----END PRIVATE KEY-----",
	"PEM without a bar":     "\n            -----BEGIN PRIVATE KEY-----\n            U3dvcmRmaXNobWFyemlwYW4\n            -----END PRIVATE KEY-----",
	"PEM at the left":       "-----BEGIN PRIVATE KEY-----\nU3dvcmRmaXNobWFyemlwYW4\n-----END PRIVATE KEY-----",
	"both keys":             "|\n            encryption 5375706572536563726574\n            integrity 737566666963696e67",
}

// keyPlaces are places where a key may stand by mistake; %s is the key.
var keyPlaces = map[string]string{
	"psk-file": `peers:
  - {name: a, role: server}
  - name: b
    ike:
        psk-file: %s
        remote-id: b
`,
	"psk-file in braces":         "peers: [{name: b, ike: {psk-file: %s}}]\n",
	"certificate":                "peers:\n  - ike:\n        certificate: %s\n",
	"key":                        "peers:\n  - ike:\n        key: %s\n",
	"ca":                         "peers:\n  - ike:\n        ca: %s\n",
	"ike":                        "peers:\n  - name: b\n    ike: %s\n",
	"no such key":                "peers:\n  - ike:\n        psk: %s\n",
	"no such key of a peer":      "peers:\n  - name: b\n    psk: %s\n    role: server\n",
	"in place of a key":          "peers:\n  - ike:\n        %s: /etc/key\n",
	"manual":                     "peers:\n  - manual: %s\n",
	"out":                        "peers:\n  - manual:\n        out: %s\n",
	"in":                         "peers:\n  - manual:\n        in: %s\n",
	"in, second":                 "peers:\n  - manual:\n        in:\n          - {spi: 256, key-file: /in.keys}\n          - %s\n",
	"key-file, out":              "peers:\n  - manual:\n        out:\n          key-file: %s\n",
	"key-file, in":               "peers:\n  - manual:\n        in:\n          - key-file: %s\n",
	"key-file of a giaddr":       "peers:\n  - giaddrs:\n      - manual:\n          out:\n            key-file: %s\n",
	"certificate of the control": "control:\n  listen:\n        certificate: %s\n",
	"key of the control":         "control:\n  listen:\n        key: %s\n",
	"authority of the control":   "control:\n  listen:\n        client-ca: %s\n",
	"no space after the colon":   "peers:\n  - name: b\n    ike:\n        psk-file:%s\n",
	"no space, more keys":        "peers:\n  - name: b\n    ike:\n        remote-id: b\n        psk-file:%s\n        local-id: c\n",
	"no space, one to the right": "peers:\n  - name: b\n    ike:\n        remote-id: b\n          psk-file:%s\n",
	"a line of its own":          "peers:\n  - name: b\n    ike:\n        psk-file:\n        %s\n",
	"twice":                      "peers:\n  - ike:\n        psk-file: /b.psk\n        psk-file: %s\n",
}

// leak returns the longest part of a key that a text repeats, if it is long enough to reveal
// something.
func leak(text, key string) string {
	const tells = 6
	for _, word := range strings.FieldsFunc(key, func(r rune) bool { return strings.ContainsRune(" \n\t:{}[]\"|,", r) }) {
		if strings.Contains("-----BEGIN PRIVATE KEY----- -----END encryption integrity", word) {
			continue
		}
		for i := 0; i+tells <= len(word); i++ {
			if part := word[i : i+tells]; strings.Contains(text, part) {
				return part
			}
		}
	}
	return ""
}

// The content of a key file is never printed, even if it stands in the configuration by mistake:
// neither in the text of a problem, nor in its path, nor in a warning.
func TestNoKeyIsRepeated(t *testing.T) {
	reported := 0
	for place, form := range keyPlaces {
		for kind, key := range writtenKeys {
			text := fmt.Sprintf(form, key)
			for _, guard := range []bool{false, true} {
				d := newDecoder("f.yaml")
				d.guard = guard
				d.files = keyFiles{nowhere, nowhere}
				if guard {
					d.guardFile([]byte(text))
				} else {
					d.config([]byte(text), relays)
				}
				reported += len(d.problems)
				all, err := json.Marshal(append(d.problems, d.warnings...))
				if err != nil {
					t.Fatal(err)
				}
				if part := leak(string(all), key); part != "" {
					t.Errorf("%s, %s: %q of the key is repeated in\n%v\nabout\n%s", place, kind, part, d.problems, text)
				}
			}
		}
	}
	if reported < len(keyPlaces)*len(writtenKeys) {
		t.Errorf("%d problems: too few for what is wrong with these files", reported)
	}
}

// nowhere is a disk without files.
func nowhere(string) (keyfile.File, error) { return keyfile.File{}, fs.ErrNotExist }

// The operator is still told where the mistake is, and what belongs there.
func TestKeyInPlaceOfItsFile(t *testing.T) {
	for text, want := range map[string]string{
		"ike: {psk-file: 0sU3VwZXJTZWNyZXRLZXk=}": "f.yaml:2:130: peers[0].ike.psk-file: wrong, and " + unrepeated + " (" + ownFile + ")",
		"ike: {psk-file: /U3VwZXJTZWNyZXRLZXk=}":  "f.yaml:2:130: peers[0].ike.psk-file: file does not exist (the path of a file that can be read; it is " + unrepeated + ")",
		"ike: {0sU3VwZXJTZWNyZXRLZXk: x}":         "f.yaml:2:120: peers[0].ike: unknown key, " + unrepeated + " (one of: psk-file, certificate, key, ca, local-id, remote-id, proposals, esp, lifetime)",
		"ike: 0sU3VwZXJTZWNyZXRLZXk=":             "f.yaml:2:119: peers[0].ike: a single value, " + unrepeated + " (want a mapping with one of: psk-file, certificate, key, ca, local-id, remote-id, proposals, esp, lifetime)",
	} {
		d := newDecoder("f.yaml")
		d.files = keyFiles{nowhere, nowhere}
		d.config([]byte(goodRelay+"peers: [{name: a, address: 2001:db8::a, local: 2001:db8::1, role: server, interfaces: [eth0], protection: ipsec, "+text+"}]\n"), relays)
		if got := d.failed(); got == nil || !strings.Contains(got.Error()+"\n", want+"\n") {
			t.Errorf("%s:\n got %v\nwant %s", text, got, want)
		}
	}
}
