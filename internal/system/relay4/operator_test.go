package relay4_test

import (
	"regexp"
	"strings"
	"testing"

	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

var columns = regexp.MustCompile(" {2,}")

// tells checks that a text has all words, however wide its columns are.
func tells(t *testing.T, what, text string, words ...string) {
	t.Helper()
	text = columns.ReplaceAllString(text, " ")
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: want %q in\n%s", what, w, text)
		}
	}
}

// What operators read of the DHCPv6 relay they read of this one: status, links, peers, the
// check of a file, and what a reload would change, and then changes.
func TestOperatorsRead(t *testing.T) {
	n := build(t)
	const key = "agent-information: add"
	n.start(key)
	for range 8 { // nobody answers
		n.discover(1)
	}
	var status string
	n.Until("the status tells of the server", func() bool {
		status = n.fairlead.CLI("status")
		return strings.Contains(status, "peer server: has never answered, 8 messages were sent")
	})
	tells(t, "status", status, "roles relay4\n", "DHCPv4 2 links with clients, 8 messages received, 0 delivered, 0 dropped")
	if strings.Contains(status, "delegations") || strings.Contains(status, "\nlinks ") {
		t.Errorf("the status of a DHCPv4 relay tells of DHCPv6:\n%s", status)
	}
	n.serve(peer.Kea4UDP)
	n.obtain(1)
	tells(t, "links", n.fairlead.CLI("links"), "\nd1 up "+giaddr(1).String(), "\nd2 up "+giaddr(2).String())
	tells(t, "one link", n.fairlead.CLI("links", "d1"), "giaddr "+giaddr(1).String(), "delivered 1 ack, 1 offer")
	var peers []struct{ Name string }
	n.fairlead.Show(&peers, "peers")
	if len(peers) != 1 || peers[0].Name != "server" {
		t.Errorf("peers: %v", peers)
	}

	next := strings.NewReplacer(": add\n", ": replace\n", `"d*"`, "[d1, absent0]").Replace(n.config(key))
	n.fairlead.Write(next)
	changes := []string{"relay4: link d1 (1 address): changed: agent-information from add to replace", "relay4: link d2: lost, faces clients no more", `no interface is named "absent0" now: nobody is served there`}
	tells(t, "the dry run", n.fairlead.CLI("reload", "--dry-run"), append(changes, "a reload would change:")...)
	tells(t, "links after a dry run", n.fairlead.CLI("links"), "\nd2 ")
	tells(t, "the check", n.relay.Run(rig.Binary(), "config", "check", n.fairlead.File), changes[2])
	tells(t, "the reload", n.fairlead.CLI("reload"), append(changes, "the configuration was reloaded:")...)
	if out := n.fairlead.CLI("links"); strings.Contains(out, "d2") {
		t.Errorf("d2 faces clients no more, and is shown:\n%s", out)
	}
	tells(t, "status", n.fairlead.CLI("status"), "relay4.links: no interface is named absent0: nobody is served there")
	n.fairlead.Write(n.config(key))
	tells(t, "the way back", n.fairlead.CLI("reload"), "relay4: link d2: gained, faces clients")
}
