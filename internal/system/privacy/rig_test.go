package privacy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// patience is for conditions that a slow machine may take long to reach.
const patience = labtest.Patience

func TestMain(m *testing.M) { labtest.Main(m) }

// What every test says often.
var (
	need     = labtest.Need
	until    = labtest.Until
	parallel = labtest.Parallel
	passed   = labtest.Passed
)

// rig is a network with a fairlead, a server in clear, and, if it was asked for,
// a second one.
type rig struct {
	*lab.Topology
	t       *testing.T
	relay   *relay.Relay
	server  *script.Server // named server
	another *script.Server // named another, or nil
}

// build makes a rig. Nothing runs yet but the servers, which give prefixes as
// granted says.
func build(t *testing.T, clients int, servers int) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: clients})
	need(t, err)
	r := &rig{Topology: top, t: t}
	r.relay, err = relay.New(top.Relay, relay.Config{Binary: labtest.Program()})
	need(t, err)
	answers := script.Grants{T1: 1000, T2: 1600, Prefixes: granted}
	r.server, err = script.StartServer(top.Server, lab.ServerAddress, answers.Answer)
	need(t, err)
	if servers > 1 {
		node, err := top.AddServer(2)
		need(t, err)
		r.another, err = script.StartServer(node, lab.ExtraServerAddress(2), answers.Answer)
		need(t, err)
	}
	return r
}

// brief is the IAID whose prefixes soon expire, and none the one that gets what
// may not be delegated.
const (
	brief    = 3
	unwanted = 4
)

// granted gives each identity association of each link a prefix of its own:
// 2001:db8:1Nbe:eI00::/56 on link N.
func granted(r script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
	if len(r.Relays) == 0 {
		return nil
	}
	link := r.Relays[len(r.Relays)-1].LinkAddress().As16()[5]
	p := dhcp6.IAPrefix{Prefix: prefixOf(int(link), ia.IAID), Preferred: 2000, Valid: 3000}
	switch ia.IAID {
	case brief:
		p.Preferred, p.Valid = 1, 2
	case unwanted:
		p.Prefix = netip.PrefixFrom(netip.MustParseAddr(strings.Replace(p.Prefix.Addr().String(), "2001:db8", "2001:db9", 1)), 56)
	}
	return []dhcp6.IAPrefix{p}
}

func prefixOf(link int, iaid uint32) netip.Prefix {
	a := lab.Delegable(link).Addr().As16()
	a[5], a[6] = 0xbe, 0xe0|byte(iaid&0xf)
	return netip.PrefixFrom(netip.AddrFrom16(a), 56)
}

// config is a configuration with one server in clear; top are keys of its top,
// peers further peers, links keys of its only link entry.
func (r *rig) config(top, peers string, links ...string) string {
	text := top + "metrics: {listen: off}\n" + relay.Standard(r.Topology)
	text = strings.Replace(text, "relay6:\n", peers+"relay6:\n", 1)
	for _, k := range links {
		text += "      " + k + "\n"
	}
	return text
}

// second is the second server's entry among the peers, with its protection.
func (r *rig) second(protection string) string {
	return fmt.Sprintf("  - {name: another, address: %s, local: %s, role: server, interfaces: [u0], %s}\n",
		lab.ExtraServerAddress(2), lab.RelayAddress, protection)
}

// ike is a protection that cannot come about: nobody listens at the socket of
// strongSwan, which top says.
func (r *rig) ike() (top, protection string) {
	r.t.Helper()
	return "ipsec: {vici-socket: " + filepath.Join(r.relay.Dir, "charon.vici") + "}\n",
		"protection: ipsec, ike: {psk-file: " + r.secret("psk", "a secret of relay and server\n") + "}"
}

// secret writes a file that is nobody else's to read.
func (r *rig) secret(name, text string) string {
	r.t.Helper()
	path := filepath.Join(r.relay.Dir, name)
	need(r.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// start starts the relay with a configuration.
func (r *rig) start(text string) {
	r.t.Helper()
	need(r.t, r.relay.Write(text))
	need(r.t, r.relay.Start())
}

// client opens the socket of the client on a link.
func (r *rig) client(link int, id dhcp6.DUID) *script.Client {
	r.t.Helper()
	return labtest.Client(r.t, r.Client(link), script.ClientConfig{DUID: id})
}

// uplink records what passes the relay's interface towards the servers.
func (r *rig) uplink() *capture.Capture {
	r.t.Helper()
	record, err := capture.Start(r.Relay, "u0", "ip6")
	need(r.t, err)
	return record
}

// heard reports whether a server has a message, by its transaction-id.
func heard(s *script.Server, message []byte) bool {
	for _, q := range s.Received() {
		if len(q.Inner) >= 4 && string(q.Inner[:4]) == string(message[:4]) {
			return true
		}
	}
	return false
}
