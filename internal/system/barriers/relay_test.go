package barriers_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// What every test says often.
var (
	need  = labtest.Need
	until = labtest.Until
)

var (
	linkAddress   = netip.MustParseAddr("2001:db8:1::1")
	relayAddress  = netip.MustParseAddr("2001:db8:ff::1")
	serverAddress = netip.MustParseAddr("2001:db8:ff::2")
	delegated     = netip.MustParsePrefix("2001:db8:1100::/56")
)

// flushes are what is done to the kernel, again and again.
var flushes = []struct{ name, command string }{
	{"nftables", "nft flush ruleset"},
	{"policies", "ip xfrm policy flush"},
	{"both", "nft flush ruleset && ip xfrm policy flush"},
	{"both, the other way round", "ip xfrm policy flush && nft flush ruleset"},
}

// world is a client that asks all the time, a relay, and a server that answers in clear
// what nobody has asked:
//
//	c c0 --- d1 r u0 --- s0 s
type world struct {
	t       *testing.T
	c, r, s *lab.Node
	program *relay.Relay
	client  *script.Client
	server  *script.Server
	forged  []byte // a Reply for the client, with a delegation
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	network := lab.ForTest(t)
	for name, d := range map[string]**lab.Node{"c": &w.c, "r": &w.r, "s": &w.s} {
		var err error
		*d, err = network.Node(name)
		need(t, err)
	}
	need(t, network.Veth(w.c, "c0", w.r, "d1"))
	need(t, network.Veth(w.r, "u0", w.s, "s0"))
	need(t, w.r.Address("d1", linkAddress.String()+"/64"))
	need(t, w.r.Address("u0", relayAddress.String()+"/64"))
	need(t, w.s.Address("s0", serverAddress.String()+"/64"))
	var err error
	w.program, err = relay.New(w.r, relay.Config{Binary: labtest.Program()})
	need(t, err)
	w.client, err = script.StartClient(w.c, script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0xc0, 1}})
	need(t, err)
	w.server, err = script.StartServer(w.s, serverAddress, func(script.Request) [][]byte { return nil })
	need(t, err)
	at, err := w.c.Interface("c0")
	need(t, err)
	w.forge(linkLocal(at.HardwareAddr))
	return w
}

// linkLocal is the address that an interface has by itself (RFC 4291 appendix A).
func linkLocal(mac []byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}

// forge makes the answer that would give the client a prefix, were it believed.
func (w *world) forge(client netip.Addr) {
	w.t.Helper()
	asked := w.client.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(1))
	forward := dhcp6.AppendOption(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, linkAddress, client), dhcp6.OptionRelayMessage, asked)
	request, err := script.Parse(script.Packet{Data: forward})
	need(w.t, err)
	answers := script.Grants{T1: 1000, T2: 1600, Prefixes: script.Always(dhcp6.IAPrefix{Prefix: delegated, Preferred: 2000, Valid: 3000})}.Answer(request)
	if len(answers) != 1 {
		w.t.Fatalf("%d answers, want one", len(answers))
	}
	w.forged = answers[0]
}

// configure writes the relay's file, with that protection of its peer.
func (w *world) configure(protection string) {
	w.t.Helper()
	need(w.t, w.program.Write(fmt.Sprintf(`metrics: {listen: "off"}
ipsec: {vici-socket: %s}
peers:
  - name: server
    address: %s
    local: %s
    role: server
    interfaces: [u0]
%srelay6:
  links:
    - match: d1
      rate: {source: unlimited}
`, filepath.Join(w.program.Dir, "no-charon.vici"), serverAddress, relayAddress, protection)))
}

func (w *world) key() string {
	w.t.Helper()
	file := filepath.Join(w.program.Dir, "psk")
	need(w.t, os.WriteFile(file, []byte("a secret of the relay and the server\n"), 0o600))
	return "    protection: ipsec\n    ike: {psk-file: " + file + "}\n"
}

// busy has the client ask and the server answer in clear until it is stopped.
func (w *world) busy() (stop func()) {
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		to := netip.AddrPortFrom(relayAddress, 547)
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				_ = w.client.Send(w.client.Message(dhcp6.Solicit, script.IAPD(1)))
				_ = w.server.Send(to, w.forged)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		done.Wait()
	})
}

func (w *world) routes() string {
	w.t.Helper()
	out, err := w.r.IP("-6 route show proto 87")
	need(w.t, err)
	return strings.TrimSpace(out)
}

// barriers reports whether both barriers of the kernel are there.
func barriers(t *testing.T, d *lab.Node, table string) bool {
	t.Helper()
	policies, err := d.IP("xfrm policy")
	need(t, err)
	_, missing := d.Run("nft", "list", "table", "inet", table)
	return missing == nil && strings.Count(policies, "action block") >= 4
}

// A protected peer without strongSwan: whatever is flushed, nothing is sent to it, and
// nothing that comes in clear from it is believed: no route, no stored delegation. The
// barriers of the kernel come back. Without protection all this passes. RFC 8213 3b, 3p.
func TestRFC8213_3_RelayWhileFlushed(t *testing.T) {
	w := newWorld(t)
	w.configure(w.key())
	need(t, w.program.Start())
	stop := w.busy()
	defer stop()
	for _, f := range flushes {
		for range 20 {
			_, err := w.r.Run("sh", "-c", f.command)
			need(t, err)
		}
		if got := w.server.Received(); len(got) > 0 {
			t.Errorf("%s flushed: the server has received %d messages in clear", f.name, len(got))
		}
		if got := w.routes(); got != "" {
			t.Errorf("%s flushed: routes from an answer in clear: %s", f.name, got)
		}
		until(t, f.name+" flushed: both barriers are back", func() bool { return barriers(t, w.r, "fairlead-relay-guard") })
	}
	stop()
	need(t, w.program.Stop())
	if !barriers(t, w.r, "fairlead-relay-guard") {
		t.Error("a barrier is gone with the process")
	}
	need(t, w.program.Start())
	if got, err := api.NewClient(w.program.Socket).Delegations(t.Context(), api.Filter{}); err != nil || len(got) > 0 {
		t.Errorf("stored: %+v, error %v", got, err)
	}
	w.configure("    protection: none\n")
	_, err := api.NewClient(w.program.Socket).Reload(t.Context(), api.ReloadRequest{})
	need(t, err)
	again := w.busy()
	defer again()
	until(t, "without protection the server is asked, and believed", func() bool {
		return len(w.server.Received()) > 0 && strings.Contains(w.routes(), delegated.String())
	})
	again()
	policies, err := w.r.IP("xfrm policy")
	need(t, err)
	if strings.Contains(policies, "action block") {
		t.Errorf("policies of a peer that needs none any more: %s", policies)
	}
}

// Purge takes the policies that block out, and leaves those of others.
func TestPurgeTakesPoliciesOut(t *testing.T) {
	w := newWorld(t)
	w.configure(w.key())
	need(t, w.program.Start())
	need(t, w.program.Stop())
	_, err := w.r.IP("xfrm policy add src ::/0 dst 2001:db8:99::/64 dir out action block")
	need(t, err)
	_, err = w.r.Run(labtest.Program(), "purge", "--config", w.program.File)
	need(t, err)
	policies, err := w.r.IP("xfrm policy")
	need(t, err)
	if strings.Count(policies, "action block") != 1 || !strings.Contains(policies, "2001:db8:99::/64") {
		t.Errorf("policies after purge: %s", policies)
	}
}
