package config

import (
	"strings"
	"testing"
)

// RFC 7839 section 6: the technology is required beside the network's name, and beside the access
// point's name and BSSID, in both families. A file without it is refused. The names of the
// operator do not need it.
func TestRFC7839_6b_TechnologyGoesWithNames(t *testing.T) {
	const names = `network-name: Net,access-point-name: ap,access-point-bssid: "02:00:5e:10:00:01"`
	for _, section := range []string{"relay4: {links: [{match: eth1, agent-information: add, access-network: {", "relay6: {links: [{match: eth1, access-network: {"} {
		role, _, _ := strings.Cut(section, ":")
		file := func(keys string) string { return section + keys + "}}]}\n" }
		for _, name := range strings.Split(names, ",") {
			if got := problems(t, file(name)+goodPeers); !strings.Contains(got, role+".links[0].access-network.technology: missing (RFC 7839 section 6") {
				t.Errorf("%s with %s alone: %q, want that the technology is missing", role, name, got)
			}
			if got := problems(t, file("technology: 4, "+name)+goodPeers); strings.Contains(got, "technology") {
				t.Errorf("%s with %s and a technology: %q", role, name, got)
			}
		}
		if got := problems(t, file("operator-id: 32473, operator-realm: example.com")+goodPeers); strings.Contains(got, "technology") {
			t.Errorf("%s with the operator alone: %q", role, got)
		}
	}
	c, err := parseTest([]byte("relay4: {links: [{match: eth1, agent-information: add, access-network: {technology: 4, " + names + "}}]}\n" +
		"peers: [{name: four, address: 192.0.2.67, role: server, interfaces: [eth0], protection: none}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "\x0d\x02\x00\x04" + "\x0e\x03Net" + "\x0f\x02ap" + "\x10\x06\x02\x00\x5e\x10\x00\x01"
	if got := string(relay4Of(c).Links[0].AccessNetwork); got != want {
		t.Errorf("sub-options\n%x\nwant\n%x", got, want)
	}
}
