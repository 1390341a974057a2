package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machine is a host with three interfaces, a group, a user and a program.
func machine(held map[string]int) *Machine {
	return &Machine{
		Interfaces: []string{"lo", "eth0", "cust1"}, Held: held,
		User:  func(name string) bool { return name == "alice" },
		Group: func(name string) bool { return name == "noc" },
		Program: func(path string) error {
			if path != "/bin/true" {
				return errors.New("no such file or directory")
			}
			return nil
		},
	}
}

// If a file names something that the machine does not have, there is a warning with its place.
func TestMisfits(t *testing.T) {
	const at = "f.yaml:"
	held := map[string]int{"cust1": 3, "cust2": 1}
	for _, c := range []struct {
		text string
		held map[string]int
		want []string
	}{
		{`relay6: {links: [{match: cust1}, {match: "ppp*"}]}`, nil, nil},
		{`relay6: {links: [{match: cust7}]}`, nil, []string{`1:26: relay6.links[0].match: no interface is named "cust7" now: nobody is served there until there is one`}},
		{`relay6: {links: [{match: [cust1, cust8, "x*"]}]}`, nil, []string{`1:34: relay6.links[0].match[1]: no interface is named "cust8" now: nobody is served there until there is one`}},
		{`relay6: {links: [{match: "cust*"}]}`, held, nil},
		{`relay6: {links: [{match: "cusst*"}, {match: "c*1"}]}`, held, []string{`1:26: relay6.links[0].match: "cusst*" matches no interface now, and no rule matches these links with delegations: cust2 (1)`}},
		{`relay6: {links: [{match: "cusst*"}]}`, held, []string{`1:26: relay6.links[0].match: "cusst*" matches no interface now, and no rule matches these links with delegations: cust1 (3), cust2 (1)`}},
		{`relay6: {links: [{match: "cust*"}, {match: "ppp*"}]}`, map[string]int{"ppp7": 1, "eth0": 2}, nil}, // ppp7 is no interface now, but it has a delegation
		{`control: {group: nocc, operators: [alice, bob, 17, "@noc"], readers: ["@ops"]}`, nil, []string{
			`1:18: control.group: no group is named "nocc" here`,
			`1:43: control.operators[1]: no user is named "bob" here`,
			`1:71: control.readers[0]: no group is named "ops" here`,
		}},
		{`control: {group: 17}`, nil, nil},
		{`hook: {program: /bin/true}`, nil, nil},
		{`hook: {program: /bin/tru}`, nil, []string{`1:17: hook.program: /bin/tru cannot be run: no such file or directory`}},
	} {
		var got []string
		for _, p := range parsed(t, whole(c.text+"\n")).Misfits(machine(c.held)) {
			got = append(got, strings.TrimPrefix(p.String(), at))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.text, diff)
		}
	}
	c := parsed(t, "peers:\n  - {name: a, role: server, interfaces: [eth1], protection: none}\n"+goodRelay)
	if got := c.Misfits(machine(nil)); len(got) != 1 || got[0].String() != `f.yaml:2:42: peers[0].interfaces[0]: no interface is named "eth1" now: nothing is heard there until there is one` {
		t.Errorf("an uplink that is not there: %v", got)
	}
	g := parseGuardKeys(t, "control: {group: nocc}\npeers: [{name: a, address: 192.0.2.1, local: 192.0.2.2, role: relay, protection: ipsec, ike: {psk-file: /a.psk}}]\n")
	if got := g.Misfits(machine(nil)); len(got) != 1 || !strings.Contains(got[0].String(), `no group is named "nocc"`) {
		t.Errorf("of a guard: %v", got)
	}

	// If there are many links, the warning stays short.
	many := make(map[string]int)
	for i := range 100 {
		many[fmt.Sprintf("v%02d", i)] = i + 1
	}
	got := parsed(t, whole("relay6: {links: [{match: \"w*\"}]}\n")).Misfits(machine(many))
	if len(got) != 1 || !strings.HasSuffix(got[0].Text, "v00 (1), v01 (2), v02 (3), v03 (4), v04 (5), v05 (6), v06 (7), v07 (8), 92 more") {
		t.Errorf("with a hundred links: %v", got)
	}
}

