package scale

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// crowd is a node behind very many links of the relay: d0 to c0, and so on.
type crowd struct {
	*network
	node   *rig.Host
	socket int
}

// add makes links. The kernel finds out about the carrier of a hundred a second
// alone, but for those that have it when they come up: the relay's ends are the
// last, and the clients' ends are given what they would have to wait for.
func (c *crowd) add(from, to int) {
	c.T.Helper()
	var made, there, up, addresses []string
	for i := from; i < to; i++ {
		made = append(made, fmt.Sprintf("link add d%d index %d type veth peer name c%d index %d netns %s", i, 1000+i, i, clientIndex(i), c.node.Namespace))
		there = append(there, fmt.Sprintf("link set c%d addrgenmode none up", i),
			fmt.Sprintf("addr add fe80::c/64 dev c%d nodad", i),
			fmt.Sprintf("route replace multicast ff00::/8 dev c%d table local", i))
		up = append(up, fmt.Sprintf("link set d%d up", i))
		addresses = append(addresses, fmt.Sprintf("addr add %v dev d%d", subnet4(i), i))
	}
	c.Relay.Batch(made...)
	_, err := c.Relay.Feed(strings.Join(addresses, "\n")+"\n", "ip", "-4", "-batch", "-")
	c.Need(err)
	c.node.Batch(there...)
	c.Relay.Batch(up...)
}

func (c *crowd) remove(from, to int) {
	c.T.Helper()
	var lines []string
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("link del d%d", i))
	}
	c.Relay.Batch(lines...)
}

// clientIndex is the interface at the client's end of link i.
func clientIndex(i int) int { return 100_000 + i }

// listen opens the one socket that speaks on all links: what asks the kernel for
// an interface by name is slow among thousands.
func (c *crowd) listen() {
	c.T.Helper()
	c.node.Do(func() (err error) {
		c.socket, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
		return err
	})
	c.T.Cleanup(func() { unix.Close(c.socket) })
	c.Need(unix.Bind(c.socket, &unix.SockaddrInet6{Port: dhcp6.ClientPort}))
	c.Need(unix.SetsockoptTimeval(c.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}))
}

// answered has the clients on some links solicit, each until it is answered. A
// link that is new to the kernel may lose what is sent at first.
func (c *crowd) answered(links ...int) {
	c.T.Helper()
	open := map[int]bool{}
	for _, i := range links {
		open[i] = true
	}
	began := time.Now()
	defer func() { c.T.Logf("%d links: %d not answered after %v", len(links), len(open), time.Since(began)) }()
	for len(open) > 0 { // as long as there is progress, however slow the machine
		c.Until("a Solicit is answered on one more link", func() bool {
			before := len(open)
			c.ask(open)
			return len(open) < before
		})
	}
}

// ask has the clients on some links solicit once, and takes out who is answered.
func (c *crowd) ask(open map[int]bool) {
	c.T.Helper()
	for batch := range slices.Chunk(slices.Collect(maps.Keys(open)), 64) {
		for _, i := range batch {
			c.solicit(i)
		}
		for n := len(batch); n > 0; n-- {
			i, ok := c.advertised()
			if !ok {
				break
			}
			delete(open, i)
		}
	}
}

func (c *crowd) solicit(i int) {
	b := dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, uint32(i))
	b = dhcp6.AppendClientID(b, dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)})
	b = append(dhcp6.AppendElapsedTime(b, 0), script.IAPD(1)...)
	to := &unix.SockaddrInet6{Port: dhcp6.ServerPort, ZoneId: uint32(clientIndex(i)), Addr: dhcp6.AllRelayAgentsAndServers.As16()}
	// What the kernel refuses for a moment is sent again with the next round.
	if err := unix.Sendto(c.socket, b, 0, to); err != nil && !lab.Momentary(err) {
		c.T.Fatalf("link %d: %v", i, err)
	}
}

