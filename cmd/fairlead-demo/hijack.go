package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// hijack makes the neighbour pretend to be home2.
func (t *tour) hijack() error {
	t.say("home2 speaks to a multicast group, and the switch lets the neighbour hear it: its DUID, its IAIDs, its prefix.")
	overheard := fmt.Sprintf("dhcpv6.msgtype == %d && ipv6.src == %s", request, t.home2.linkLocal)
	if _, err := t.tshark(t.neighbour.wire, overheard, "ipv6.src", "dhcpv6.duid.bytes", "dhcpv6.iaid", "dhcpv6.iaprefix.pref_addr"); err != nil {
		return err
	}
	heard, err := t.neighbour.wire.Datagrams(overheard)
	if err != nil {
		return err
	}
	forged, err := forge(heard)
	if err != nil {
		return err
	}
	t.say("So it sends the same octets as a Renew, from its own address %s (%s). The server knows clients by DUID and IAID, and says yes:",
		t.neighbour.linkLocal, t.neighbour.mac)
	link, err := capture.Start(t.home2.node, "c0", "icmp6 and (ip6[40] == 135 or ip6[40] == 136)")
	if err != nil {
		return err
	}
	if err := t.pretend(forged); err != nil {
		return err
	}
	if err := t.believed(); err != nil {
		return err
	}
	t.say("The relay does not take the server's word for it. Before a prefix moves to another host of a shared link, it asks the one that has it " +
		"whether it is still there, at its own link-layer address. home2 is:")
	if err := t.askedHome2(link); err != nil {
		return err
	}
	if err := link.Stop(); err != nil {
		return err
	}
	out, err := t.in(t.edge, "ip", "-6", "route", "show", "proto", "87", "root", t.home2.prefix.String())
	if err != nil {
		return err
	}
	_ = t.check(t.home2.routedIn(out), "the route still goes to home2, and there is no other")
	err = t.ping(t.server, netip.Addr{}, t.home2.inside)
	_ = t.check(err, "home2 has its packets")
	t.quoteLog("refused")
	return nil
}

// forge makes a Renew from the last Request that was recorded.
func forge(heard []capture.Datagram) ([]byte, error) {
	if len(heard) == 0 {
		return nil, fmt.Errorf("the neighbour has heard no Request")
	}
	m := append([]byte(nil), heard[len(heard)-1].Payload...)
	binary.BigEndian.PutUint32(m, renew<<24|rand.Uint32N(1<<24)) // the type, and a transaction-id
	return m, nil
}

// pretend sends the forged message until it is answered.
func (t *tour) pretend(message []byte) error {
	client, err := script.StartClient(t.neighbour.node, script.ClientConfig{})
	if err != nil {
		return err
	}
	answer, err := client.Exchange(patience, message)
	if err != nil {
		return err
	}
	if answer.Type() != dhcp6.Reply {
		return fmt.Errorf("the answer is a %v", answer.Type())
	}
	return client.Close()
}

// believed checks that the server granted home2's prefix to the neighbour.
func (t *tour) believed() error {
	filter := fmt.Sprintf("dhcpv6.msgtype == %d && dhcpv6.peeraddr == %s && dhcpv6.iaprefix.pref_addr == %s && ipv6.src == %s",
		reply, t.neighbour.linkLocal, t.home2.prefix.Addr(), lab.ServerAddress)
	out, err := t.tshark(t.serverWire, filter, "dhcpv6.msgtype", "dhcpv6.peeraddr", "dhcpv6.iaprefix.pref_addr", "dhcpv6.iaprefix.valid_lifetime")
	if err != nil {
		return err
	}
	return t.check(expect(countLines(out) > 0, "no such Reply was seen"), "the server's Reply gives %s to the neighbour", t.home2.prefix)
}

// askedHome2 checks that home2 was asked after the forged message, and that it answered.
func (t *tour) askedHome2(link *capture.Capture) error {
	asked := fmt.Sprintf("icmpv6.nd.ns.target_address == %s && eth.dst == %s", t.home2.linkLocal, t.home2.mac)
	answered := fmt.Sprintf("icmpv6.nd.na.target_address == %s && eth.src == %s", t.home2.linkLocal, t.home2.mac)
	err := until(t.ctx, slowPace, patience, "home2 was asked and has answered", func() bool {
		q, _ := link.Fields(asked, "frame.number") // the file may end inside a packet
		a, _ := link.Fields(answered, "frame.number")
		return len(q) > 0 && len(a) > 0
	})
	if _, shown := t.tshark(link, "("+asked+") || ("+answered+")", "eth.src", "eth.dst", "icmpv6.type"); shown != nil {
		return shown
	}
	return t.check(err, "home2 was asked (135, Neighbor Solicitation) and answered (136)")
}
