package attack_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// Interfaces of the relay, and what is on them.
const (
	shared = "br0" // the victim (c1), an attacker (c2) and a neighbour (c3)
	other  = "d9"  // an attacker alone (c9)
	uplink = "u0"  // the way to the server, with a host on it (x)
	aside  = "m0"  // neither for clients nor for servers (w)
)

// Addresses of the hosts that have nothing to do with DHCPv6.
var (
	pathAddress      = netip.MustParseAddr("2001:db8:fe::66")
	asideAddress     = netip.MustParseAddr("2001:db8:fd::2")
	nearAsideAddress = netip.MustParseAddr("2001:db8:fd::1")
)

// network is that of the attacks:
//
//	c1 victim ---.
//	c3 ---------- |
//	c2 ----------- br0 .
//	c9 ----------- d9  r u0 ---.--- k --- s
//	w  ----------- m0  .       x
type network struct {
	*rig.Rig
	far, path, aside *rig.Host // c9, x, w
}

// withKea starts a network whose server is Kea, with more link keys.
func withKea(t *testing.T, linkKeys ...string) *network {
	t.Helper()
	r := build(t, linkKeys)
	r.Server.Serve(peer.Kea, peer.ServerConfig{
		Timers: peer.LongTimers,
		Links: []peer.Served{
			{Link: lab.Link(1), Delegable: lab.Delegable(1)},
			{Link: lab.Link(9), Delegable: lab.Delegable(9)},
		},
	})
	r.Fairlead.Start()
	return r
}

// withServer starts a network whose server answers so, with more link keys.
func withServer(t *testing.T, answer script.Answer, linkKeys ...string) *network {
	t.Helper()
	r := build(t, linkKeys)
	r.Answers(answer)
	r.Fairlead.Start()
	return r
}

// onLines starts a network of two clients with a point-to-point link each and nobody
// else, whose server answers so.
func onLines(t *testing.T, answer script.Answer) *network {
	t.Helper()
	labtest.Parallel(t)
	r := &network{Rig: rig.Build(t, lab.Plan{Clients: 2, Access: lab.PPP})}
	r.Answers(answer)
	r.Prepare(r.Standard())
	r.Fairlead.Start()
	return r
}

// build makes the network. The test runs beside one other.
func build(t *testing.T, linkKeys []string) *network {
	t.Helper()
	labtest.Parallel(t)
	r := &network{Rig: rig.Build(t, lab.Plan{Clients: 3, Access: lab.Switch})}
	r.addFar()
	r.addPath()
	r.addAside()
	if !strings.Contains(strings.Join(linkKeys, "\n"), "filter:") {
		linkKeys = append(linkKeys, "filter: strict")
	}
	text := strings.Replace(r.Standard(linkKeys...), `match: "br0"`, `match: ["br0", "d9"]`, 1)
	text = strings.Replace(text, "relay6:\n", "relay6:\n  reserved-prefixes: [\"2001:db8:fd::/48\", \"2001:db8:fe::/47\"]\n", 1)
	r.Prepare(text)
	return r
}

// node makes a further host with a cable to another.
func (r *network) node(name, end string, to *rig.Host, port string) *rig.Host {
	r.T.Helper()
	d := r.Node(name)
	r.Veth(to, port, d, end)
	return d
}

// addFar makes the second client link.
func (r *network) addFar() {
	r.T.Helper()
	r.far = r.node("c9", "c0", r.Relay, other)
	r.Relay.Address(other, lab.LinkAddress(9).String()+"/64")
	r.far.IP("-6 route add default via %s dev c0", r.Relay.LinkLocal(other))
}

// addPath puts a host on the segment between relay and core.
func (r *network) addPath() {
	r.T.Helper()
	r.path = r.node("x", "x0", r.Core, "kx")
	k0 := r.Core.Interface("k0")
	r.Core.Batch(
		"route del 2001:db8::/32",
		"addr del "+lab.CoreAddress.String()+"/64 dev k0",
		"link add brk address "+k0.HardwareAddr.String()+" type bridge forward_delay 0 mcast_snooping 0",
		"link set brk up", "link set k0 master brk", "link set kx master brk",
		"addr add "+lab.CoreAddress.String()+"/64 dev brk nodad",
		"route add 2001:db8::/32 via "+lab.RelayAddress.String(),
	)
	r.path.Address("x0", pathAddress.String()+"/64")
}

// addAside makes a link that the configuration does not name.
func (r *network) addAside() {
	r.T.Helper()
	r.aside = r.node("w", "w0", r.Relay, aside)
	r.Relay.Address(aside, nearAsideAddress.String()+"/64")
	r.aside.Address("w0", asideAddress.String()+"/64")
	r.aside.IP("-6 route add default via %s", nearAsideAddress)
}

// refused is how often a grant, or a Release, was not believed, by reason, as the
// operator sees it.
func (r *network) refused() map[string]int {
	r.T.Helper()
	var shown struct{ Refusals map[string]int }
	r.Fairlead.Show(&shown, "status")
	return shown.Refusals
}

// dropped is Rises for the drops on a link.
func (r *network) dropped(link, reason string, by int, attack func()) {
	r.T.Helper()
	r.Rises(func() int { return r.Fairlead.Counts(link).Drops[reason] }, reason+" on "+link, by, attack)
}
