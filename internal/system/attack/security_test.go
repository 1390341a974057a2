package attack_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"fairlead/internal/lab/labtest"
)

// SECURITY.md names the test of each attack, and every attack has a row: the tests of this
// package, and the tests of the core of the DHCPv4 relay that withstand attacks.
func TestSecurityNamesEveryAttack(t *testing.T) {
	text, err := os.ReadFile("../../../SECURITY.md")
	labtest.Need(t, err)
	var named []string
	for _, m := range regexp.MustCompile(`(?:([a-z0-9/]+)\.)?(Test\w+)`).FindAllStringSubmatch(string(text), -1) {
		folder := folderOf(m[1])
		if folder == "" || !slices.Contains(tests(t, folder), m[2]) {
			t.Errorf("SECURITY.md names %s, and there is no such test", m[0])
		}
		named = append(named, m[2])
	}
	for _, name := range append(tests(t, "."), testsIn(t, "../../core/relay4/attack_test.go")...) {
		if !slices.Contains(named, name) && name != "TestNobodyAttacks" && name != "TestSecurityNamesEveryAttack" {
			t.Errorf("SECURITY.md does not name %s", name)
		}
	}
}

// folderOf returns the folder with the tests of a package that SECURITY.md names by the end of
// its path. It may be this folder, one of internal, one of a floor of internal, or that of a
// role. It returns an empty path if there is none.
func folderOf(name string) string {
	if name == "" {
		return "."
	}
	for _, floor := range []string{"../..", "..", "../../core", "../../app", "../../app/role"} {
		if files, _ := filepath.Glob(filepath.Join(floor, name, "*_test.go")); len(files) > 0 {
			return filepath.Join(floor, name)
		}
	}
	return ""
}

// tests returns the names of the tests in a folder.
func tests(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	labtest.Need(t, err)
	for _, f := range files {
		names = append(names, testsIn(t, f)...)
	}
	return names
}

// testsIn returns the names of the tests in one file.
func testsIn(t *testing.T, file string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	labtest.Need(t, err)
	for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}
