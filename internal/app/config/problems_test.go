package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden file anew")

const (
	goodPeers = `peers:
  - {name: kea1, address: 2001:db8:ffff::547, role: server, interfaces: [eth0], protection: none}
`
	goodRelay = `relay6: {links: [{match: "ppp*"}]}
`
)

// whole completes a text with the sections that every file needs.
func whole(text string) string {
	for _, section := range []string{goodPeers, goodRelay} {
		key, _, _ := strings.Cut(section, ":")
		if !strings.Contains("\n"+text, "\n"+key+":") {
			text += section
		}
	}
	return text
}

// problems returns what is said of a text, one line for each problem. The key files are those of
// the tests.
func problems(t *testing.T, text string) string {
	t.Helper()
	d := withKeys(false)
	d.config([]byte(text), relays)
	return said(t, d)
}

// serverProblems does the same for a file that may have a section server6.
func serverProblems(t *testing.T, text string) string {
	t.Helper()
	d := withKeys(false)
	d.config([]byte(text), servers)
	return said(t, d)
}

// guardProblems does the same for a file of the guard.
func guardProblems(t *testing.T, text string) string {
	t.Helper()
	d := withKeys(true)
	d.guardFile([]byte(text))
	return said(t, d)
}

func said(t *testing.T, d *decoder) string {
	t.Helper()
	err := d.failed()
	if err == nil {
		return ""
	}
	var p Problems
	if !errors.As(err, &p) {
		t.Fatalf("error %T, want Problems", err)
	}
	return p.Error() + "\n"
}

func TestProblems(t *testing.T) {
	const golden = "testdata/problems.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for _, f := range archive.Files {
		if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
			want[name] = string(f.Data)
		}
	}
	rewritten := txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			text := string(f.Data)
			look := problems
			switch {
			case strings.HasPrefix(name, "guard-"):
				look = guardProblems
			case strings.HasPrefix(name, "server6-"):
				look = serverProblems
			case !strings.HasPrefix(name, "form-"):
				text = whole(text)
			}
			got := look(t, text)
			if got == "" {
				t.Errorf("no problem in\n%s", text)
			}
			if !*update && got != want[name] {
				t.Errorf("problems of\n%s\n(-want +got)\n%s", text, cmp.Diff(want[name], got))
			}
			rewritten.Files = append(rewritten.Files, f, txtar.File{Name: name + ".want", Data: []byte(got)})
		})
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(&rewritten), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Some problems cannot be in the golden file, because no text file can have them.
func TestProblemsOfEncoding(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not UTF-8", "state: /a\nlog: \xff\n", "f.yaml:2:6: octet 0xff is not UTF-8 (write the file in UTF-8)\n"},
		{"latin 1 after UTF-8", "# ü\n# ü \xfc\n", "f.yaml:2:5: octet 0xfc is not UTF-8 (write the file in UTF-8)\n"},
		{"UTF-16", "\xfe\xff\x00s", "f.yaml:1:1: UTF-16 (write the file in UTF-8)\n"},
		{"UTF-16, the other order", "\xff\xfes\x00", "f.yaml:1:1: UTF-16 (write the file in UTF-8)\n"},
		{"UTF-16 without a mark", "s\x00t\x00", "f.yaml:1:1: UTF-16 (write the file in UTF-8)\n"},
		{"byte order mark", "\uFEFFstate: /a\n", "f.yaml:1:1: byte order mark (write the file in UTF-8 without one)\n"},
		{"NUL", "state: /a\x00b\n", "f.yaml:1:10: control character 0x00 (text, tabs and ends of lines)\n"},
		{"carriage return", "state: /a\rlog: b\n", "f.yaml:1:10: carriage return inside a line (end lines with a line feed)\n"},
		{"large", strings.Repeat("#\n", 1<<19) + "\n", "f.yaml: more than 1 MiB (a configuration is smaller)\n"},
		{"far right", strings.Repeat(" ", 300) + "a: b\n", "f.yaml:1:301: the line starts in column 301 (at most 200)\n"},
		{"many keys", "state: /a\nlog:\n" + strings.Repeat("  level: info\n", 257), "f.yaml:259:3: more than 256 keys in one mapping\n"},
		{"many entries", whole("relay6:\n  reserved-prefixes:\n" + strings.Repeat("  - fd00::/8\n", 4097) + "  links: [{match: ppp0}]\n"), "f.yaml:3:3: relay6.reserved-prefixes: 4097 entries (at most 4096)\n"},
		{"anchors in anchors", whole("state: " + strings.Repeat("&a ", 17) + "x\n"), strings.Join(anchors(17), "\n") + "\n"},
		{"long value", whole("state: /" + strings.Repeat("a", 5000) + "\n"), "f.yaml:1:8: state: 5001 octets long (at most 4096)\n"},
		{"long name", whole("relay6:\n  links:\n    - match: ppp0\n      access-network: {technology: 3, operator-realm: " + strings.Repeat("a", 256) + "}\n"), "f.yaml:4:55: relay6.links[0].access-network.operator-realm: 256 octets long (at most 255)\n"},
	} {
		if got := problems(t, c.text); got != c.want {
			t.Errorf("%s: (-want +got)\n%s", c.name, cmp.Diff(c.want, got))
		}
	}
}

