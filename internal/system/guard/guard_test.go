package guard_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/labtest"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

const (
	server   = "192.0.2.1"
	relay    = "192.0.2.2"
	known    = "192.0.2.3" // a peer in clear
	stranger = "192.0.2.4"
)

// network is a host that serves DHCPv4 under a guard, and a second host that has the addresses of
// all others.
type network struct {
	*rig.Net
	host, others *rig.Host
	guard        *rig.Program
	heard        chan string // messages that have reached the server's port
}

func start(t *testing.T) *network {
	t.Helper()
	r := &network{Net: rig.New(t), heard: make(chan string, 64)}
	r.host, r.others = r.Node("host"), r.Node("others")
	r.Veth(r.host, "h0", r.others, "o0")
	r.host.IP("addr add %s/24 dev h0", server)
	for _, a := range []string{relay, known, stranger} {
		r.others.IP("addr add %s/24 dev o0", a)
	}
	r.guard = r.host.Fairlead(fairlead.Config{Name: "guard", Guard: true})
	r.Need(os.WriteFile(r.path("psk"), []byte("a secret of the relay and the server\n"), 0o600))
	r.configure("")
	return r
}

func (r *network) path(name string) string { return filepath.Join(r.guard.Dir, name) }

// configure writes the guard's file. more has further peers.
func (r *network) configure(more string) {
	r.T.Helper()
	r.guard.Write(fmt.Sprintf(`ipsec: {vici-socket: %s}
peers:
  - {name: relay, address: %s, local: %s, role: relay, protection: ipsec, ike: {psk-file: %s}}
  - {name: known, address: %s, local: %s, role: relay, protection: none}
%s`, r.path("charon.vici"), relay, server, r.path("psk"), known, server, more))
}

// status returns what the status command prints as JSON.
func (r *network) status() (s api.GuardStatus) {
	r.T.Helper()
	r.guard.Show(&s, "guard", "status")
	return s
}

// serve listens at the server's port.
func (r *network) serve() {
	r.T.Helper()
	c := r.host.UDP(netip.MustParseAddrPort(server + ":67"))
	go func() {
		b := make([]byte, 1500)
		for {
			_, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			r.heard <- from.Addr().String()
		}
	}()
}

// request returns a BOOTREQUEST with that giaddr.
func request(giaddr string) []byte {
	b := make([]byte, 300)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[24:], netip.MustParseAddr(giaddr).AsSlice())
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255})
	return b
}

func (r *network) send(from string, message []byte) {
	r.T.Helper()
	c := r.others.UDP(netip.MustParseAddrPort(from + ":67"))
	defer c.Close()
	_, err := c.WriteToUDPAddrPort(message, netip.MustParseAddrPort(server+":67"))
	r.Need(err)
}

// hears sends one message after another, and at the end one that passes. A message that has not
// arrived before that one will not arrive any more.
func (r *network) hears(from string, message []byte) bool {
	r.T.Helper()
	r.send(from, message)
	r.send(known, request(known))
	heard := false
	for {
		select {
		case who := <-r.heard:
			if who == known {
				return heard
			}
			heard = heard || who == from
		case <-time.After(labtest.Patience):
			r.T.Fatal("nothing arrives, not even from the peer in clear")
		}
	}
}

func (r *network) table() bool {
	r.T.Helper()
	return strings.Contains(r.host.Run("nft", "list", "tables"), "fairlead-guard-guard")
}

// RFC 8213 3p. No message of a protected peer comes in in clear, no relayed message of a stranger
// comes in, and a message of a client without a relay passes. Messages of strangers, and messages
// in clear, are counted.
func TestOnlyPeersAreHeard(t *testing.T) {
	r := start(t)
	r.serve()
	if !r.hears(relay, request(relay)) || !r.hears(stranger, request(stranger)) {
		t.Fatal("without a guard not everybody is heard")
	}
	r.guard.Start()
	for _, tc := range []struct {
		what, from, giaddr string
		want               bool
	}{
		{"the peer in clear, relayed", relay, relay, false},
		{"the peer in clear, not relayed", relay, "0.0.0.0", false},
		{"a stranger, relayed", stranger, stranger, false},
		{"a client", stranger, "0.0.0.0", true},
	} {
		if got := r.hears(tc.from, request(tc.giaddr)); got != tc.want {
			t.Errorf("%s is heard: %v, want %v", tc.what, got, tc.want)
		}
	}
	r.Until("all is counted", func() bool {
		s := r.status()
		return s.Strangers.Packets == 1 && len(s.Peers) == 2 && len(s.Peers[0].Hops) == 1 && s.Peers[0].Hops[0].DroppedIn.Packets == 2
	})
	s := r.status()
	if s.Peers[0].Protected || s.Peers[1].Protected || len(s.Degraded) != 1 || !strings.Contains(s.Degraded[0], "strongSwan cannot be reached") {
		t.Errorf("status %+v", s)
	}
}

