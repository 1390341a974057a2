package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"fairlead/internal/lab/peer"
)

// The message types that the demo speaks of (RFC 8415 section 7.3).
const (
	solicit = 1
	request = 3
	renew   = 5
	reply   = 7
)

// wanted is how many prefixes the neighbour asks for: one more than twice what it may have. With
// fewer prefixes, its Request would go on to the server, and what the server gave above the limit
// would not be routed.
const wanted = 2*clientLimit + 1

// limit lets the neighbour ask for too much.
func (t *tour) limit() error {
	t.say("The configuration allows %d prefixes to a client. The neighbour starts dhcpcd and asks for %d, more than twice as many. "+
		"The server would be generous: it offers all of them.", clientLimit, wanted)
	before, err := t.edge.IP("-6 route show proto 87")
	if err != nil {
		return err
	}
	greedy, err := peer.StartClient(t.neighbour.node, peer.Dhcpcd, peer.ClientConfig{Prefixes: wanted, NoAddress: true})
	if err != nil {
		return err
	}
	// The neighbour asks again after a second, and by then its first message has been forwarded.
	asked := fmt.Sprintf("dhcpv6.msgtype == %d && ipv6.src == %s", request, t.neighbour.linkLocal)
	err = until(t.ctx, slowPace, patience, "the neighbour has asked twice", func() bool {
		rows, _ := t.neighbour.wire.Fields(asked, "frame.number") // the file may end inside a packet
		return len(rows) >= 2
	})
	if err := errors.Join(err, greedy.Proc().Stop()); err != nil {
		return err
	}
	t.say("On the neighbour's cable: Solicit (1), Advertise (2), Request (3) and again. In front of the server, wrapped by the relay (12, 13):")
	heard := fmt.Sprintf("ipv6.addr == %s", t.neighbour.linkLocal)
	if _, err := t.tshark(t.neighbour.wire, heard, "dhcpv6.msgtype", "dhcpv6.iaid"); err != nil {
		return err
	}
	relayed := fmt.Sprintf("dhcpv6.peeraddr == %s", t.neighbour.linkLocal)
	if _, err := t.tshark(t.serverWire, relayed, "dhcpv6.msgtype", "dhcpv6.iaid"); err != nil {
		return err
	}
	types, err := t.forwardedTypes(t.neighbour.linkLocal)
	if err != nil {
		return err
	}
	_ = t.check(expect(bytes.IndexByte(types, solicit) >= 0, "types %v", types), "its Solicit was forwarded: asking is free")
	_ = t.check(expect(bytes.IndexByte(types, request) < 0, "types %v", types), "no Request of it reached the server (RFC 8987 G-5)")
	after, err := t.edge.IP("-6 route show proto 87")
	if err == nil {
		err = sameLines(after, before)
	}
	_ = t.check(err, "the kernel's routes are as they were")
	t.quoteLog("limit")
	return nil
}

// quoteLog shows the last lines of Fairlead's log that contain a word, as a remark.
func (t *tour) quoteLog(word string) {
	var found []string
	for line := range strings.Lines(t.relay.Proc().Log()) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		return
	}
	t.say("Fairlead's log has:")
	t.write("     %s\n", strings.TrimSpace(found[len(found)-1]))
}
