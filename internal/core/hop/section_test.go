package hop_test

import (
	"testing"

	"fairlead/internal/core/hop"
)

func TestSectionIsPrinted(t *testing.T) {
	got := hop.Section{
		{Key: "plain", Text: "fe80::1%eth0.7"},
		{Key: "empty"},
		{Key: "list", List: []string{"a-b", "c"}},
		{Key: "none", List: []string{}},
		{Key: "blobs", Blobs: []hop.Blob{{File: "one.crt", DER: []byte{0}}, {File: "two.crt"}}},
		{Key: "inner", Section: hop.Section{{Key: "k", Text: "v"}}},
		{Key: "bare", Section: hop.Section{}},
	}.String()
	const want = `plain = fe80::1%eth0.7
empty = ""
list = a-b, c
none = ""
blobs = one.crt, two.crt
inner {
  k = v
}
bare {
}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSectionIsQuoted: whatever a value holds, strongSwan reads one value, and
// that one.
func TestSectionIsQuoted(t *testing.T) {
	for value, want := range map[string]string{
		`CN=one`:                `"CN=one"`,
		`C=DE, CN="one"`:        `"C=DE, CN=\"one\""`,
		`back\slash`:            `"back\\slash"`,
		"} evil {\nx = y":       `"} evil {\nx = y"`,
		"carriage\rreturn\ttab": `"carriage\rreturn\ttab"`,
		`# no comment`:          `"# no comment"`,
		`dynamic[udp/547]`:      `dynamic[udp/547]`,
		`user@example.net`:      `user@example.net`,
		` ahead and behind `:    `" ahead and behind "`,
		`höhe`:                  `"höhe"`,
	} {
		if got := (hop.Section{{Key: "id", Text: value}}).String(); got != "id = "+want+"\n" {
			t.Errorf("%q: got %s want id = %s", value, got, want)
		}
	}
}

func TestSectionNamesEndNothing(t *testing.T) {
	for name, want := range map[string]string{
		"fairlead-relay-core1+2": "fairlead-relay-core1+2",
		"a.b":                    "a~b",
		"a {\n x=\"y\"":          "a~~~~x~~y~",
		"a:b,c#d\x7f":            "a~b~c~d~",
	} {
		if got := (hop.Section{{Key: name, Section: hop.Section{}}}).String(); got != want+" {\n}\n" {
			t.Errorf("%q: got %q, want %q", name, got, want+" {\n}\n")
		}
	}
}
