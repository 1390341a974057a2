package guard_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// What every test says often.
var (
	need  = labtest.Need
	until = labtest.Until
)

const (
	server   = "192.0.2.1"
	relay    = "192.0.2.2"
	known    = "192.0.2.3" // a peer in clear
	stranger = "192.0.2.4"
)

// rig is a host that serves DHCPv4 under a guard, and a host beside it that has
// the addresses of everybody else.
type rig struct {
	t            *testing.T
	host, others *lab.Node
	dir          string
	proc         *lab.Proc
	heard        chan string // what reached the server's port
}

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, heard: make(chan string, 64)}
	r.host, r.others = labtest.Pair(t, "host", "h0", "others", "o0")
	_, err := r.host.IP("addr add %s/24 dev h0", server)
	need(t, err)
	for _, a := range []string{relay, known, stranger} {
		_, err = r.others.IP("addr add %s/24 dev o0", a)
		need(t, err)
	}
	r.dir, err = r.host.Folder("guard")
	need(t, err)
	need(t, os.WriteFile(r.path("psk"), []byte("a secret of the relay and the server\n"), 0o600))
	r.configure("")
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// configure writes the guard's file; more are further peers.
func (r *rig) configure(more string) {
	r.t.Helper()
	need(r.t, os.WriteFile(r.path("guard.yaml"), []byte(fmt.Sprintf(`control: {socket: %s}
ipsec: {vici-socket: %s}
peers:
  - {name: relay, address: %s, local: %s, role: relay, protection: ipsec, ike: {psk-file: %s}}
  - {name: known, address: %s, local: %s, role: relay, protection: none}
%s`, r.path("control.sock"), r.path("charon.vici"), relay, server, r.path("psk"), known, server, more)), 0o644))
}

func (r *rig) launch() {
	r.t.Helper()
	var err error
	r.proc, err = r.host.Start(lab.Command{Name: "guard", Args: []string{labtest.Program(), "guard", "--config", r.path("guard.yaml")}})
	need(r.t, err)
	need(r.t, r.proc.Logged(labtest.Patience, "msg=guarding"))
}

// status is what the command shows as JSON.
func (r *rig) status() (s api.GuardStatus) {
	r.t.Helper()
	out, err := r.host.Run(labtest.Program(), "guard", "status", "--json", "--socket", r.path("control.sock"))
	need(r.t, err)
	need(r.t, json.Unmarshal([]byte(out), &s))
	return s
}

// serve listens at the server's port.
func (r *rig) serve() {
	r.t.Helper()
	var c *net.UDPConn
	need(r.t, r.host.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server+":67")))
		return err
	}))
	r.t.Cleanup(func() { c.Close() })
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

// request is a BOOTREQUEST with that giaddr.
func request(giaddr string) []byte {
	b := make([]byte, 300)
	b[0], b[1], b[2] = 1, 1, 6
	copy(b[24:], netip.MustParseAddr(giaddr).AsSlice())
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255})
	return b
}

func (r *rig) send(from string, message []byte) {
	r.t.Helper()
	var c *net.UDPConn
	need(r.t, r.others.Do(func() (err error) {
		c, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from+":67")), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server+":67")))
		return err
	}))
	defer c.Close()
	_, err := c.Write(message)
	need(r.t, err)
}

// hears sends one message after another, and at the end one that passes: what
// has not arrived before that will not any more.
func (r *rig) hears(from string, message []byte) bool {
	r.t.Helper()
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
			r.t.Fatal("nothing arrives, not even from the peer in clear")
		}
	}
}

func (r *rig) table() bool {
	r.t.Helper()
	out, err := r.host.Run("nft", "list", "tables")
	need(r.t, err)
	return strings.Contains(out, "fairlead-guard-guard")
}

// RFC 8213 3p. Nothing of a protected peer comes in in clear, nothing relayed of
// those that are no peers, and a client without a relay is let through. Strangers
// and clear packets are counted.
func TestOnlyPeersAreHeard(t *testing.T) {
	r := start(t)
	r.serve()
	if !r.hears(relay, request(relay)) || !r.hears(stranger, request(stranger)) {
		t.Fatal("without a guard not everybody is heard")
	}
	r.launch()
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
	until(t, "all is counted", func() bool {
		s := r.status()
		return s.Strangers.Packets == 1 && len(s.Peers) == 2 && len(s.Peers[0].Hops) == 1 && s.Peers[0].Hops[0].DroppedIn.Packets == 2
	})
	s := r.status()
	if s.Peers[0].Protected || s.Peers[1].Protected || len(s.Degraded) != 1 || !strings.Contains(s.Degraded[0], "strongSwan cannot be reached") {
		t.Errorf("status %+v", s)
	}
}