// advertised waits for an Advertise and says on which link it came.
func (c *crowd) advertised() (link int, ok bool) {
	b := make([]byte, 1500)
	n, from, err := unix.Recvfrom(c.socket, b, 0)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, false
	}
	c.Need(err)
	m, err := dhcp6.ParseMessage(b[:n])
	c.Need(err)
	link = int(from.(*unix.SockaddrInet6).ZoneId) - clientIndex(0)
	if m.Type() != dhcp6.Advertise || int(m.TransactionID()) != link {
		c.T.Fatalf("link %d: a %v of transaction %d, want its Advertise", link, m.Type(), m.TransactionID())
	}
	return link, true
}

// each lists the numbers in [from, to).
func each(from, to, step int) (all []int) {
	for i := from; i < to; i += step {
		all = append(all, i)
	}
	return all
}

// Four thousand links in one process, half of them there at its start: a client
// is answered on each of them. Five hundred vanish and come back without a
// reload; the others do not notice, and neither do the sockets. The DHCPv4 relay serves
// the same links beside it: clients on some of them get leases of their links.
func TestFourThousandLinks(t *testing.T) {
	const links, vanishing = 4000, 500
	r := build(t, lab.Plan{})
	c := &crowd{network: r, node: r.Node("crowd")}
	asked := each(0, links, links/16)
	c.serve4(asked)
	c.listen()
	c.add(0, links/2)
	r.Fairlead.Start()
	t.Logf("%d links: %d MiB, %d descriptors", links/2, r.Fairlead.Resident()>>10, r.Fairlead.Descriptors())
	c.add(links/2, links)
	c.answered(each(0, links, 1)...)
	c.lease4(asked...)
	t.Logf("%d links: %d MiB, %d descriptors", links, r.Fairlead.Resident()>>10, r.Fairlead.Descriptors())
	// A membership per link, hundreds of them on one socket.
	const enough = 64
	if n := r.Fairlead.Descriptors(); n > enough {
		t.Errorf("%d descriptors are open, want %d at most", n, enough)
	}

	c.remove(links-vanishing, links)
	c.answered(each(0, links-vanishing, 100)...)
	c.add(links-vanishing, links)
	c.answered(each(0, links, 50)...)
	c.answered(each(links-vanishing, links, 1)...)
	c.lease4(asked[0], asked[len(asked)-1])
	if n := r.Fairlead.Descriptors(); n > enough {
		t.Errorf("%d descriptors are open after links came back, want %d at most", n, enough)
	}
	r.Fairlead.Stop()
}

// subnet4 is the IPv4 subnet of link i, and the relay's address in it.
func subnet4(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 24)
}

// serve4 has the program relay DHCPv4 on all links, to a server that serves some of them.
func (c *crowd) serve4(links []int) {
	c.T.Helper()
	const near, server = "192.0.2.1", "192.0.2.2"
	c.Veth(c.Relay, "u4", c.Server, "s4")
	c.Relay.IP("addr add %s/24 dev u4", near)
	c.Server.IP("addr add %s/24 dev s4", server)
	c.Server.IP("route add 10.0.0.0/8 via %s", near)
	config := peer.Server4Config{Interface: "s4", Address: netip.MustParseAddr(server)}
	for _, i := range links {
		config.Subnets = append(config.Subnets, subnet4(i).Masked())
	}
	_, err := peer.StartServer4(c.Server.Node, peer.Kea4UDP, config)
	c.Need(err)
	text := strings.Replace(c.Fairlead.Text(), "peers:\n", "peers:\n  - {name: server4, address: "+server+", role: server, interfaces: [u4], protection: none}\n", 1)
	c.Fairlead.Write(text + "relay4:\n  links:\n    - {match: \"d*\", agent-information: add}\n")
}

// lease4 has the clients of some links get leases of these links.
func (c *crowd) lease4(links ...int) {
	c.T.Helper()
	for _, i := range links {
		client, err := peer.StartClient4(c.node.Node, fmt.Sprint("c", i))
		c.Need(err)
		got, err := client.Obtain(labtest.Patience)
		c.Need(errors.Join(err, client.Close()))
		if !subnet4(i).Contains(got) {
			c.T.Errorf("the client on link %d got %v, want one of %v", i, got, subnet4(i).Masked())
		}
	}
}
