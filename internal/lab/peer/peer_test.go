package peer_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// patience is enough for random delays, a second in which clients wait for more servers, and a
// slow machine.
const patience = 60 * time.Second

var need = labtest.Need

// granted are the prefixes that the scripted server gives to the first and to the second IA_PD of
// a message.
var granted = []netip.Prefix{
	netip.MustParsePrefix("2001:db8:1100::/56"),
	netip.MustParsePrefix("2001:db8:1200::/56"),
}

// generous returns a server that remembers to which IAID it gave which prefix.
func generous() script.Answer {
	given := map[uint32]netip.Prefix{}
	return script.Grants{
		T1: 1000, T2: 1600,
		Prefixes: func(_ script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
			if _, known := given[ia.IAID]; !known {
				given[ia.IAID] = granted[len(given)%len(granted)]
			}
			return []dhcp6.IAPrefix{{Prefix: given[ia.IAID], Preferred: 2000, Valid: 3000}}
		},
		Addresses: func(script.Request, dhcp6.IA) []dhcp6.IAAddr {
			return []dhcp6.IAAddr{{Address: netip.MustParseAddr("2001:db8:1::99"), Preferred: 2000, Valid: 3000}}
		},
	}.Answer
}

// street joins a home router and a scripted server with a cable.
func street(t *testing.T) (*lab.Node, *script.Server) {
	t.Helper()
	home, isp := labtest.Pair(t, "home", "c0", "isp", "s0")
	need(t, home.Stub("lan0"))
	for _, name := range []string{"c0", "lan0"} {
		_, err := home.LinkLocal(name)
		need(t, err)
	}
	server, err := script.StartServer(isp, netip.IPv6Unspecified(), generous())
	need(t, err)
	need(t, server.Join("s0", dhcp6.AllRelayAgentsAndServers))
	return home, server
}

// sends waits until the server has received a message of the type, not counting the first skip
// messages.
func sends(t *testing.T, server *script.Server, skip int, want dhcp6.MessageType) script.Request {
	t.Helper()
	var r script.Request
	need(t, lab.Until(patience, "the client sends a "+want.String(), func() bool {
		for _, r = range server.Received()[skip:] {
			if r.Message.Type() == want {
				return true
			}
		}
		return false
	}))
	return r
}

// hooks is what a client's hook has written so far about answers.
type hooks struct {
	path  string
	lines int
}

func told(c *peer.Client) *hooks {
	h := &hooks{path: filepath.Join(c.Dir, "events")}
	h.lines = h.count()
	return h
}

// count returns how many prefixes the client was given, in all answers.
func (h *hooks) count() int {
	text, _ := os.ReadFile(h.path)
	return strings.Count(string(text), "add ")
}

// more waits until both prefixes have been written once more.
func (h *hooks) more(t *testing.T) {
	t.Helper()
	need(t, lab.Until(patience, "the client takes the answer in", func() bool { return h.count() >= h.lines+len(granted) }))
	h.lines = h.count()
}