// A value that is accepted, but is likely to be a mistake, has a warning at its place.
func TestLikelyMistakes(t *testing.T) {
	stands := func(glob, sign string) string {
		return fmt.Sprintf("%q has %q, which stands for itself in a glob (* for any text, ? for one character, [a-z] for one of several, [^a-z] for any other)", glob, sign)
	}
	for text, want := range map[string][]string{
		`relay6: {links: [{match: "ppp*"}, {match: "eth0.*"}, {match: "e[^t]h*"}]}`: nil,
		`relay6: {links: [{match: "*"}]}`:                                           {`1:26: relay6.links[0].match: "*" matches every interface that no server is heard on, one for management too: filters and rates would hold there (name the links)`},
		`relay6: {links: [{match: "**"}]}`:                                          {`1:26: relay6.links[0].match: "**" matches every interface that no server is heard on, one for management too: filters and rates would hold there (name the links)`},
		`relay6: {links: [{match: ["ppp*", "eth?"]}]}`:                              {`1:35: relay6.links[0].match[1]: "eth?" covers eth0, on which peer "kea1" is heard: clients are not served there (a narrower glob)`},
		`relay6: {links: [{match: "ppp.*"}]}`:                                       {"1:26: relay6.links[0].match: " + stands("ppp.*", "p.*")},
		`relay6: {links: [{match: "^ppp[0-9]"}]}`:                                   {"1:26: relay6.links[0].match: " + stands("^ppp[0-9]", "^")},
		`relay6: {links: [{match: "ppp[0-9]+"}]}`:                                   {"1:26: relay6.links[0].match: " + stands("ppp[0-9]+", "+")},
		`relay6: {links: [{match: "(ppp|br)*"}]}`:                                   {"1:26: relay6.links[0].match: " + stands("(ppp|br)*", "(")},
		`relay6: {links: [{match: "{ppp,br}*"}]}`:                                   {"1:26: relay6.links[0].match: " + stands("{ppp,br}*", "{")},
		`relay6: {links: [{match: "ppp*,br*"}]}`:                                    {"1:26: relay6.links[0].match: " + stands("ppp*,br*", ",")},
		`relay6: {links: [{match: "ppp%"}]}`:                                        {"1:26: relay6.links[0].match: " + stands("ppp%", "%")},
		`relay6: {links: [{match: 'ppp\d'}]}`:                                       {"1:26: relay6.links[0].match: " + stands(`ppp\d`, `\d`)},
		`relay6: {links: [{match: "ppp[!0]"}]}`:                                     {"1:26: relay6.links[0].match: " + stands("ppp[!0]", "[!")},
		`relay6: {links: [{match: "ppp∗"}]}`:                                        {`1:26: relay6.links[0].match: "ppp∗" has '∗' (U+2217), which stands for itself alone (* for any text, ? for one character)`},
		`relay6: {links: [{match: “ppp*”}]}`:                                        {`1:26: relay6.links[0].match: "“ppp*”" has '“' (U+201C), which stands for itself alone (* for any text, ? for one character)`},
		`relay6: {links: [{match: a, limits: {client: 9, link: 8}}]}`:               {"1:46: relay6.links[0].limits.client: limits.client is 9 and limits.link 8: the link's limit is met first, and one client can take all of it"},
		`relay6: {links: [{match: a, limits: {client: 8, link: 8}}]}`:               nil,
		`relay6: {links: [{match: a, limits: {link: 7}}]}`:                          {"1:44: relay6.links[0].limits.link: limits.client is 8 and limits.link 7: the link's limit is met first, and one client can take all of it"},
		`relay6: {links: [{match: a, limits: {link: 9, per-mac: 10}}]}`:             {"1:56: relay6.links[0].limits.per-mac: limits.per-mac is 10 and limits.link 9: the link's limit is met first, and one host can take all of it"},
	} {
		var got []string
		for _, p := range parsed(t, whole(text+"\n")).Warnings {
			got = append(got, strings.TrimPrefix(p.String(), "f.yaml:"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
	c := parsed(t, "peers: [{name: a, role: server, interfaces: [\"uplink1\", eth–0], protection: none, address: 2001:db8::1}]\n"+goodRelay)
	if len(c.Warnings) != 1 || c.Warnings[0].Path != "peers[0].interfaces[1]" || !strings.Contains(c.Warnings[0].Text, "U+2013") {
		t.Errorf("a dash in an uplink's name: %v", c.Warnings)
	}
}

// knownKeys, by which mistakes with spaces are found, are exactly the keys of the two files.
func TestKnownKeysAreAllKeys(t *testing.T) {
	found := make(map[string]bool)
	mappings := make(map[string]bool)
	note := func(path string, all, _ []string) {
		path = index.ReplaceAllString(path, "")
		mappings[path[strings.LastIndex(path, ".")+1:]] = true
		for _, key := range all {
			found[key] = true
		}
	}
	d := withKeys(false)
	d.visit = note
	d.config([]byte(every(t)), relays)
	d = withKeys(false)
	d.visit = note
	d.config([]byte(everyOnFile(t)), relays)
	d = withKeys(false)
	d.visit = note
	d.config([]byte(everyOfServer6()), servers)
	d = withKeys(true)
	d.visit = note
	d.guardFile([]byte(example.ReplaceAllString(GuardReference(), "$1$2")))
	for _, key := range knownKeys {
		if !found[key] && key != "tls" { // which is for a later version
			t.Errorf("%q is no key of any file", key)
		}
	}
	for key := range found {
		if !slices.Contains(knownKeys, key) {
			t.Errorf("the key %q is unknown", key)
		}
	}
	for key := range mappings {
		if key != "" && !slices.Contains(sectionKeys, key) {
			t.Errorf("%q has a mapping, and is not among those that have", key)
		}
	}
}

// Neither a pipe that nobody writes to, nor a device that never ends, makes the check wait.
func TestLoadOfWhatIsNoFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero", "/dev/null"} {
		for what, load := range map[string]func(string) error{
			"relay": func(path string) error { _, err := relays.Load(path); return err },
			"guard": func(path string) error { _, err := LoadGuard(path); return err },
		} {
			if err := load(path); err == nil || err.Error() != path+": not a regular file" {
				t.Errorf("%s, %s: %v, want it refused as no regular file", what, path, err)
			}
		}
	}
}
