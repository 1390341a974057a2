package relay4_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

var columns = regexp.MustCompile(" {2,}")

// tells checks that a text contains all words, however wide its columns are.
func tells(t *testing.T, what, text string, words ...string) {
	t.Helper()
	text = columns.ReplaceAllString(text, " ")
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: want %q in\n%s", what, w, text)
		}
	}
}

// Operators see of this relay what they see of the DHCPv6 relay: status, links, peers, the check
// of a file, what a reload would change, and then what it changes.
func TestOperatorsRead(t *testing.T) {
	n := build(t)
	const key = "agent-information: add"
	n.start(key)
	for range 8 { // nobody answers these
		n.discover(1)
	}
	var status string
	n.Until("the status tells of the server", func() bool {
		status = n.fairlead.CLI("status")
		return strings.Contains(status, "peer server: has never answered, 8 messages were sent")
	})
	tells(t, "status", status, "roles relay4\n", "DHCPv4 2 links with clients, 0 leases on view, 8 messages received, 0 delivered, 0 dropped")
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

// TestOperatorsSeeLeases shows that leases (who has which address, since when and until when) are
// shown by all commands that show delegations, and that an operator's order removes a lease from
// the view.
func TestOperatorsSeeLeases(t *testing.T) {
	n := build(t)
	n.start("agent-information: add")
	n.serve(peer.Kea4UDP)
	watch := n.fairlead.Follow("watch", "watch", "--json")
	steps := n.fairlead.Follow("trace", "trace", "--link", "d1", "--json")
	var one netip.Addr
	n.Until("watch and trace are there", func() bool { // a lease shows that they are there
		one = n.obtain(1)
		return rig.Lines(watch.Log(), `"kind":"delegation"`, one.String()) > 0 && rig.Lines(steps.Log(), `"type":"DHCPACK"`) > 0
	})
	two := n.obtain(2)
	var leases []api.Delegation
	n.fairlead.Show(&leases, "leases")
	if len(leases) != 2 || leases[0].Prefix != netip.PrefixFrom(one, 32) || leases[0].Link != "d1" || leases[1].Prefix != netip.PrefixFrom(two, 32) || leases[1].Link != "d2" {
		t.Fatalf("leases: %+v", leases)
	}
	mac := n.clients[0].Interface("c0").HardwareAddr.String()
	first := &leases[0]
	if first.LinkLayer != mac || first.Client.String() != "01:"+mac || first.IAID.Known || first.Server != "server" || first.Valid <= 0 || first.Valid > first.Lifetime {
		t.Errorf("the first lease: %+v; the client has %s", first, mac)
	}
	tells(t, "leases of a client", n.fairlead.CLI("leases", "--client", "01:"+mac), one.String()+" 01:"+mac+" "+mac+" d1 ", "1 lease\n")
	tells(t, "status", n.fairlead.CLI("status"), "2 leases")
	tells(t, "history", n.fairlead.CLI("history", "--prefix", two.String()), " now "+two.String()+"/32 ")
	if out, err := n.fairlead.Relay.CLI("clear", one.String(), "--block"); err == nil {
		t.Errorf("a lease of DHCPv4 was blocked: %s", out)
	}
	tells(t, "clear", n.fairlead.CLI("clear", one.String()), "1 cleared")
	n.fairlead.Show(&leases, "leases")
	if len(leases) != 1 || leases[0].Prefix.Addr() != two {
		t.Errorf("after the first was cleared: %+v", leases)
	}
	tells(t, "history", n.fairlead.CLI("history", "--client", "01:"+mac), one.String()+"/32 01:"+mac+" - d1 ", "cleared")
	n.Until("watch tells of the end", func() bool { return rig.Lines(watch.Log(), `"text":"ended"`, one.String()) > 0 })
}

// TestHookHearsOfLeases shows that the operator's program is called for a lease as for a
// delegation, but without an IAID, because a lease has none.
func TestHookHearsOfLeases(t *testing.T) {
	n := build(t)
	dir := t.TempDir()
	out, program := filepath.Join(dir, "out"), filepath.Join(dir, "hook")
	n.Need(os.WriteFile(program, []byte("#!/bin/sh\n{ env | sort; echo; } >>"+out+"\n"), 0o700))
	n.fairlead = n.relay.Fairlead(fairlead.Config{Text: "hook: {program: " + program + "}\n" + n.config("agent-information: add")})
	n.fairlead.Start()
	n.serve(peer.Kea4UDP)
	address := n.obtain(1)
	mac := n.clients[0].Interface("c0").HardwareAddr.String()
	var told string
	n.Until("the program was called", func() bool {
		b, _ := os.ReadFile(out)
		told = string(b)
		return strings.HasSuffix(told, "\n\n")
	})
	for _, want := range []string{"EVENT=granted", "PREFIX=" + address.String() + "/32", "KIND=address", "CLIENT=01:" + mac, "LINK_LAYER=" + mac, "LINK=d1", "SERVER=server"} {
		if !strings.Contains(told, "FAIRLEAD_"+want+"\n") {
			t.Errorf("want FAIRLEAD_%s in\n%s", want, told)
		}
	}
	if strings.Contains(told, "IAID") {
		t.Errorf("a lease of DHCPv4 has an IAID:\n%s", told)
	}
}
