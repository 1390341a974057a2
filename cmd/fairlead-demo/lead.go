package main

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// patience is the time to wait for what surely happens: clients wait at random before they ask.
const patience = 30 * time.Second

// lead tells the story.
func (t *tour) lead(ctx context.Context) error {
	t.ctx = ctx
	t.write("%s\n", t.paint(bold, "Fairlead: a DHCP relay for both families, which delegates prefixes (RFC 8987), and a DHCPv6 server"))
	t.say("A small access network, in network namespaces on this machine:")
	if t.kea {
		t.write("%s\n", t.paint(dim, pictureKea))
		t.say("Kea is the server for both families, as you asked for (SERVER=kea). Some steps need Fairlead's own DHCPv6 server. They are left out, and each of them says so.")
	} else {
		t.write("%s\n", t.paint(dim, picture))
		t.say("Fairlead is the relay on edge, and the DHCPv6 server on server. Fairlead has no DHCPv4 server yet: that is Kea, on server too.")
	}
	t.say("The clients are other people's programs. What follows is seen with ip, nft, ping, " +
		"tcpdump and tshark; what Fairlead says of itself is shown, and proves nothing. Every command " +
		"with a $ can be typed while the network is there (fairlead-demo --keep).")
	for _, prepare := range []func() error{t.build, t.serve} {
		if err := prepare(); err != nil {
			return err
		}
	}
	return t.tell(ctx, []step{
		{"Two homes ask for a prefix", t.delegation, true},
		{"What the relay said to the server, octet by octet", t.octets, false},
		{"Routes", t.routes, false},
		{"Packets go both ways", t.traffic, false},
		{"The same link, the same process: an IPv4 address", t.family4, false},
		{"A spoofed packet is dropped", t.spoof, false},
		{"A loop is cut", t.loop, false},
		{"A limit is met", t.limit, false},
		{"A neighbour tries to take a prefix over", t.hijack, false},
		{"kill -9 of the relay", t.crash, false},
		t.needsOwn("A home on a link of the server's own machine", t.onOwnLink,
			"Kea could give the home a prefix, but would give the kernel neither a route to it nor a filter."),
		t.needsOwn("kill -9 of the server", t.crashOwn,
			"Kea would have its leases again, but it has no route and no filter to bring back."),
		{"What the relay's operator sees", t.operator, false},
		t.needsOwn("What the server's operator sees", t.operatorOwn,
			"Kea has none of the commands `fairlead server6`, `pools` and `leases`."),
	})
}

// needsOwn is a step that needs Fairlead's own server. With Kea it prints what cannot be shown.
func (t *tour) needsOwn(title string, run func() error, lacking string) step {
	if t.kea {
		run = func() error {
			t.say("This step is left out. %s `make demo` without SERVER=kea has it.", lacking)
			return nil
		}
	}
	return step{title, run, false}
}

func (t *tour) homes() []*home { return []*home{&t.home1, &t.home2} }

// delegation starts the clients and waits for their prefixes.
func (t *tour) delegation() error {
	t.say("The server is running, and Fairlead's relay between it and the homes, with this configuration:")
	if _, err := t.here(40, "cat", t.relay.File); err != nil {
		return err
	}
	if t.own != nil {
		t.say("The server is Fairlead as well, with this one:")
		if _, err := t.here(40, "cat", t.own.File); err != nil {
			return err
		}
	}
	t.say("dhcpcd starts in home1, and wide-dhcpv6-client in home2. Each asks for an address and a prefix.")
	if err := errors.Join(t.ask(&t.home1, peer.Dhcpcd), t.ask(&t.home2, peer.Wide)); err != nil {
		return err
	}
	return errors.Join(t.receives(&t.home1, lab.Delegable(1)), t.receives(&t.home2, lab.Delegable(2)))
}

// ask starts the client of a home.
func (t *tour) ask(h *home, kind peer.ClientKind) (err error) {
	if h.client, err = peer.StartClient(h.node, kind, peer.ClientConfig{}); err != nil {
		return err
	}
	t.net.OnClose(h.client.Crash) // when asked to end, it would wait in vain for an answer to its Release
	return nil
}

// receives waits until a home has a prefix from a pool.
func (t *tour) receives(h *home, pool netip.Prefix) error {
	err := t.awaitPrefix(h)
	if t.check(err, "%s holds %s: %s says so, and has numbered its home network from it: %s", h.node.Name, h.prefix, h.client.Kind, h.inside) != nil {
		return err
	}
	return t.check(expect(pool.Contains(h.prefix.Addr()), "%s is not in %s", h.prefix, pool), "it is out of the pool that the server has for the link %s", h.port)
}

func (t *tour) awaitPrefix(h *home) error {
	return until(t.ctx, pace, patience, h.node.Name+" holds a prefix", func() bool {
		held := h.client.Prefixes()
		if len(held) != 1 {
			return false
		}
		h.prefix = held[0]
		h.inside = addressIn(h.node, h.prefix)
		return h.inside.IsValid()
	})
}

// addressIn returns an address of the node's home network that is in a prefix.
func addressIn(d *lab.Node, p netip.Prefix) netip.Addr {
	list, _ := d.Addresses("lan0")
	for _, a := range list {
		if p.Contains(a.Addr()) {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// routes checks the routes in the edge's kernel.
func (t *tour) routes() error {
	t.say("The relay read the Replies as they passed. Before it let them go, it gave the kernel a route for each prefix " +
		"(RFC 8987 R-1), as long as the prefix (R-2), marked with protocol 87:")
	out, err := t.in(t.edge, "ip", "-6", "route", "show", "proto", "87")
	if err != nil {
		return err
	}
	for _, h := range t.homes() {
		_ = t.check(h.routedIn(out), "%s goes to %s, by its link-local address on %s", h.prefix, h.node.Name, h.port)
	}
	_ = t.check(expect(countLines(out) == 2, "there are %d", countLines(out)), "there is no other route of Fairlead's")
	return nil
}

// traffic pings from the delegated prefixes and into them.
func (t *tour) traffic() error {
	t.say("From an address in each prefix to the server behind the core, and back from the server into the prefix:")
	for _, h := range t.homes() {
		err := t.ping(h.node, h.inside, lab.ServerAddress)
		_ = t.check(err, "%s reaches the server from %s", h.node.Name, h.inside)
		err = t.ping(t.server, netip.Addr{}, h.inside)
		_ = t.check(err, "the server reaches %s in %s", h.inside, h.node.Name)
	}
	err := t.ping(t.home1.node, t.home1.inside, t.home2.inside)
	_ = t.check(err, "home1 reaches home2, prefix to prefix")
	return nil
}

// pings is how many packets each ping sends.
const pings = 3

// ping sends some echo requests, and shows the command. It returns an error if none was answered.
// If from is not valid, the kernel chooses the source.
func (t *tour) ping(d *lab.Node, from, to netip.Addr) error {
	return t.pingTimes(pings, d, from, to)
}

func (t *tour) pingTimes(count int, d *lab.Node, from, to netip.Addr) error {
	family := "-6"
	if to.Is4() {
		family = "-4"
	}
	args := []string{"ping", family, "-n", "-q", "-c", strconv.Itoa(count), "-i", "0.2", "-W", "1"}
	if from.IsValid() {
		args = append(args, "-I", from.String())
	}
	_, err := t.inBriefly(d, "transmitted", append(args, to.String())...)
	return err
}