// If something of the guard is removed, the guard restores it, and reports it. What the guard
// holds back is held back after the guard's end too, until it is purged.
func TestGuardHolds(t *testing.T) {
	r := start(t)
	r.serve()
	r.guard.Start()
	for i, words := range []string{"flush ruleset", "delete table inet fairlead-guard-guard", "flush chain inet fairlead-guard-guard input"} {
		r.host.Run(append([]string{"nft"}, strings.Fields(words)...)...)
		r.Until(words+": noticed", func() bool { return strings.Count(r.guard.Log(), "guard table changed by somebody else") > i })
		r.Until(words+": mended", func() bool { return r.table() && !r.hears(relay, request(relay)) })
	}
	purge := func() error {
		_, err := r.host.Node.Run(rig.Binary(), "guard", "purge", "--config", r.guard.File)
		return err
	}
	if err := purge(); err == nil || !strings.Contains(err.Error(), "systemctl stop fairlead-guard") || !r.table() {
		t.Errorf("a purge beside a guard that runs: %v, the table is there: %v", err, r.table())
	}
	r.guard.Stop()
	if !r.table() || r.hears(relay, request(relay)) {
		t.Error("the guard went with its process")
	}
	r.Need(purge())
	if r.table() || !r.hears(relay, request(relay)) {
		t.Error("the guard is still there after a purge")
	}
}

// A new peer is guarded when a reload has returned. A file with errors changes nothing.
func TestReload(t *testing.T) {
	r := start(t)
	r.serve()
	r.guard.Start()
	reload := func() error {
		_, err := r.guard.Relay.CLI("reload")
		return err
	}
	if !r.hears(stranger, request("0.0.0.0")) {
		t.Fatal("a client is not heard")
	}
	r.Need(os.WriteFile(r.path("other"), []byte("another secret, of the second relay\n"), 0o600))
	r.configure(fmt.Sprintf("  - {name: second, address: %s, local: %s, role: relay, protection: ipsec, ike: {psk-file: %s}}\n", stranger, server, r.path("other")))
	r.Need(reload())
	if r.hears(stranger, request("0.0.0.0")) {
		t.Error("the second relay is heard in clear")
	}
	// Trust is pairwise: the key of one peer is no other peer's key.
	r.Need(os.WriteFile(r.path("other"), []byte("a secret of the relay and the server\n"), 0o600))
	if err := reload(); err == nil || !strings.Contains(err.Error(), "the same key as peers[0]") {
		t.Errorf("one key for two peers: %v", err)
	}
	if s := r.status(); s.Config.LastError == "" || len(s.Peers) != 3 {
		t.Errorf("status %+v", s)
	}
}

// A reload also changes who may command the guard, and where that is recorded: an operator who
// was removed must not have access any more.
func TestReloadTakesControl(t *testing.T) {
	r := start(t)
	r.guard.Start()
	r.configure(fmt.Sprintf("audit: {log: %s}\n", r.path("audit")))
	r.guard.CLI("reload")
	r.guard.CLI("reload")
	b, err := os.ReadFile(r.path("audit"))
	if err != nil || !strings.Contains(string(b), `"deed":"reload"`) {
		t.Errorf("the audit log of the new configuration: %s, %v", b, err)
	}
}

// A second guard that is started by mistake does not remove the table of the first.
func TestSecondGuardTakesNothing(t *testing.T) {
	r := start(t)
	r.guard.Start()
	before := r.host.Run("nft", "-a", "list", "table", "inet", "fairlead-guard-guard")
	other := r.path("other.yaml")
	r.Need(os.WriteFile(other, []byte(strings.Replace(r.guard.Text(), "control.sock", "other.sock", 1)), 0o644))
	holder := fmt.Sprintf("(fairlead guard, process %d)", r.guard.Proc().Pid())
	for _, file := range []string{r.guard.File, other} {
		_, err := r.host.Node.Run(rig.Binary(), "guard", "--config", file)
		if err == nil || !strings.Contains(err.Error(), holder) {
			t.Errorf("a second guard with %s: %v, want an error with %q", file, err, holder)
		}
	}
	after := r.host.Run("nft", "-a", "list", "table", "inet", "fairlead-guard-guard")
	if before != after {
		t.Errorf("the table is another one than before:\n%s\nbefore:\n%s", after, before)
	}
}

// A program that reads the wire by a packet socket cannot be protected. The guard reports it as
// long as it runs, and reports that what it sends in this way is held back.
func TestProgramsThatPassIPsecBy(t *testing.T) {
	r := start(t)
	r.guard.Start()
	program := r.host.Start("dhcrelay", "dhcrelay", "-d", "-4", "-i", "h0", relay)
	r.Until("dhcrelay is named", func() bool {
		s := r.status()
		return len(s.Programs) == 1 && s.Programs[0].Name == "dhcrelay" && s.Programs[0].PID == program.Pid() &&
			strings.Contains(s.Programs[0].Problem, "what it sends to peers by one is held back")
	})
	if log := r.guard.Log(); !strings.Contains(log, "a DHCP program passes IPsec by") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
	r.Need(program.Stop())
	r.Until("dhcrelay is gone", func() bool { return len(r.status().Programs) == 0 })
}
