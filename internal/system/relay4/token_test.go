package relay4_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// RFC 6925 section 6: a relay-id on a token. While the token is away, nothing is relayed, and
// status, log and counters say so. With the same token, relaying goes on; with another one, only
// if the operator says so.
func TestRFC6925_6_Token(t *testing.T) {
	n := build(t)
	n.serve(peer.Kea4UDP)
	const one, two = "00:03:00:01:02:00:5e:00:53:01", "00:03:00:01:02:00:5e:00:53:02"
	file := filepath.Join(t.TempDir(), "relay-id")
	put := func(id string) {
		t.Helper()
		n.Need(os.WriteFile(file+".new", []byte(id+"\n"), 0o600))
		n.Need(os.Rename(file+".new", file))
	}
	n.fairlead = n.relay.Fairlead(fairlead.Config{Text: rig.NoMetrics + "relay-id: {source: file, file: " + file + ", required: token}\n" +
		"peers:\n  - {name: server, address: " + serverAddress + ", role: server, interfaces: [u0], protection: none}\n" +
		"relay4:\n  links:\n    - {match: \"d*\", agent-information: add}\n"})
	n.fairlead.Start()
	n.fairlead.Logged("nothing is relayed", "no such file")
	stops := func(why string) {
		t.Helper()
		dropped := func() uint64 {
			var about api.Relay4
			n.fairlead.Ask("/v1/relay4", &about)
			return about.Drops["no-token"]
		}
		n.Until("status tells why nothing is relayed: "+why, func() bool { return strings.Contains(n.fairlead.CLI("status"), why) })
		before := dropped()
		n.discover(1)
		n.Until("a message is dropped", func() bool { return dropped() > before })
	}
	stops("no such file")
	put(one)
	n.fairlead.Logged("the token is there", one)
	up := n.server.Record("s0", "udp port 67")
	n.obtain(1)
	if got := up.Wait("dhcp.option.dhcp == 3 && ip.dst == "+serverAddress, "dhcp.option.agent_information_option.value"); !strings.Contains(strings.ReplaceAll(strings.Join(got[0], ""), ":", ""), strings.ReplaceAll(one, ":", "")) {
		t.Errorf("option 82 has %q, want the relay-id %s", got[0], one)
	}
	n.Need(os.Remove(file))
	stops("no such file")
	put(two)
	stops("is another one, " + two)
	put(one)
	n.obtain(2)
	put(two)
	stops("is another one, " + two)
	n.fairlead.CLI("reload", "--force")
	n.fairlead.Logged("the token is there", two)
	n.obtain(1)
}
