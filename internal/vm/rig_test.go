//go:build vm

package vm_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

func TestMain(m *testing.M) {
	rig.Main(m, func() {
		if shared == nil {
			return
		}
		if err := shared.Close(); err != nil {
			println(err.Error())
		}
	})
}

// network is one around a relay node, r. Its other nodes are s, where the
// servers are and whatever else is beyond the relay, and the clients.
type network struct {
	*rig.Net
	node     *rig.Host // r
	far      *rig.Host // s
	Fairlead *rig.Program
}

// build makes relay and far node in a network, with nothing between them yet.
func build(n *rig.Net) *network {
	n.T.Helper()
	r := &network{Net: n, node: n.Node("r"), far: n.Node("s")}
	r.node.Sysctl("net/ipv6/conf/all/forwarding", "1")
	return r
}

// vrf makes a VRF in the relay node. What its table does not know is
// unreachable, and not looked up elsewhere.
func (r *network) vrf(name string, table int) {
	r.T.Helper()
	r.node.Batch(
		fmt.Sprintf("link add %s type vrf table %d", name, table),
		"link set "+name+" up",
		fmt.Sprintf("route replace unreachable default table %d metric 4278198272", table))
}

// enslave puts a link of the relay node into a VRF, or takes it out (""). The
// kernel takes the global addresses away; here they are given again.
func (r *network) enslave(link, vrf string, addresses ...string) {
	r.T.Helper()
	master := "nomaster"
	if vrf != "" {
		master = "master " + vrf
	}
	lines := []string{"link set " + link + " " + master}
	for _, a := range addresses {
		lines = append(lines, "addr replace "+a+" dev "+link+" nodad")
	}
	r.node.Batch(lines...)
}

// uplink joins the relay's interface uNUMBER, which may be in a VRF, with
// sNUMBER of the far node.
func (r *network) uplink(number int, vrf string) {
	r.T.Helper()
	up, end := fmt.Sprintf("u%d", number), fmt.Sprintf("s%d", number)
	r.Veth(r.node, up, r.far, end)
	r.enslave(up, vrf, near(number)+"/64")
	r.far.Address(end, beyond(number)+"/64")
}

// near and beyond are the addresses of an uplink's two ends, linkAddress is that
// of the relay on a client link.
func near(number int) string        { return fmt.Sprintf("2001:db8:ff%02x::1", number) }
func beyond(number int) string      { return fmt.Sprintf("2001:db8:ff%02x::2", number) }
func linkAddress(number int) string { return fmt.Sprintf("2001:db8:%x::1", number) }

// server starts a played server at the far end of an uplink. It is silent at
// first.
func (r *network) server(number int) *rig.Server {
	r.T.Helper()
	return r.far.Server(netip.MustParseAddr(beyond(number)), nil)
}

// clientNode makes the node cNUMBER on a cable of its own: c0 there, dNUMBER on
// the relay, which may be in a VRF. Its traffic goes to the relay.
func (r *network) clientNode(number int, vrf string) *rig.Host {
	r.T.Helper()
	c := r.Node(fmt.Sprintf("c%d", number))
	down := fmt.Sprintf("d%d", number)
	r.Veth(r.node, down, c, "c0")
	r.enslave(down, vrf, linkAddress(number)+"/64")
	r.defaultRoute(c, "c0", down)
	return c
}

// defaultRoute has a client send everything to the relay.
func (r *network) defaultRoute(c *rig.Host, from, down string) {
	r.T.Helper()
	router := r.node.LinkLocal(down)
	c.IP("-6 route replace default via %s dev %s", router, from)
}

// client is a played client.
func (r *network) client(d *rig.Host, link string, duid byte) *rig.Client {
	r.T.Helper()
	return d.PlayAs(script.ClientConfig{Interface: link, DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0xc0, duid}})
}

// start runs fairlead with servers beyond those uplinks, on the client links
// that the rules, in YAML, match.
func (r *network) start(rules string, uplinks ...int) {
	r.T.Helper()
	text := "metrics:\n  listen: \"off\"\npeers:\n"
	for _, n := range uplinks {
		text += fmt.Sprintf("  - {name: server%d, address: %q, role: server, interfaces: [u%d], protection: none}\n", n, beyond(n), n)
	}
	r.Fairlead = r.node.Fairlead(relay.Config{Text: text + "relay6:\n  links:\n" + rules})
	r.Fairlead.Start()
}

