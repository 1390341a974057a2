package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/tools/conformance/claims"
)

// The document agrees with the tests of this tree.
func TestDocumentIsUpToDate(t *testing.T) {
	found, err := scan("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := render(found)
	if err := compare("../../"+document, text); err != nil {
		t.Error(err)
	}
}

// Every requirement of RFC 8987 that is claimed has a test and a mutation.
func TestEveryClaimHasEvidence(t *testing.T) {
	found, err := scan("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range claims.Tables() {
		for _, r := range table.Rows {
			unclaimed := strings.HasPrefix(r.Note, "to come") || strings.HasPrefix(r.Note, "not done")
			if has := len(found[row{table.RFC, r.ID}]) > 0; has == unclaimed {
				t.Errorf("RFC %s %s: claimed %v, has a test %v", table.RFC, r.ID, !unclaimed, has)
			}
			if has := mutation(r.ID) != "-"; table.RFC == "8987" && has == unclaimed {
				t.Errorf("RFC %s %s: claimed %v, has a mutation %v", table.RFC, r.ID, !unclaimed, has)
			}
		}
	}
}

func TestScan(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("internal/core/a/a_test.go", `package a
func TestRFC8987_G2_Both() {}
func TestRFC8987_S4_Unknown() {}
func TestRFC8415_19_1_1d_ID() {}
func TestRFC8415_19_1_3_PD() {}
// It shows RFC 8987 R-1, S-2 and O-3. And RFC 8415 19.2c.
func TestPlain() {}
func TestR3InACore() {}
func TestRFC7283_4_Other() {}
func TestRFC8415_19_1_SomeOfIt() {}
func TestRFC8213_3a_Encrypts() {}
func TestRFC8213_4_Chain() {}
// RFC 8213 3d, 3i and 4e. RFC 8221 3b. RFC 8213 section 3a is no row, and RFC 8213 6c neither.
func TestSeveral() {}
func TestRFC8221_5_ESP() {}
`)
	write("internal/host/nft/b_test.go", "package b\nfunc TestR3Strict() {}\nfunc TestR3Fake() {}\n")
	write("internal/system/c/c_test.go", "package c\n// RFC 8987 G-1,\n// R-4.\nfunc TestAll() {}\n")
	write("internal/host/ipsec/d_test.go", "package d\n// RFC 8221 3b.\nfunc TestESP() {}\n// RFC 8221 3a.\nfunc TestScriptedESP() {}\n")
	write(".git/x_test.go", "no Go at all")
	found, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	want := map[row]string{
		{"8987", "G-2"}: "internal/core/a TestRFC8987_G2_Both", {"8987", "S4"}: "internal/core/a TestRFC8987_S4_Unknown",
		{"8415", "19.1.1d"}: "internal/core/a TestRFC8415_19_1_1d_ID", {"8415", "19.1.3"}: "internal/core/a TestRFC8415_19_1_3_PD",
		{"8987", "R-1"}: "internal/core/a TestPlain", {"8987", "S-2"}: "internal/core/a TestPlain", {"8987", "O-3"}: "internal/core/a TestPlain",
		{"8415", "19.2c"}: "internal/core/a TestPlain", {"8415", wholeSection}: "internal/core/a TestRFC8415_19_1_SomeOfIt",
		{"8213", "3a"}: "internal/core/a TestRFC8213_3a_Encrypts", {"8213", wholeSection}: "internal/core/a TestRFC8213_4_Chain",
		{"8213", "3d"}: "internal/core/a TestSeveral", {"8213", "3i"}: "internal/core/a TestSeveral",
		{"8213", "4e"}: "internal/core/a TestSeveral", {"8221", "3b"}: "internal/core/a TestSeveral, internal/host/ipsec TestESP kernel",
		{"8221", "3a"}:  "internal/host/ipsec TestScriptedESP",
		{"8987", "R-3"}: "internal/host/nft TestR3Fake, internal/host/nft TestR3Strict kernel",
		{"8987", "G-1"}: "internal/system/c TestAll kernel", {"8987", "R-4"}: "internal/system/c TestAll kernel",
	}
	for r, tests := range found {
		var got []string
		for _, e := range tests {
			s := e.Package + " " + e.Test
			if e.Kernel {
				s += " kernel"
			}
			got = append(got, s)
		}
		if text := strings.Join(got, ", "); text != want[r] {
			t.Errorf("RFC %s %s: %q, want %q", r.rfc, r.id, text, want[r])
		}
		delete(want, r)
	}
	for r, w := range want {
		t.Errorf("RFC %s %s: not found, want %q", r.rfc, r.id, w)
	}
	for name, want := range map[string]string{"TestRFC8987_X9_What": "no row of RFC 8987", "TestRFC8213_3z_What": "no row of RFC 8213"} {
		write("d_test.go", "package d\nfunc "+name+"() {}\n")
		if _, err := scan(root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, of a row that is not there: error %v, want %q", name, err, want)
		}
	}
}

func TestShortNames(t *testing.T) {
	got := shortNames(map[row][]evidence{
		{"8213", "3a"}: {{Package: "internal/vm/ipsec"}, {Package: "internal/core/hop"}},
		{"8213", "3b"}: {{Package: "internal/host/ipsec"}, {Package: "internal/core/hop"}},
	})
	want := map[string]string{"internal/vm/ipsec": "vm/ipsec", "internal/host/ipsec": "host/ipsec", "internal/core/hop": "hop"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestVerify(t *testing.T) {
	found := map[row][]evidence{{"8987", "G-1"}: {{Package: "internal/a", Test: "TestOne"}}}
	for events, want := range map[string]string{
		`{"Action":"pass","Package":"fairlead/internal/a","Test":"TestOne"}`: "",
		`{"Action":"pass","Package":"fairlead/internal/a","Test":"TestTwo"}`: "did not run",
		`{"Action":"fail","Package":"fairlead/internal/a","Test":"TestOne"}`: "fail",
		`{"Action":"skip","Package":"fairlead/internal/a","Test":"TestOne/sub"}
{"Action":"pass","Package":"fairlead/internal/a","Test":"TestOne"}`: "skip",
		// The test failed, and then passed when it ran once more alone: the second result counts.
		`{"Action":"run","Package":"fairlead/internal/a","Test":"TestOne"}
{"Action":"fail","Package":"fairlead/internal/a","Test":"TestOne"}
{"Action":"fail","Package":"fairlead/internal/a"}
{"Action":"run","Package":"fairlead/internal/a","Test":"TestOne"}
{"Action":"pass","Package":"fairlead/internal/a","Test":"TestOne"}
{"Action":"pass","Package":"fairlead/internal/a"}`: "",
		`{"Action":"output","Package":"fairlead/internal/a","Test":"TestOne"}`: "no results",
	} {
		name := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(name, []byte(events), 0o644); err != nil {
			t.Fatal(err)
		}
		err := verify(found, name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n error %v, want %q", events, err, want)
		}
	}
}
