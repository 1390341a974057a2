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
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) { rig.Main(m) }

var (
	linkAddress   = netip.MustParseAddr("2001:db8:1::1")
	relayAddress  = netip.MustParseAddr("2001:db8:ff::1")
	serverAddress = netip.MustParseAddr("2001:db8:ff::2")
	delegated     = netip.MustParsePrefix("2001:db8:1100::/56")
)

// flushes are the commands that are run on the kernel, again and again.
var flushes = []struct{ name, command string }{
	{"nftables", "nft flush ruleset"},
	{"policies", "ip xfrm policy flush"},
	{"both", "nft flush ruleset && ip xfrm policy flush"},
	{"both, the other way round", "ip xfrm policy flush && nft flush ruleset"},
}

// world is a client that asks all the time, a relay, and a server that sends answers in clear for
// which nobody has asked:
//
//	c c0 --- d1 r u0 --- s0 s
type world struct {
	*rig.Net
	r       *rig.Host
	program *rig.Program
	client  *rig.Client
	server  *rig.Server
	forged  []byte // a Reply for the client, with a delegation
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Net: rig.New(t)}
	c, r, s := w.Node("c"), w.Node("r"), w.Node("s")
	w.Veth(c, "c0", r, "d1")
	w.Veth(r, "u0", s, "s0")
	r.Address("d1", linkAddress.String()+"/64")
	r.Address("u0", relayAddress.String()+"/64")
	s.Address("s0", serverAddress.String()+"/64")
	w.r, w.program = r, r.Fairlead(relay.Config{})
	w.client = c.Play(rig.DUID(1))
	w.server = s.Server(serverAddress, nil)
	w.forge(linkLocal(c.Interface("c0").HardwareAddr))
	return w
}

// linkLocal returns the address that an interface makes by itself (RFC 4291 appendix A).
func linkLocal(mac []byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}

// forge makes the answer that would give the client a prefix if it were believed.
func (w *world) forge(client netip.Addr) {
	w.T.Helper()
	asked := w.client.Message(dhcp6.Request, script.ServerID(script.DefaultServerDUID), script.IAPD(1))
	forward := dhcp6.AppendOption(dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, linkAddress, client), dhcp6.OptionRelayMessage, asked)
	request, err := script.Parse(script.Packet{Data: forward})
	w.Need(err)
	answers := rig.Always(delegated)(request)
	if len(answers) != 1 {
		w.T.Fatalf("%d answers, want one", len(answers))
	}
	w.forged = answers[0]
}

// configure writes the relay's file, with the given protection of its peer.
func (w *world) configure(protection string) {
	w.T.Helper()
	w.program.Write(fmt.Sprintf(`metrics: {listen: "off"}
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
`, filepath.Join(w.program.Dir, "no-charon.vici"), serverAddress, relayAddress, protection))
}

func (w *world) key() string {
	w.T.Helper()
	file := filepath.Join(w.program.Dir, "psk")
	w.Need(os.WriteFile(file, []byte("a secret of the relay and the server\n"), 0o600))
	return "    protection: ipsec\n    ike: {psk-file: " + file + "}\n"
}

// busy makes the client ask, and the server answer in clear, until it is stopped.
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
				_ = w.client.Client.Send(w.client.Message(dhcp6.Solicit, script.IAPD(1)))
				_ = w.server.Server.Send(to, w.forged)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		done.Wait()
	})
}

func (w *world) routes() string {
	w.T.Helper()
	return strings.TrimSpace(w.r.IP("-6 route show proto 87"))
}

// There is a protected peer without strongSwan. Whatever is flushed, nothing is sent to it, and
// nothing that comes in clear from it is believed: there is no route and no stored delegation.
// The barriers of the kernel are restored. Without protection all of this passes. RFC 8213 3b,
// 3p.
func TestRFC8213_3_RelayWhileFlushed(t *testing.T) {
	w := newWorld(t)
	w.configure(w.key())
	w.program.Start()
	stop := w.busy()
	defer stop()
	for _, f := range flushes {
		for range 20 {
			w.r.Run("sh", "-c", f.command)
		}
		if got := w.server.Received(); len(got) > 0 {
			t.Errorf("%s flushed: the server has received %d messages in clear", f.name, len(got))
		}
		if got := w.routes(); got != "" {
			t.Errorf("%s flushed: routes from an answer in clear: %s", f.name, got)
		}
		w.Until(f.name+" flushed: both barriers are back", func() bool { return w.r.Barriers("fairlead-relay-guard") })
	}
	stop()
	w.program.Stop()
	if !w.r.Barriers("fairlead-relay-guard") {
		t.Error("a barrier is gone with the process")
	}
	w.program.Start()
	if got, err := api.NewClient(w.program.Socket).Delegations(t.Context(), api.Filter{}); err != nil || len(got) > 0 {
		t.Errorf("stored: %+v, error %v", got, err)
	}
	w.configure("    protection: none\n")
	_, err := api.NewClient(w.program.Socket).Reload(t.Context(), api.ReloadRequest{})
	w.Need(err)
	again := w.busy()
	defer again()
	w.Until("without protection the server is asked, and believed", func() bool {
		return len(w.server.Received()) > 0 && strings.Contains(w.routes(), delegated.String())
	})
	again()
	if policies := w.r.IP("xfrm policy"); strings.Contains(policies, "action block") {
		t.Errorf("policies of a peer that needs none any more: %s", policies)
	}
}

// purge removes the policies that block, and leaves policies of other programs.
func TestPurgeTakesPoliciesOut(t *testing.T) {
	w := newWorld(t)
	w.configure(w.key())
	w.program.Start()
	w.program.Stop()
	w.r.IP("xfrm policy add src ::/0 dst 2001:db8:99::/64 dir out action block")
	w.program.Purge()
	policies := w.r.IP("xfrm policy")
	if strings.Count(policies, "action block") != 1 || !strings.Contains(policies, "2001:db8:99::/64") {
		t.Errorf("policies after purge: %s", policies)
	}
}