// anchors returns the problems of a line of anchors.
func anchors(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("f.yaml:1:%d: an anchor (not allowed; relay6.defaults holds what links share; quote a value that starts with &)", 8+3*i))
	}
	return lines
}

// The largest file that is permitted is read, and a line may end with CRLF.
func TestLimitsOfTextHold(t *testing.T) {
	text := whole("state: /a\r\n")
	text += strings.Repeat("#", maxFile-len(text))
	if got := problems(t, text); got != "" {
		t.Errorf("1 MiB exactly: %s", got)
	}
	// After each dash a new mapping begins.
	var peers strings.Builder
	peers.WriteString("peers:\n")
	for i := range 300 {
		fmt.Fprintf(&peers, "  - name: p%d\n    address: 2001:db8::1:%x\n    role: server\n    interfaces: [eth0]\n    protection: none\n", i, i)
	}
	if got := problems(t, whole(peers.String())); got != "" {
		t.Errorf("300 peers: %s", got)
	}
}

// For one file no more than maxProblems problems are listed, but all are counted.
func TestProblemsAreBounded(t *testing.T) {
	got := problems(t, whole("relay6:\n  links: [{match: ppp0}]\n  reserved-prefixes:\n"+strings.Repeat("  - bad\n", 1000)))
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != maxProblems+1 || lines[maxProblems] != "f.yaml: 800 more problems" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "fairlead.yaml")
	good := []byte(whole(""))
	for _, c := range []struct {
		mode os.FileMode
		want string
	}{
		{0o600, ""},
		{0o644, ""},
		{0o664, path + ": mode 0664 lets others than its owner write to it (chmod go-w " + path + ")"},
		{0o602, path + ": mode 0602 lets others than its owner write to it (chmod go-w " + path + ")"},
	} {
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		config, err := relays.Load(path)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || (config == nil) != (c.want != "") {
			t.Errorf("mode %o: error %q, want %q", c.mode, got, c.want)
		}
	}

	// The same holds for key files, and for them it is even a problem if others may read them.
	psk := filepath.Join(dir, "a.psk")
	keyed := whole("peers:\n" + server("a", "2001:db8::a", ipsec+"ike: {psk-file: "+psk+"}"))
	for _, c := range []struct {
		mode os.FileMode
		want string
	}{
		{0o600, ""},
		{0o640, path + ":" + place(keyed, psk) + ": peers[0].ike.psk-file: mode 0640 lets others than its owner in (chmod 600)"},
	} {
		for file, content := range map[string]string{path: keyed, psk: "correct horse battery\n"} {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Chmod(path, 0o644), os.Chmod(psk, c.mode)); err != nil {
			t.Fatal(err)
		}
		config, err := relays.Load(path)
		switch {
		case c.want == "" && err == nil:
			if hops := config.Hops(); len(hops) != 1 || string(hops[0].IKE.PSK) != "correct horse battery" {
				t.Errorf("hops %v", hops)
			}
		case err == nil || err.Error() != c.want:
			t.Errorf("key file of mode %o: error %v, want %q", c.mode, err, c.want)
		}
	}

	if err := os.WriteFile(path, bytes.Repeat([]byte("\n"), maxFile+2), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := relays.Load(path); err == nil || err.Error() != path+": more than 1 MiB (a configuration is smaller)" {
		t.Errorf("large file: %v", err)
	}
	if _, err := relays.Load(dir); err == nil || err.Error() != dir+": not a regular file" {
		t.Errorf("folder: %v", err)
	}
	if _, err := relays.Load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want %v", err, os.ErrNotExist)
	}
}
