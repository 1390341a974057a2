//go:build vm

package vm_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/app/cli"
	"fairlead/internal/app/daemon"
	"fairlead/internal/app/role/guard"
	relayrole "fairlead/internal/app/role/relay"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// patience is for conditions that the emulated machine may take long to reach.
const patience = 2 * time.Minute

// asProgram has the test binary be the program: it is set for everything that
// the tests start.
const asProgram = "FAIRLEAD_VM_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		commands := daemon.Commands(guard.Role(), relayrole.Role())
		os.Exit(cli.Main(commands, os.Args[1:], os.Stdout, os.Stderr))
	}
	if err := os.Setenv(asProgram, "1"); err != nil {
		panic(err)
	}
	code := m.Run()
	if shared != nil {
		if err := shared.Close(); err != nil {
			println(err.Error())
		}
	}
	os.Exit(code)
}

// need is what every test says often.
var need = labtest.Need

// rig is a network around a relay node, r. Its other nodes are s, where the
// servers are and whatever else is beyond the relay, and the clients.
type rig struct {
	*lab.Net
	t     *testing.T
	node  *lab.Node // r
	far   *lab.Node // s
	relay *relay.Relay
}

// newRig makes a network of relay and far node, with nothing between them yet.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{Net: lab.ForTest(t), t: t}
	r.node, r.far = r.add("r"), r.add("s")
	need(t, r.node.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	return r
}

func (r *rig) add(name string) *lab.Node {
	r.t.Helper()
	d, err := r.Node(name)
	need(r.t, err)
	return d
}

// vrf makes a VRF in the relay node. What its table does not know is
// unreachable, and not looked up elsewhere.
func (r *rig) vrf(name string, table int) {
	r.t.Helper()
	need(r.t, r.node.Batch(
		fmt.Sprintf("link add %s type vrf table %d", name, table),
		"link set "+name+" up",
		fmt.Sprintf("route replace unreachable default table %d metric 4278198272", table)))
}

// enslave puts a link of the relay node into a VRF, or takes it out (""). The
// kernel takes the global addresses away; here they are given again.
func (r *rig) enslave(link, vrf string, addresses ...string) {
	r.t.Helper()
	master := "nomaster"
	if vrf != "" {
		master = "master " + vrf
	}
	lines := []string{"link set " + link + " " + master}
	for _, a := range addresses {
		lines = append(lines, "addr replace "+a+" dev "+link+" nodad")
	}
	need(r.t, r.node.Batch(lines...))
}

// uplink joins the relay's interface uNUMBER, which may be in a VRF, with
// sNUMBER of the far node.
func (r *rig) uplink(number int, vrf string) {
	r.t.Helper()
	up, end := fmt.Sprintf("u%d", number), fmt.Sprintf("s%d", number)
	need(r.t, r.Veth(r.node, up, r.far, end))
	r.enslave(up, vrf, near(number)+"/64")
	need(r.t, r.far.Address(end, beyond(number)+"/64"))
}

// near and beyond are the addresses of an uplink's two ends, linkAddress is that
// of the relay on a client link.
func near(number int) string        { return fmt.Sprintf("2001:db8:ff%02x::1", number) }
func beyond(number int) string      { return fmt.Sprintf("2001:db8:ff%02x::2", number) }
func linkAddress(number int) string { return fmt.Sprintf("2001:db8:%x::1", number) }

// server starts a scripted server at the far end of an uplink. It is silent at
// first.
func (r *rig) server(number int) *script.Server {
	r.t.Helper()
	s, err := script.StartServer(r.far, netip.MustParseAddr(beyond(number)), nil)
	need(r.t, err)
	return s
}

// clientNode makes the node cNUMBER on a cable of its own: c0 there, dNUMBER on
// the relay, which may be in a VRF. Its traffic goes to the relay.
func (r *rig) clientNode(number int, vrf string) *lab.Node {
	r.t.Helper()
	c := r.add(fmt.Sprintf("c%d", number))
	down := fmt.Sprintf("d%d", number)
	need(r.t, r.Veth(r.node, down, c, "c0"))
	r.enslave(down, vrf, linkAddress(number)+"/64")
	r.defaultRoute(c, "c0", down)
	return c
}

// defaultRoute has a client send everything to the relay.
func (r *rig) defaultRoute(c *lab.Node, from, down string) {
	r.t.Helper()
	router, err := r.node.LinkLocal(down)
	need(r.t, err)
	_, err = c.IP("-6 route replace default via %s dev %s", router, from)
	need(r.t, err)
}

// client is a scripted client.
func (r *rig) client(d *lab.Node, link string, duid byte) *script.Client {
	r.t.Helper()
	c, err := script.StartClient(d, script.ClientConfig{
		Interface: link, DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0xc0, duid},
	})
	need(r.t, err)
	return c
}