// What somebody takes away of the guard comes back by itself, and is told; what
// the guard holds back it holds back after its end too, until it is purged.
func TestGuardHolds(t *testing.T) {
	r := start(t)
	r.serve()
	r.launch()
	for i, words := range []string{"flush ruleset", "delete table inet fairlead-guard-guard", "flush chain inet fairlead-guard-guard input"} {
		_, err := r.host.Run(append([]string{"nft"}, strings.Fields(words)...)...)
		need(t, err)
		until(t, words+": noticed", func() bool { return strings.Count(r.proc.Log(), "guard table changed by somebody else") > i })
		until(t, words+": mended", func() bool { return r.table() && !r.hears(relay, request(relay)) })
	}
	purge := func() error {
		_, err := r.host.Run(labtest.Program(), "guard", "purge", "--config", r.path("guard.yaml"))
		return err
	}
	if err := purge(); err == nil || !strings.Contains(err.Error(), "systemctl stop fairlead-guard") || !r.table() {
		t.Errorf("a purge beside a guard that runs: %v, the table is there: %v", err, r.table())
	}
	need(t, r.proc.Signal(syscall.SIGTERM))
	need(t, r.proc.Wait(labtest.Patience))
	if !r.table() || r.hears(relay, request(relay)) {
		t.Error("the guard went with its process")
	}
	need(t, purge())
	if r.table() || !r.hears(relay, request(relay)) {
		t.Error("the guard is still there after a purge")
	}
}

// A new peer is guarded once a reload returns; a file with errors changes nothing.
func TestReload(t *testing.T) {
	r := start(t)
	r.serve()
	r.launch()
	reload := func() error {
		_, err := r.host.Run(labtest.Program(), "reload", "--socket", r.path("control.sock"))
		return err
	}
	if !r.hears(stranger, request("0.0.0.0")) {
		t.Fatal("a client is not heard")
	}
	need(t, os.WriteFile(r.path("other"), []byte("another secret, of the second relay\n"), 0o600))
	r.configure(fmt.Sprintf("  - {name: second, address: %s, local: %s, role: relay, protection: ipsec, ike: {psk-file: %s}}\n", stranger, server, r.path("other")))
	need(t, reload())
	if r.hears(stranger, request("0.0.0.0")) {
		t.Error("the second relay is heard in clear")
	}
	// Pairwise trust: the key of one peer is nobody else's.
	need(t, os.WriteFile(r.path("other"), []byte("a secret of the relay and the server\n"), 0o600))
	if err := reload(); err == nil || !strings.Contains(err.Error(), "the same key as peers[0]") {
		t.Errorf("one key for two peers: %v", err)
	}
	if s := r.status(); s.Config.LastError == "" || len(s.Peers) != 3 {
		t.Errorf("status %+v", s)
	}
}

// Who may command the guard and where that is written down are taken over too: an
// operator who was struck out must not go on.
func TestReloadTakesControl(t *testing.T) {
	r := start(t)
	r.launch()
	reload := func() {
		t.Helper()
		_, err := r.host.Run(labtest.Program(), "reload", "--socket", r.path("control.sock"))
		need(t, err)
	}
	r.configure(fmt.Sprintf("audit: {log: %s}\n", r.path("audit")))
	reload()
	reload()
	b, err := os.ReadFile(r.path("audit"))
	if err != nil || !strings.Contains(string(b), `"deed":"reload"`) {
		t.Errorf("the audit log of the new configuration: %s, %v", b, err)
	}
}

// Whoever starts a second guard beside the first by mistake does not take the
// first one's table away.
func TestSecondGuardTakesNothing(t *testing.T) {
	r := start(t)
	r.launch()
	before, err := r.host.Run("nft", "-a", "list", "table", "inet", "fairlead-guard-guard")
	need(t, err)
	text, err := os.ReadFile(r.path("guard.yaml"))
	need(t, err)
	need(t, os.WriteFile(r.path("other.yaml"), []byte(strings.Replace(string(text), "control.sock", "other.sock", 1)), 0o644))
	holder := fmt.Sprintf("(fairlead guard, process %d)", r.proc.Pid())
	for _, file := range []string{"guard.yaml", "other.yaml"} {
		_, err = r.host.Run(labtest.Program(), "guard", "--config", r.path(file))
		if err == nil || !strings.Contains(err.Error(), holder) {
			t.Errorf("a second guard with %s: %v, want an error with %q", file, err, holder)
		}
	}
	after, err := r.host.Run("nft", "-a", "list", "table", "inet", "fairlead-guard-guard")
	need(t, err)
	if before != after {
		t.Errorf("the table is another one than before:\n%s\nbefore:\n%s", after, before)
	}
}

// A program that reads the wire by a packet socket cannot be protected: the guard
// says so as long as it runs, and that what it sends so is held back.
func TestProgramsThatPassIPsecBy(t *testing.T) {
	r := start(t)
	r.launch()
	program, err := r.host.Start(lab.Command{Name: "dhcrelay", Args: []string{"dhcrelay", "-d", "-4", "-i", "h0", relay}})
	need(t, err)
	until(t, "dhcrelay is named", func() bool {
		s := r.status()
		return len(s.Programs) == 1 && s.Programs[0].Name == "dhcrelay" && s.Programs[0].PID == program.Pid() &&
			strings.Contains(s.Programs[0].Problem, "what it sends to peers by one is held back")
	})
	if log := r.proc.Log(); !strings.Contains(log, "a DHCP program passes IPsec by") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
	need(t, program.Stop())
	until(t, "dhcrelay is gone", func() bool { return len(r.status().Programs) == 0 })
}