// routes returns the relay's routes to exactly a prefix in a table, as ip
// prints them.
func (r *network) routes(table int, prefix string) (string, error) {
	out, err := r.node.Node.IP("-6 -N route show exact %s table %d", prefix, table)
	return strings.TrimSpace(out), err
}

// routed checks that the table has one route to exactly the prefix, to a client
// and by our protocol, now: a Reply must not have left before.
func (r *network) routed(table int, prefix string, c *rig.Client, down string) {
	r.T.Helper()
	r.has(table, prefix, fmt.Sprintf("%s via %s dev %s proto 87 ", prefix, c.Own(), down))
}

// has checks that the table has one route to exactly the prefix, that begins
// so, or none ("").
func (r *network) has(table int, prefix, want string) {
	r.T.Helper()
	got, err := r.routes(table, prefix)
	r.Need(err)
	if !is(got, want) {
		r.T.Errorf("table %d: got %q, want %q", table, got, want)
	}
}

func is(got, want string) bool {
	if want == "" {
		return got == ""
	}
	return strings.HasPrefix(got, want) && !strings.Contains(got, "\n")
}

// becomes waits until has is true.
func (r *network) becomes(table int, prefix, want string) {
	r.T.Helper()
	var got string
	var err error
	late := lab.Until(labtest.Patience, fmt.Sprintf("table %d has %q", table, want), func() bool {
		got, err = r.routes(table, prefix)
		return err != nil || is(got, want)
	})
	if err = errors.Join(err, late); err != nil {
		r.T.Fatalf("%v; it has %q", err, got)
	}
}

// becomesRouted waits until the table has one route to exactly the prefix, to a
// client.
func (r *network) becomesRouted(table int, prefix string, c *rig.Client, down string) {
	r.T.Helper()
	r.becomes(table, prefix, fmt.Sprintf("%s via %s dev %s proto 87 ", prefix, c.Own(), down))
}

// standIn is the route of a prefix while there is nowhere to send it: of type
// RTN_UNREACHABLE, which is 7.
func standIn(prefix string) string { return "7 " + prefix + " dev lo proto 87 " }

// counter is how many packets a counter of the filter has seen.
func (r *network) counter(name string) int {
	r.T.Helper()
	return labtest.KernelOf(r.T, r.node.Node).Counter(name)
}

// obtains goes through a whole exchange for one IA_PD and checks what came of
// it.
func obtains(t *testing.T, c *rig.Client, prefix string) dhcp6.Message {
	t.Helper()
	reply := c.Obtain(1)
	holds(t, reply, prefix)
	return reply
}

// holds checks the prefixes in a Reply.
func holds(t *testing.T, reply dhcp6.Message, want ...string) {
	t.Helper()
	if got := fmt.Sprint(rig.Held(reply)); got != fmt.Sprint(want) {
		t.Fatalf("the %v holds %v, want %v", reply.Type(), got, want)
	}
}

// grants is a server that delegates by link-address: nothing where the table
// has none.
type grants map[string]string

func (g grants) answer(r script.Request) [][]byte {
	return rig.Grants(func(r script.Request, _ dhcp6.IA) []dhcp6.IAPrefix {
		if len(r.Relays) == 0 {
			return nil
		}
		p, err := netip.ParsePrefix(g[r.Relays[0].LinkAddress().String()])
		if err != nil {
			return nil
		}
		return []dhcp6.IAPrefix{rig.Long(p)}
	}).Answer(r)
}

// listen records what tcpdump prints about an interface.
func listen(d *rig.Host, name, link, filter string, options ...string) *lab.Proc {
	d.Net.T.Helper()
	args := append([]string{"tcpdump", "-Z", "root", "--immediate-mode", "-l", "-n", "-i", link}, options...)
	p := d.Start(name, append(args, strings.Fields(filter)...)...)
	d.Net.Need(p.Logged(labtest.Patience, "listening on"))
	return p
}
