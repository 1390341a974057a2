package main

import (
	"fmt"
	"net/netip"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// foreign is an address that no node of the network has.
var foreign = netip.MustParseAddr("2001:db8:bad::1")

// spoof sends from addresses that do not belong to the sender.
func (t *tour) spoof() error {
	t.say("home1 takes an address that was never given to it, and sends from there (RFC 8987 R-3, BCP 38). The core listens.")
	core, err := capture.Start(t.core, "k0", "icmp6 and ip6[40] == 128")
	if err != nil {
		return err
	}
	before, err := counter(t.edge, "spoofed")
	if err != nil {
		return err
	}
	if err := t.sendFrom(t.home1.node, foreign, lab.ServerAddress); err != nil {
		return err
	}
	_ = t.rises(t.edge, "spoofed", before, pings)

	t.say("The neighbour takes the very address that home2 uses. The prefix is right for the link, the neighbour is not: " +
		"d2 has several customers, so its filter is strict and looks at the link-layer address too.")
	if before, err = counter(t.edge, "spoofed-link-layer"); err != nil {
		return err
	}
	if err := t.sendFrom(t.neighbour.node, t.home2.inside, lab.ServerAddress); err != nil {
		return err
	}
	_ = t.rises(t.edge, "spoofed-link-layer", before, pings)

	t.say("One honest packet of home2 shows that the core was listening:")
	if err := t.ping(t.home2.node, t.home2.inside, lab.ServerAddress); err != nil {
		return err
	}
	if err := t.seen(core, "ipv6.src", t.home2.inside); err != nil {
		return err
	}
	if err := core.Stop(); err != nil {
		return err
	}
	out, err := t.tshark(core, "icmpv6.type == 128", "ipv6.src", "ipv6.dst", "eth.src")
	if err != nil {
		return err
	}
	lines := countLines(out)
	_ = t.check(expect(lines == pings && !strings.Contains(out, foreign.String()), "it saw %d packets", lines),
		"the core saw the %d honest packets, and none of the %d others", pings, 2*pings)
	return nil
}

// sendFrom pings an address from an address that the node takes only for this. It expects no
// answer.
func (t *tour) sendFrom(d *lab.Node, from, to netip.Addr) error {
	if _, err := t.in(d, "ip", "-6", "addr", "add", from.String()+"/128", "dev", "lo", "nodad"); err != nil {
		return err
	}
	err := t.ping(d, from, to)
	_ = t.check(expect(err != nil, "they were answered"), "no answer comes back")
	_, err = d.IP("-6 addr del %s/128 dev lo", from)
	return err
}

// seen waits until the echo requests of a ping from or to an address are in a recording.
func (t *tour) seen(c *capture.Capture, field string, a netip.Addr) error {
	filter := fmt.Sprintf("icmpv6.type == 128 && %s == %s", field, a)
	return until(t.ctx, slowPace, patience, "tcpdump has recorded the packets of "+a.String(), func() bool {
		rows, _ := c.Fields(filter, "frame.number") // a file that is being written may end inside a packet
		return len(rows) >= pings
	})
}

// loop sends to an address in a prefix that its home does not use.
func (t *tour) loop() error {
	target := unused(&t.home2)
	t.say("home2 uses a small part of its prefix. wide-dhcpv6-client leaves the rest to the default route, and that leads back to the edge: "+
		"a packet to %s would go to and fro until its hop limit is used up (RFC 8987 R-5).", target)
	for _, d := range []*lab.Node{t.edge, t.home2.node} {
		if _, err := t.in(d, "ip", "-6", "route", "get", target.String()); err != nil {
			return err
		}
	}
	link, err := capture.Start(t.edge, "d2", "icmp6 and ip6[40] == 128")
	if err != nil {
		return err
	}
	t.say("home2 sends one packet there. Its source is right, so the filter of sources lets it in:")
	if err := t.sendInto(target, t.home2.node, t.home2.inside, "looped"); err != nil {
		return err
	}
	t.say("The server sends one, too. home2 returns it to the edge. Its source is foreign there, but what it is in is a loop:")
	if err := t.sendInto(target, t.server, netip.Addr{}, "looped"); err != nil {
		return err
	}
	t.say("Some packets to an address in use show that the recording works. Then what it has of the others, with hop limit and sender:")
	if err := t.ping(t.server, netip.Addr{}, t.home2.inside); err != nil {
		return err
	}
	if err := t.seen(link, "ipv6.dst", t.home2.inside); err != nil {
		return err
	}
	if err := link.Stop(); err != nil {
		return err
	}
	out, err := t.tshark(link, fmt.Sprintf("icmpv6.type == 128 && ipv6.dst == %s", target), "ipv6.src", "ipv6.hlim", "eth.src")
	if err != nil {
		return err
	}
	senders := []string{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		senders = append(senders, fields[len(fields)-1])
	}
	home := t.home2.mac
	_ = t.check(expect(len(senders) == 3 && senders[0] == home && senders[1] != home && senders[2] == home, "the senders were %v", senders),
		"home2's packet was on the link once, the server's went to home2 and back: not 60 times")
	return nil
}

// sendInto sends one packet to an address that would loop, and checks that the counter has
// counted it.
func (t *tour) sendInto(target netip.Addr, d *lab.Node, from netip.Addr, name string) error {
	before, err := counter(t.edge, name)
	if err != nil {
		return err
	}
	err = t.pingTimes(1, d, from, target)
	_ = t.check(expect(err != nil, "it was"), "it is not answered")
	_ = t.rises(t.edge, name, before, 1)
	return nil
}

// unused returns an address in the last subnet of a home's prefix.
func unused(h *home) netip.Addr {
	b := h.prefix.Addr().As16()
	for bit := h.prefix.Bits(); bit < 64; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	b[15] = 0x99
	return netip.AddrFrom16(b)
}
