package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/lab/capture"
)

// The options of a Relay-forward that the demo looks at.
const (
	relayMessage    = 9  // RFC 8415
	interfaceID     = 18 // RFC 8415
	remoteIDOption  = 37 // RFC 4649
	relayID         = 53 // RFC 5460
	clientLinkLayer = 79 // RFC 6939
)

// relayed is a relay message, decoded by RFC 8415 section 9 without the relay's own codec.
type relayed struct {
	kind    byte // 12 is a Relay-forward, 13 a Relay-reply
	peer    netip.Addr
	options map[uint16][]byte
}

func takeApart(b []byte) (relayed, error) {
	const head = 34
	if len(b) < head || b[0] != 12 && b[0] != 13 {
		return relayed{}, fmt.Errorf("not a relay message: %x", b[:min(len(b), head)])
	}
	r := relayed{kind: b[0], peer: netip.AddrFrom16([16]byte(b[18:34])), options: map[uint16][]byte{}}
	for b = b[head:]; len(b) > 0; {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			return r, fmt.Errorf("an option runs past the end: %x", b)
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		r.options[binary.BigEndian.Uint16(b)] = b[4 : 4+size]
		b = b[4+size:]
	}
	return r, nil
}

// atServer returns the relay messages that have passed the server's cable.
func (t *tour) atServer(filter string) ([]relayed, error) {
	list, err := t.serverWire.Datagrams(filter)
	if err != nil {
		return nil, err
	}
	var all []relayed
	for _, d := range list {
		r, err := takeApart(d.Payload)
		if err != nil {
			return nil, fmt.Errorf("frame %s: %w", d.Frame, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// octets compares what the relay received with what it sent.
func (t *tour) octets() error {
	t.say("tshark reads what tcpdump recorded in front of the server. In each Relay-forward the relay says where the client is: " +
		"the interface-id (18), the remote-id that the configuration asks for (37), its own identity (53) and the " +
		"client's link-layer address (79). 9 is the client's message:")
	if _, err := t.tshark(t.serverWire, "dhcpv6.msgtype == 12", "dhcpv6.peeraddr", "dhcpv6.interface_id", "dhcpv6.option.type"); err != nil {
		return err
	}
	forwards, err := t.atServer("dhcpv6.msgtype == 12")
	if err != nil {
		return err
	}
	for _, h := range t.homes() {
		_ = t.check(h.describedIn(forwards), "of %s it says: interface %s, remote-id %q, link-layer address %s, and who it is itself",
			h.node.Name, h.port, remoteID(h.port), h.mac)
	}
	_ = t.check(sameIdentity(forwards), "it names the same identity (a DUID) each time")

	t.say("The client's message itself must not change on the way (RFC 8987 G-1, RFC 8415 section 19). So all that passed the clients' cables is " +
		"compared with what passed the server's:")
	for _, h := range t.homes() {
		var (
			up, down int
			reason   error
		)
		err := until(t.ctx, slowPace, patience, "the messages on both sides are the same", func() bool {
			up, down, reason = t.compare(h)
			return reason == nil
		})
		_ = t.check(errors.Join(err, reason), "%s: %d messages to the server and %d from it, the same on both sides, octet for octet", h.node.Name, up, down)
	}
	for _, side := range []struct {
		name string
		wire *capture.Capture
	}{{"home1", t.home1.wire}, {"home2", t.home2.wire}, {"the server", t.serverWire}} {
		_ = t.check(side.wire.Check(), "on the cable of %s tshark finds nothing malformed, and all lengths fit", side.name)
	}
	return nil
}

// describedIn checks what all Relay-forwards say about one home.
func (h *home) describedIn(forwards []relayed) error {
	mac, err := hex.DecodeString(strings.ReplaceAll(h.mac, ":", ""))
	if err != nil {
		return err
	}
	want := map[uint16][]byte{
		interfaceID:     []byte(h.port),
		remoteIDOption:  append(binary.BigEndian.AppendUint32(nil, enterprise), remoteID(h.port)...),
		clientLinkLayer: append([]byte{0, 1}, mac...), // hardware type 1: Ethernet
	}
	seen := 0
	for _, f := range forwards {
		if f.peer != h.linkLocal {
			continue
		}
		seen++
		for code, octets := range want {
			if !bytes.Equal(f.options[code], octets) {
				return fmt.Errorf("option %d is %x, not %x", code, f.options[code], octets)
			}
		}
		if len(f.options[relayID]) < 3 {
			return fmt.Errorf("option %d is %x: not a DUID", relayID, f.options[relayID])
		}
	}
	return expect(seen > 0, "no Relay-forward has the peer-address %s", h.linkLocal)
}

func sameIdentity(forwards []relayed) error {
	for _, f := range forwards[min(1, len(forwards)):] {
		if !bytes.Equal(f.options[relayID], forwards[0].options[relayID]) {
			return fmt.Errorf("once it is %x, once %x", forwards[0].options[relayID], f.options[relayID])
		}
	}
	return expect(len(forwards) > 0, "there is no Relay-forward")
}

// compare counts the messages of a home that have passed its cable and the server's cable, and
// fails if they are not the same on both.
func (t *tour) compare(h *home) (up, down int, err error) {
	near, err := h.wire.Datagrams(fmt.Sprintf("ipv6.addr == %s && (udp.dstport == 546 || udp.dstport == 547)", h.linkLocal))
	if err != nil {
		return 0, 0, err
	}
	far, err := t.atServer("dhcpv6.msgtype == 12 || dhcpv6.msgtype == 13")
	if err != nil {
		return 0, 0, err
	}
	var cable, wrapped [2][]string // messages as octets: to the server, and from it
	for _, d := range near {
		way := 0
		if d.ToPort == "546" {
			way = 1
		}
		cable[way] = append(cable[way], string(d.Payload))
	}
	for _, r := range far {
		if r.peer == h.linkLocal {
			way := int(r.kind) - 12
			wrapped[way] = append(wrapped[way], string(r.options[relayMessage]))
		}
	}
	for way := range cable {
		slices.Sort(cable[way])
		slices.Sort(wrapped[way])
		if !slices.Equal(cable[way], wrapped[way]) {
			return 0, 0, fmt.Errorf("on the cable of %s: %x; on the server's: %x", h.node.Name, cable[way], wrapped[way])
		}
	}
	up, down = len(cable[0]), len(cable[1])
	return up, down, expect(up > 0 && down > 0, "%d messages to the server, %d from it", up, down)
}

// forwardedTypes returns the types of the messages with that peer-address that went to the
// server.
func (t *tour) forwardedTypes(peer netip.Addr) ([]byte, error) {
	all, err := t.atServer(fmt.Sprintf("dhcpv6.msgtype == 12 && ipv6.dst == %s", lab.ServerAddress))
	var types []byte
	for _, r := range all {
		if m := r.options[relayMessage]; r.peer == peer && len(m) > 0 {
			types = append(types, m[0])
		}
	}
	return types, err
}