// start runs fairlead with servers beyond those uplinks, on the client links
// that the rules, in YAML, match.
func (r *rig) start(rules string, uplinks ...int) {
	r.t.Helper()
	text := "metrics:\n  listen: \"off\"\npeers:\n"
	for _, n := range uplinks {
		text += fmt.Sprintf("  - {name: server%d, address: %q, role: server, interfaces: [u%d], protection: none}\n", n, beyond(n), n)
	}
	program, err := os.Executable()
	need(r.t, err)
	r.relay, err = relay.Start(r.node, relay.Config{Binary: program, Text: text + "relay6:\n  links:\n" + rules})
	need(r.t, err)
}

// asleep has something happen while the relay's process stands still: it can do
// nothing about it, and then learns of all of it in one burst.
func (r *rig) asleep(happen func()) {
	r.t.Helper()
	p := r.relay.Proc()
	need(r.t, p.Signal(syscall.SIGSTOP))
	defer func() { need(r.t, p.Signal(syscall.SIGCONT)) }()
	happen()
}

// routes returns the relay's routes to exactly a prefix in a table, as ip
// prints them.
func (r *rig) routes(table int, prefix string) (string, error) {
	out, err := r.node.IP("-6 -N route show exact %s table %d", prefix, table)
	return strings.TrimSpace(out), err
}

// routed checks that the table has one route to exactly the prefix, to a client
// and by our protocol, now: a Reply must not have left before.
func (r *rig) routed(table int, prefix string, c *script.Client, down string) {
	r.t.Helper()
	r.has(table, prefix, fmt.Sprintf("%s via %s dev %s proto 87 ", prefix, c.Source.Addr().WithZone(""), down))
}

// has checks that the table has one route to exactly the prefix, that begins
// so, or none ("").
func (r *rig) has(table int, prefix, want string) {
	r.t.Helper()
	got, err := r.routes(table, prefix)
	need(r.t, err)
	if !is(got, want) {
		r.t.Errorf("table %d: got %q, want %q", table, got, want)
	}
}

func is(got, want string) bool {
	if want == "" {
		return got == ""
	}
	return strings.HasPrefix(got, want) && !strings.Contains(got, "\n")
}

// becomes waits until has is true.
func (r *rig) becomes(table int, prefix, want string) {
	r.t.Helper()
	var got string
	var err error
	late := lab.Until(patience, fmt.Sprintf("table %d has %q", table, want), func() bool {
		got, err = r.routes(table, prefix)
		return err != nil || is(got, want)
	})
	if err = errors.Join(err, late); err != nil {
		r.t.Fatalf("%v; it has %q", err, got)
	}
}

// becomesRouted waits until the table has one route to exactly the prefix, to a
// client.
func (r *rig) becomesRouted(table int, prefix string, c *script.Client, down string) {
	r.t.Helper()
	r.becomes(table, prefix, fmt.Sprintf("%s via %s dev %s proto 87 ", prefix, c.Source.Addr().WithZone(""), down))
}

// standIn is the route of a prefix while there is nowhere to send it: of type
// RTN_UNREACHABLE, which is 7.
func standIn(prefix string) string { return "7 " + prefix + " dev lo proto 87 " }

// counter is how many packets a counter of the filter has seen.
func (r *rig) counter(name string) int {
	r.t.Helper()
	out, err := r.node.Run("nft", "list", "counter", "inet", "fairlead", name)
	need(r.t, err)
	_, after, found := strings.Cut(out, "packets ")
	if !found {
		r.t.Fatalf("no packets in %q", out)
	}
	n, err := strconv.Atoi(strings.Fields(after)[0])
	need(r.t, err)
	return n
}

// obtains goes through a whole exchange for one IA_PD and checks what came of
// it.
func obtains(t *testing.T, c *script.Client, prefix string) dhcp6.Message {
	t.Helper()
	reply, err := c.Obtain(patience, 1)
	need(t, err)
	holds(t, reply, prefix)
	return reply
}

// holds checks the prefixes in a Reply.
func holds(t *testing.T, reply dhcp6.Message, want ...string) {
	t.Helper()
	var got []string
	for _, d := range script.Delegations(reply) {
		got = append(got, d.Prefix.String())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("the %v holds %v, want %v", reply.Type(), got, want)
	}
}

// grants is a server that delegates by link-address: nothing where the table
// has none.
type grants map[string]string

func (g grants) answer(r script.Request) [][]byte {
	return script.Grants{T1: 1000, T2: 1600, Prefixes: func(r script.Request, _ dhcp6.IA) []dhcp6.IAPrefix {
		if len(r.Relays) == 0 {
			return nil
		}
		p, err := netip.ParsePrefix(g[r.Relays[0].LinkAddress().String()])
		if err != nil {
			return nil
		}
		return []dhcp6.IAPrefix{{Prefix: p, Preferred: 2000, Valid: 3000}}
	}}.Answer(r)
}

// listen records what tcpdump prints about an interface.
func listen(t *testing.T, d *lab.Node, name, link, filter string, options ...string) *lab.Proc {
	t.Helper()
	args := append([]string{"tcpdump", "-Z", "root", "--immediate-mode", "-l", "-n", "-i", link}, options...)
	p, err := d.Start(lab.Command{Name: name, Args: append(args, strings.Fields(filter)...)})
	need(t, err)
	need(t, p.Logged(patience, "listening on"))
	return p
}
