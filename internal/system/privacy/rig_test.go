package privacy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) { rig.Main(m) }

// network is a rig with a server in clear and, if asked for, a second server.
type network struct {
	*rig.Rig             // its server is named server
	another  *rig.Server // named another, or nil
}

// build makes a network. Only the servers run, which give prefixes by the function granted. The
// test runs at the same time as one other.
func build(t *testing.T, clients int, servers int) *network {
	t.Helper()
	labtest.Parallel(t)
	r := &network{Rig: rig.Build(t, lab.Plan{Clients: clients})}
	r.Prepare("")
	answer := rig.Grants(granted).Answer
	r.Answers(answer)
	if servers > 1 {
		r.another = r.AddServer(2).Server(lab.ExtraServerAddress(2), answer)
	}
	return r
}

// brief is the IAID whose prefixes expire soon, and none is the IAID that gets what must not be
// delegated.
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

// config returns a configuration with one server in clear. top has keys of the file's top level,
// peers further peers, and links keys of its only link entry.
func (r *network) config(top, peers string, links ...string) string {
	return top + strings.Replace(r.Standard(links...), "relay6:\n", peers+"relay6:\n", 1)
}

// second is the second server's entry among the peers, with its protection.
func (r *network) second(protection string) string {
	return fmt.Sprintf("  - {name: another, address: %s, local: %s, role: server, interfaces: [u0], %s}\n",
		lab.ExtraServerAddress(2), lab.RelayAddress, protection)
}

// ike returns a protection that cannot succeed: no process listens at strongSwan's socket, whose
// path is in top.
func (r *network) ike() (top, protection string) {
	r.T.Helper()
	return "ipsec: {vici-socket: " + filepath.Join(r.Fairlead.Dir, "charon.vici") + "}\n",
		"protection: ipsec, ike: {psk-file: " + r.secret("psk", "a secret of relay and server\n") + "}"
}

// secret writes a file that only its owner can read.
func (r *network) secret(name, text string) string {
	r.T.Helper()
	path := filepath.Join(r.Fairlead.Dir, name)
	r.Need(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// start starts the relay with a configuration.
func (r *network) start(text string) {
	r.T.Helper()
	r.Fairlead.Write(text)
	r.Fairlead.Start()
}

// uplink records what passes the relay's interface towards the servers.
func (r *network) uplink() *rig.Capture {
	r.T.Helper()
	return r.Relay.Record("u0", "ip6")
}
