package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"fairlead/internal/lab"
	"fairlead/internal/lab/relay"
)

// crash kills the relay, and starts it again.
func (t *tour) crash() error {
	before, err := kernel(t.edge)
	if err != nil {
		return err
	}
	spoken, err := t.clientMessages()
	if err != nil {
		return err
	}
	t.say("The relay dies without a chance to say goodbye:")
	if err := t.kill(t.relay); err != nil {
		return err
	}
	if err := t.routed("the route to %s is there without it", t.homes()...); err != nil {
		return err
	}
	err = t.ping(t.home1.node, t.home1.inside, lab.ServerAddress)
	_ = t.check(err, "packets go on, as the kernel carries them")

	t.say("Somebody removes a route and empties a set of the filter while nobody watches:")
	if err := t.damage(&t.home2, "source-strict"); err != nil {
		_ = t.check(err, "it can be done")
	}
	err = t.ping(t.home2.node, t.home2.inside, lab.ServerAddress)
	_ = t.check(expect(err != nil, "they are answered"), "now home2's packets are lost")

	t.say("The relay comes back, with its folder of state and nothing else:")
	if err := t.comeBack(t.relay); err != nil {
		return err
	}
	if err := t.routed("the route to %s is there before the first packet (RFC 8987 S-1)", t.homes()...); err != nil {
		return err
	}
	t.mended(t.edge, before)
	now, err := t.clientMessages()
	if err == nil {
		err = expect(now == spoken, "they have sent %d messages", now-spoken)
	}
	_ = t.check(err, "no client had to say a word for it")
	for _, h := range t.homes() {
		err := t.ping(t.server, netip.Addr{}, h.inside)
		_ = t.check(err, "the server reaches %s", h.node.Name)
	}
	t.say("And it relays: dhcpcd is told to renew.")
	return t.renews(&t.home1)
}

// kill kills one of the two programs.
func (t *tour) kill(r *relay.Relay) error {
	pid := strconv.Itoa(r.Proc().Pid())
	if err := r.Kill(); err != nil {
		return err
	}
	t.command(commandLine([]string{"kill", "-9", pid}), "", shownLines)
	return nil
}

// comeBack starts a program again.
func (t *tour) comeBack(r *relay.Relay) error {
	if err := r.Start(); err != nil {
		return err
	}
	t.command(commandLine(inside(r.Node, []string{t.binary, "run", "--config", r.File}))+" &", "", shownLines)
	return nil
}

// routed checks that the homes on one machine have their routes there. claim has a placeholder
// for the name of a home.
func (t *tour) routed(claim string, homes ...*home) error {
	out, err := t.in(homes[0].router, "ip", "-6", "route", "show", "proto", "87")
	if err != nil {
		return err
	}
	for _, h := range homes {
		_ = t.check(h.routedIn(out), claim, h.node.Name)
	}
	return nil
}

// damage deletes a home's route, and all elements of one of the filter's sets for prefixes of
// that length.
func (t *tour) damage(h *home, set string) error {
	if _, err := t.in(h.router, "ip", "-6", "route", "del", h.prefix.String(), "dev", h.port, "proto", "87"); err != nil {
		return err
	}
	_, err := t.in(h.router, "nft", "flush", "set", "inet", "fairlead", fmt.Sprintf("%s-%d", set, h.prefix.Bits()))
	return err
}

// mended waits until Fairlead's part of the kernel of a node is as it was before. The first
// comparison reads the filter while packets pass already.
func (t *tour) mended(d *lab.Node, before string) {
	_ = until(t.ctx, pace, patience, "the filter is mended", func() bool {
		after, err := kernel(d)
		return err == nil && sameLines(after, before) == nil
	})
	after, err := kernel(d)
	if err == nil {
		err = sameLines(after, before)
	}
	_ = t.check(err, "a moment later routes and filter are as they were before, line for line")
}

// leftByPackets matches the sets of the filter whose elements packets make.
var leftByPackets = regexp.MustCompile(`(?s)\tset (answers|noting|spoofing|spoofed-sources) \{.*?\n\t\}`)

// kernel returns Fairlead's part of the kernel of a node, without what packets change there.
func kernel(d *lab.Node) (string, error) {
	routes, err := d.IP("-6 route show proto 87 table all")
	if err != nil {
		return "", err
	}
	filter, err := d.Run("nft", "-s", "list", "table", "inet", "fairlead")
	return routes + leftByPackets.ReplaceAllString(filter, ""), err
}

// clientMessages counts what the two homes have sent to relays and servers.
func (t *tour) clientMessages() (int, error) {
	sum := 0
	for _, h := range t.homes() {
		rows, err := h.wire.Fields(fmt.Sprintf("udp.dstport == 547 && ipv6.src == %s", h.linkLocal), "frame.number")
		if err != nil {
			return 0, err
		}
		sum += len(rows)
	}
	return sum, nil
}

// renews makes a home's dhcpcd renew, and checks that it keeps its prefix.
func (t *tour) renews(h *home) error {
	filter := fmt.Sprintf("ipv6.addr == %s && (dhcpv6.msgtype == %d || dhcpv6.msgtype == %d)", h.linkLocal, renew, reply)
	before, err := h.wire.Fields(filter, "frame.number")
	if err != nil {
		return err
	}
	if err := h.client.Renew(); err != nil {
		return err
	}
	t.command(commandLine([]string{"kill", "-USR1", strconv.Itoa(h.client.Proc().Pid())}), "", shownLines)
	var last [][]string
	err = until(t.ctx, slowPace, patience, h.node.Name+" has renewed", func() bool {
		rows, _ := h.wire.Fields(filter, "dhcpv6.msgtype", "dhcpv6.iaprefix.pref_addr", "dhcpv6.iaprefix.valid_lifetime") // the file may end inside a packet
		if len(rows) < len(before)+2 {
			return false
		}
		last = rows[len(rows)-2:]
		return last[0][0] == strconv.Itoa(renew) && last[1][0] == strconv.Itoa(reply)
	})
	if _, shown := t.tshark(h.wire, filter, "frame.time_relative", "dhcpv6.msgtype", "dhcpv6.iaprefix.pref_addr"); shown != nil {
		return shown
	}
	if t.check(err, "a Renew (%d) of %s is answered by a Reply (%d)", renew, h.node.Name, reply) == nil {
		_ = t.check(expect(last[1][1] == h.prefix.Addr().String() && last[1][2] != "0", "the Reply has %s for %s seconds", last[1][1], last[1][2]),
			"%s keeps its prefix: the Reply has %s", h.node.Name, h.prefix)
	}
	return nil
}
