package main

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"fairlead/internal/lab"
)

// crash kills the relay and starts it again.
func (t *tour) crash() error {
	before, err := t.kernel()
	if err != nil {
		return err
	}
	spoken, err := t.clientMessages()
	if err != nil {
		return err
	}
	t.say("Fairlead dies without a chance to say goodbye:")
	pid := strconv.Itoa(t.relay.Proc().Pid())
	if err := t.relay.Kill(); err != nil {
		return err
	}
	t.command(commandLine([]string{"kill", "-9", pid}), "", shownLines)
	out, err := t.in(t.edge, "ip", "-6", "route", "show", "proto", "87")
	if err != nil {
		return err
	}
	for _, h := range t.homes() {
		_ = t.check(h.routedIn(out), "the route to %s is there without it", h.node.Name)
	}
	err = t.ping(t.home1.node, t.home1.inside, lab.ServerAddress)
	_ = t.check(err, "packets go on, as the kernel carries them")

	t.say("Somebody removes a route and empties a set of the filter while nobody watches:")
	if err := t.damage(); err != nil {
		_ = t.check(err, "it can be done")
	}
	err = t.ping(t.home2.node, t.home2.inside, lab.ServerAddress)
	_ = t.check(expect(err != nil, "they are answered"), "now home2's packets are lost")

	t.say("Fairlead comes back, with its folder of state and nothing else:")
	if err := t.relay.Start(); err != nil {
		return err
	}
	t.command(commandLine(inside(t.edge, []string{t.binary, "run", "--config", t.relay.File}))+" &", "", shownLines)
	if out, err = t.in(t.edge, "ip", "-6", "route", "show", "proto", "87"); err != nil {
		return err
	}
	for _, h := range t.homes() {
		_ = t.check(h.routedIn(out), "the route to %s is there before the first packet (RFC 8987 S-1)", h.node.Name)
	}
	// The filter was this store's: the first comparison reads it, while packets pass already.
	_ = until(t.ctx, pace, patience, "the filter is mended", func() bool {
		after, err := t.kernel()
		return err == nil && sameLines(after, before) == nil
	})
	after, err := t.kernel()
	if err == nil {
		err = sameLines(after, before)
	}
	_ = t.check(err, "a moment later routes and filter are as they were before, line for line")
	now, err := t.clientMessages()
	if err == nil {
		err = expect(now == spoken, "they have sent %d messages", now-spoken)
	}
	_ = t.check(err, "no client had to say a word for it")
	for _, h := range t.homes() {
		err := t.ping(t.server, netip.Addr{}, h.inside)
		_ = t.check(err, "the server reaches %s", h.node.Name)
	}
	return t.renewal()
}

// damage breaks what is home2's.
func (t *tour) damage() error {
	if _, err := t.in(t.edge, "ip", "-6", "route", "del", t.home2.prefix.String(), "dev", t.home2.port, "proto", "87"); err != nil {
		return err
	}
	set := fmt.Sprintf("source-strict-%d", t.home2.prefix.Bits())
	_, err := t.in(t.edge, "nft", "flush", "set", "inet", "fairlead", set)
	return err
}

// leftByPackets are the sets of the filter whose elements packets make.
var leftByPackets = regexp.MustCompile(`(?s)\tset (answers|noting|spoofing|spoofed-sources) \{.*?\n\t\}`)

// kernel is what the kernel of the edge has of Fairlead, without what packets change
// there.
func (t *tour) kernel() (string, error) {
	routes, err := t.edge.IP("-6 route show proto 87 table all")
	if err != nil {
		return "", err
	}
	filter, err := t.edge.Run("nft", "-s", "list", "table", "inet", "fairlead")
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

// renewal shows that the relay that came back relays.
func (t *tour) renewal() error {
	t.say("And it relays: dhcpcd is told to renew.")
	if err := t.home1.client.Renew(); err != nil {
		return err
	}
	t.command(commandLine([]string{"kill", "-USR1", strconv.Itoa(t.home1.client.Proc().Pid())}), "", shownLines)
	filter := fmt.Sprintf("ipv6.addr == %s && (dhcpv6.msgtype == %d || dhcpv6.msgtype == %d)", t.home1.linkLocal, renew, reply)
	err := until(t.ctx, slowPace, patience, "home1 has renewed", func() bool {
		rows, _ := t.home1.wire.Fields(filter, "dhcpv6.msgtype") // the file may end inside a packet
		return len(rows) >= 2 && rows[len(rows)-2][0] == strconv.Itoa(renew) && rows[len(rows)-1][0] == strconv.Itoa(reply)
	})
	if _, shown := t.tshark(t.home1.wire, filter, "frame.time_relative", "dhcpv6.msgtype", "dhcpv6.iaprefix.pref_addr"); shown != nil {
		return shown
	}
	_ = t.check(err, "a Renew (5) of home1 is answered by a Reply (7)")
	return nil
}