func TestClients(t *testing.T) {
	for _, kind := range peer.ClientKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			home, server := street(t)
			duid := []byte{0, 3, 0, 1, 2, 0, 0, 0, 0xbe, 0xef}
			c, err := peer.StartClient(home, kind, peer.ClientConfig{Prefixes: 2, DUID: duid})
			need(t, err)
			held, err := c.Await(patience, 2)
			need(t, err)
			if diff := cmp.Diff(granted, held, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("prefixes (-want +got):\n%s", diff)
			}
			if got, _ := sends(t, server, 0, dhcp6.Request).Message.ClientID(); !bytes.Equal(got, duid) {
				t.Errorf("client-id %x, want the preset %x", []byte(got), duid)
			}
			inside, err := c.Inside()
			need(t, err)
			if !granted[0].Contains(inside) && !granted[1].Contains(inside) {
				t.Errorf("address %s is in none of the prefixes", inside)
			}

			// These are sent on demand. The next one is asked for once the answer to the one
			// before is taken in: a client that is not ready may end without a Release.
			before, told := len(server.Received()), told(c)
			if err := c.Renew(); err == nil {
				sends(t, server, before, dhcp6.Renew)
				told.more(t)
			} else if !errors.Is(err, peer.ErrUnable) || kind == peer.Dhcpcd {
				t.Errorf("Renew: %v", err)
			}
			before = len(server.Received())
			if err := c.Rebind(); err == nil {
				sends(t, server, before, dhcp6.Rebind)
				told.more(t)
			} else if !errors.Is(err, peer.ErrUnable) || kind == peer.Dhcpcd || kind == peer.Dhclient {
				t.Errorf("Rebind: %v", err)
			}
			held, err = c.Await(patience, 2)
			need(t, err)
			if len(held) != 2 {
				t.Errorf("%d prefixes after it, want 2", len(held))
			}
			before = len(server.Received())
			need(t, c.Release())
			sends(t, server, before, dhcp6.Release)
			if c.Proc().Running() {
				t.Error("it still runs after Release")
			}
		})
	}
}

func TestClientLosesWithdrawnPrefix(t *testing.T) {
	for _, kind := range []peer.ClientKind{peer.Dhcpcd} { // only dhcpcd renews on demand
		t.Run(string(kind), func(t *testing.T) {
			home, server := street(t)
			c, err := peer.StartClient(home, kind, peer.ClientConfig{NoAddress: true})
			need(t, err)
			_, err = c.Await(patience, 1)
			need(t, err)
			server.Become(script.Grants{T1: 1000, T2: 1600, Prefixes: script.Always(
				dhcp6.IAPrefix{Prefix: granted[0]},
				dhcp6.IAPrefix{Prefix: granted[1], Preferred: 2000, Valid: 3000},
			)}.Answer)
			need(t, c.Renew())
			need(t, lab.Until(patience, "the prefix is exchanged", func() bool {
				held := c.Prefixes()
				return len(held) == 1 && held[0] == granted[1]
			}))
		})
	}
}

func TestServers(t *testing.T) {
	for _, kind := range peer.ServerKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			n := lab.ForTest(t)
			top, err := n.Topology(lab.Plan{Clients: 0})
			need(t, err)
			server, err := peer.StartServer(top.Server, kind, peer.ServerConfig{})
			need(t, err)

			// This is a relay of a few lines, for a client on link 2.
			relay, err := script.StartClient(top.Relay, script.ClientConfig{
				Interface: "u0", Source: lab.RelayAddress, Port: 547, DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 9},
			})
			need(t, err)
			ask := func(message []byte) dhcp6.Message {
				t.Helper()
				b := dhcp6.AppendRelayHeader(nil, dhcp6.RelayForward, 0, lab.LinkAddress(2), netip.MustParseAddr("fe80::9"))
				b = dhcp6.AppendInterfaceID(b, []byte("d2"))
				b = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, message)
				for range 20 {
					need(t, relay.SendTo(lab.ServerAddress, b))
					p, err := relay.Receive(3 * time.Second)
					if err != nil {
						continue
					}
					r, err := script.Parse(p)
					need(t, err)
					return r.Message
				}
				t.Fatalf("%s does not answer", kind)
				return dhcp6.Message{}
			}
			advertise := ask(relay.Message(dhcp6.Solicit, script.IAPD(11), script.IAPD(12)))
			list := script.Delegations(advertise)
			if len(list) != 2 || list[0].IAID == list[1].IAID {
				t.Fatalf("it advertises %v, want one prefix for each of two IA_PDs", list)
			}
			for _, d := range list {
				if !lab.Delegable(2).Contains(d.Prefix.Addr()) || d.Prefix.Bits() != 56 || d.Valid != 30 || d.Preferred != 20 {
					t.Errorf("it advertises %v preferred %v valid %v, want a /56 of %v, 20 and 30", d.Prefix, d.Preferred, d.Valid, lab.Delegable(2))
				}
			}
			need(t, server.Stop())
		})
	}
}
