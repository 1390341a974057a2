package links

import "testing"

func TestTemplateErrorsNameTheOffset(t *testing.T) {
	for text, want := range map[string]string{
		"{":        "template: octet 0: { without }",
		"ab}":      "template: octet 2: } without {",
		"x{nope}":  "template: octet 1: unknown placeholder \"{nope}\" (one of {interface}, {index}, {hostname}, {vrf}, {link-layer})",
		"{}":       "template: octet 0: unknown placeholder \"{}\" (one of {interface}, {index}, {hostname}, {vrf}, {link-layer})",
		"a{{b{vrf": "template: octet 4: { without }",
	} {
		if _, err := ParseTemplate(text); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}
