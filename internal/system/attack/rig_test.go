package attack_test

import (
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
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
	duid     = labtest.DUID
)

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

// rig is the network of the attacks:
//
//	c1 victim ---.
//	c3 ---------- |
//	c2 ----------- br0 .
//	c9 ----------- d9  r u0 ---.--- k --- s
//	w  ----------- m0  .       x
type rig struct {
	*lab.Topology
	*labtest.Kernel
	t      *testing.T
	relay  *relay.Relay
	server *script.Server // nil: it is Kea

	far, path, aside *lab.Node // c9, x, w
}

// withKea starts a rig whose server is Kea, with more link keys.
func withKea(t *testing.T, linkKeys ...string) *rig {
	t.Helper()
	r := build(t, linkKeys)
	_, err := peer.StartServer(r.Server, peer.Kea, peer.ServerConfig{
		Timers: peer.LongTimers,
		Links: []peer.Served{
			{Link: lab.Link(1), Delegable: lab.Delegable(1)},
			{Link: lab.Link(9), Delegable: lab.Delegable(9)},
		},
	})
	need(t, err)
	need(t, r.relay.Start())
	return r
}

// withServer starts a rig whose server answers so, with more link keys.
func withServer(t *testing.T, answer script.Answer, linkKeys ...string) *rig {
	t.Helper()
	r := build(t, linkKeys)
	var err error
	r.server, err = script.StartServer(r.Server, lab.ServerAddress, answer)
	need(t, err)
	need(t, r.relay.Start())
	return r
}

// onLines starts a rig of two clients with a point-to-point link each and nobody else,
// whose server answers so.
func onLines(t *testing.T, answer script.Answer) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 2, Access: lab.PPP})
	need(t, err)
	r := &rig{Topology: top, Kernel: labtest.KernelOf(t, top.Relay), t: t}
	r.server, err = script.StartServer(r.Server, lab.ServerAddress, answer)
	need(t, err)
	r.relay, err = relay.Start(top.Relay, relay.Config{Binary: labtest.Program(), Text: "metrics: {listen: off}\n" + relay.Standard(top)})
	need(t, err)
	return r
}

func build(t *testing.T, linkKeys []string) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(lab.Plan{Clients: 3, Access: lab.Switch})
	need(t, err)
	r := &rig{Topology: top, Kernel: labtest.KernelOf(t, top.Relay), t: t}
	r.addFar()
	r.addPath()
	r.addAside()
	text := "metrics: {listen: off}\n" + relay.Standard(top)
	text = strings.Replace(text, `match: "br0"`, `match: ["br0", "d9"]`, 1)
	text = strings.Replace(text, "relay6:\n", "relay6:\n  reserved-prefixes: [\"2001:db8:fd::/48\", \"2001:db8:fe::/47\"]\n", 1)
	if !strings.Contains(strings.Join(linkKeys, "\n"), "filter:") {
		linkKeys = append(linkKeys, "filter: strict")
	}
	for _, k := range linkKeys {
		text += "      " + k + "\n"
	}
	r.relay, err = relay.New(top.Relay, relay.Config{Binary: labtest.Program(), Text: text})
	need(t, err)
	return r
}

// node makes a further node with a cable to another.
func (r *rig) node(name, end string, to *lab.Node, port string) *lab.Node {
	r.t.Helper()
	d, err := r.Node(name)
	need(r.t, err)
	need(r.t, r.Veth(to, port, d, end))
	return d
}

// addFar makes the second client link.
func (r *rig) addFar() {
	r.t.Helper()
	r.far = r.node("c9", "c0", r.Relay, other)
	need(r.t, r.Relay.Address(other, lab.LinkAddress(9).String()+"/64"))
	router, err := r.Relay.LinkLocal(other)
	need(r.t, err)
	_, err = r.far.IP("-6 route add default via %s dev c0", router)
	need(r.t, err)
}

// addPath puts a host on the segment between relay and core.
func (r *rig) addPath() {
	r.t.Helper()
	r.path = r.node("x", "x0", r.Core, "kx")
	k0, err := r.Core.Interface("k0")
	need(r.t, err)
	need(r.t, r.Core.Batch(
		"route del 2001:db8::/32",
		"addr del "+lab.CoreAddress.String()+"/64 dev k0",
		"link add brk address "+k0.HardwareAddr.String()+" type bridge forward_delay 0 mcast_snooping 0",
		"link set brk up", "link set k0 master brk", "link set kx master brk",
		"addr add "+lab.CoreAddress.String()+"/64 dev brk nodad",
		"route add 2001:db8::/32 via "+lab.RelayAddress.String(),
	))
	need(r.t, r.path.Address("x0", pathAddress.String()+"/64"))
}

// addAside makes a link that the configuration does not name.
func (r *rig) addAside() {
	r.t.Helper()
	r.aside = r.node("w", "w0", r.Relay, aside)
	need(r.t, r.Relay.Address(aside, nearAsideAddress.String()+"/64"))
	need(r.t, r.aside.Address("w0", asideAddress.String()+"/64"))
	_, err := r.aside.IP("-6 route add default via %s", nearAsideAddress)
	need(r.t, err)
}

// throw prepares packets from a host, whose interface has that name, towards the
// relay's.
func (r *rig) throw(d *lab.Node, name, to string) *labtest.Thrower {
	r.t.Helper()
	near, err := r.Relay.Interface(to)
	need(r.t, err)
	return labtest.Throw(r.t, d, name, near.HardwareAddr)
}

// client is a client on a node's c0 that says it has that DUID.
func (r *rig) client(d *lab.Node, id dhcp6.DUID) *script.Client {
	r.t.Helper()
	return labtest.Client(r.t, d, script.ClientConfig{DUID: id})
}

// drops are the discards on a link by reason, and refused how often a grant, or
// a Release, was not believed, by reason, as the operator sees them.
func (r *rig) drops(link string) map[string]int {
	r.t.Helper()
	return labtest.LinkCounts(r.t, r.relay, link).Drops
}

func (r *rig) refused() map[string]int {
	r.t.Helper()
	var shown struct{ Refusals map[string]int }
	labtest.Show(r.t, r.relay, &shown, "status")
	return shown.Refusals
}

// rises carries out an attack and waits until a counter has risen by exactly
// what it sent.
func (r *rig) rises(count func() int, what string, by int, attack func()) {
	r.t.Helper()
	before := count()
	attack()
	if err := lab.Until(patience, what+" is counted", func() bool { return count() >= before+by }); err != nil {
		r.t.Fatalf("%v: %d counted, want %d", err, count()-before, by)
	}
	if got := count() - before; got != by {
		r.t.Errorf("%s: %d counted, want %d", what, got, by)
	}
}

// dropped is rises for the drops on a link.
func (r *rig) dropped(link, reason string, by int, attack func()) {
	r.t.Helper()
	r.rises(func() int { return r.drops(link)[reason] }, reason+" on "+link, by, attack)
}

// local is the link-local address of a node's interface.
func (r *rig) local(d *lab.Node, name string) netip.Addr {
	r.t.Helper()
	a, err := d.LinkLocal(name)
	need(r.t, err)
	return a
}

// listener takes test packets at the server.
func (r *rig) listener() *labtest.Listener {
	r.t.Helper()
	return labtest.Listen(r.t, r.Server)
}
