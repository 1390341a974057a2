package config

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// other is the section of a second role of the same family, in these tests.
type other struct{ links []string }

func decodeOther(v Value, _ *Process) Section {
	o := new(other)
	v.Mapping(Required("links", "names or globs", Links(&o.links, DHCPv6)))
	return o
}

func (o *other) Changed(next Section) []string {
	if slices.Equal(o.links, next.(*other).links) {
		return nil
	}
	return []string{"links"}
}

func (o *other) Serves(f Family, link string) bool {
	return f == DHCPv6 && slices.ContainsFunc(o.links, func(glob string) bool { ok, _ := path.Match(glob, link); return ok })
}

var two = Kinds{Relay6Kind(), {Name: "other6", Family: DHCPv6, Want: "a mapping with links", Default: func() Section { return new(other) }, Decode: decodeOther}}

const anyServer = "peers: [{name: any, role: server, interfaces: [u0], protection: none}]\n"

func TestSectionsOfTwoRoles(t *testing.T) {
	for _, c := range []struct {
		text, served string // served says which role serves eth1
		wrong        string
	}{
		{"relay6: {links: [{match: eth1}]}\n", "relay6", ""},
		{"other6: {links: eth1}\n", "other6", ""},
		{"other6: {links: eth1}\nrelay6: {links: [{match: \"ppp*\"}]}\n", "other6", ""},
		{"relay6: {links: [{match: eth*}]}\nother6: {links: [ppp0, br*]}\n", "relay6", ""},
		{"relay6: {links: [{match: eth1}]}\nother6: {links: [ppp0, eth1]}\n", "", `f.yaml:3:24: other6.links[1]: "eth1" may name a link that "eth1" of relay6.links[0].match names (a link has one DHCPv6 role)`},
		{"other6: {links: eth1}\nrelay6: {links: [{match: \"eth*\"}]}\n", "", `f.yaml:2:17: other6.links: "eth1" may name a link that "eth*" of relay6.links[0].match names (a link has one DHCPv6 role)`},
		{"relay6: {links: [{match: eth*}]}\nother6: {links: [\"eth1.*\"]}\n", "", `f.yaml:3:18: other6.links[0]: "eth1.*" may name a link that "eth*" of relay6.links[0].match names (a link has one DHCPv6 role)`},
		{"other6: {links: [u0]}\n", "", `f.yaml:2:18: other6.links[0]: "u0" is the uplink of peer "any" (a link faces clients or servers, not both)`},
		{"", "", `f.yaml:1:1: relay6: missing (a mapping with links, unless a peer has role: relay)`},
		{"other6:\n", "", `f.yaml:2:1: other6: no value (a mapping with links)`},
	} {
		got, err := two.Parse("f.yaml", []byte(anyServer+c.text))
		switch {
		case c.wrong != "" && (err == nil || err.Error() != c.wrong):
			t.Errorf("%s\n%v\nwant %s", c.text, err, c.wrong)
		case c.wrong == "" && err != nil:
			t.Errorf("%s\n%v", c.text, err)
		case c.wrong == "" && got.Served(DHCPv6, "eth1") != c.served:
			t.Errorf("%s\neth1 is served by %q, not by %q", c.text, got.Served(DHCPv6, "eth1"), c.served)
		}
	}
}

func TestSectionsChanged(t *testing.T) {
	parse := func(text string) *Config {
		c, err := two.Parse("f.yaml", []byte(anyServer+text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	relay, both := parse("relay6: {links: [{match: eth0}]}\n"), parse("relay6: {links: [{match: eth0}], source-port: 1547}\nother6: {links: eth1}\n")
	further := parse("relay6: {links: [{match: eth0}], source-port: 1547}\nother6: {links: eth2}\n")
	for _, c := range []struct {
		old, next *Config
		want      string
	}{
		{relay, relay, ""},
		{relay, both, "other6 relay6.source-port"},
		{both, relay, "other6 relay6.source-port"},
		{both, further, "other6.links"},
	} {
		if got := strings.Join(c.old.SettingsChanged(c.next), " "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
