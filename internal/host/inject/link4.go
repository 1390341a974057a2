package inject

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/checksum"
	"fairlead/internal/wire/dhcp4"
)

// Offsets in our Ethernet frames with IPv4, which has no options there. In ARP for IPv4 (RFC 826)
// there are other ones.
const (
	atLength4   = atIP + 2
	atFragment4 = atIP + 6
	atProtocol4 = atIP + 9
	atSum4      = atIP + 10
	atSource4   = atIP + 12
	atDest4     = atIP + 16
	atUpper4    = atIP + 20

	atOperation = atIP + 6
	atSender    = atIP + 8 // link-layer address, followed by the IPv4 address
	atTarget    = atIP + 18
	arpEnd      = atIP + 28
	asks        = 1
	answers     = 2

	fragmented = 0x3fff // more fragments follow, or this is not the first one
	timeToLive = 64
	atCHAddr   = 28 // in a message
)

// profile4 receives frames of two protocols, and so its socket takes all.
var profile4 = profile{
	port: dhcp4.ServerPort,

	protocol: unix.ETH_P_ALL, filter: toClients4(),
	upper: atUpper4, blank: blank4, address: address4, take: take4,

	domain: unix.AF_INET, local: local4, head: head4, wrap: wrap4, unwrap: unwrap4,
}

// toClients4 lets UDP to the client port and ARP requests pass.
func toClients4() []unix.SockFilter {
	return []unix.SockFilter{
		{Code: load16, K: atType},
		{Code: equal, K: unix.ETH_P_IP, Jf: 7},
		{Code: load8, K: atProtocol4},
		{Code: equal, K: protoUDP, Jf: 9},
		{Code: load16, K: atFragment4},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: fragmented, Jt: 7},
		// The index register gets the length of the header.
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: atIP},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: atIP + 2},
		{Code: equal, K: dhcp4.ClientPort, Jt: 3, Jf: 4},
		{Code: equal, K: unix.ETH_P_ARP, Jf: 3},
		{Code: load16, K: atOperation},
		{Code: equal, K: asks, Jf: 1},
		{Code: end, K: 0xffff},
		{Code: end, K: 0},
	}
}

var (
	everybody = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	broadcast = [4]byte{0xff, 0xff, 0xff, 0xff}
)

// blank4 is the part that the frames of all clients have in common.
func blank4() frame {
	f := make(frame, atUpper4+udpHeader+loadgen.MaxMessage)
	binary.BigEndian.PutUint16(f[atType:], unix.ETH_P_IP)
	f[atIP] = 4<<4 | 20/4
	f[atIP+8], f[atProtocol4] = timeToLive, protoUDP
	binary.BigEndian.PutUint16(f[atUpper4:], dhcp4.ClientPort)
	binary.BigEndian.PutUint16(f[atUpper4+2:], dhcp4.ServerPort)
	return f
}

// address4 sends a message for one server to the link-layer address that messages from this
// server came from. If none came, the server is not on the link: the message goes to the
// neighbour that has answered last, which leads to the server.
func address4(p *Port, f frame, m loadgen.Message, message int) int {
	mac, source, dest := loadgen.MAC(m.Client), [4]byte{}, broadcast
	copy(f, everybody[:])
	copy(f[6:], mac[:])
	if m.From.IsValid() {
		source = m.From.As4()
		p.own(source, m.Client)
	}
	if m.To.IsValid() {
		dest = m.To.As4()
		to, near := p.neighbours[dest]
		if !near {
			to = p.last
		}
		copy(f, to[:])
	}
	copy(f[atSource4:], source[:])
	copy(f[atDest4:], dest[:])
	length := udpHeader + message
	binary.BigEndian.PutUint16(f[atLength4:], uint16(atUpper4-atIP+length))
	f[atSum4], f[atSum4+1] = 0, 0
	binary.BigEndian.PutUint16(f[atSum4:], ^checksum.Fold(checksum.Sum(f[atIP:atUpper4], 0)))
	binary.BigEndian.PutUint16(f[atUpper4+4:], uint16(length))
	f.checksum(atSource4, atUpper4, atUpper4+6, protoUDP, length)
	return atUpper4 + length
}

// take4 takes a message that came to the link-layer address of the client that it names, or to
// the broadcast address.
func take4(p *Port, f frame) (client uint32, message []byte, ok bool) {
	if len(f) < max(atUpper4+udpHeader, arpEnd) {
		return 0, nil, false
	}
	if binary.BigEndian.Uint16(f[atType:]) == unix.ETH_P_ARP {
		p.resolve(f)
		return 0, nil, false
	}
	message, ok = f.datagram(atIP + int(f[atIP]&0x0f)*4)
	if !ok {
		return 0, nil, false
	}
	if client, ok = clientIn(message); !ok || !p.ours(client) {
		return 0, nil, false
	}
	if to := [6]byte(f); to != everybody && to != loadgen.MAC(client) {
		return 0, nil, false
	}
	p.met([4]byte(f[atSource4:]), [6]byte(f[6:]))
	return client, message, true
}

// maxNeighbours bounds how many neighbours are known. Above that, all are forgotten.
const maxNeighbours = 64

// met notes that a message from an address came from a neighbour.
func (p *Port) met(address [4]byte, mac [6]byte) {
	p.last = mac
	if p.neighbours[address] == mac {
		return
	}
	if len(p.neighbours) == maxNeighbours {
		clear(p.neighbours)
	}
	p.neighbours[address] = mac
}

// clientIn is the client that a message of DHCPv4 is for.
func clientIn(message []byte) (uint32, bool) {
	if len(message) < atCHAddr+6 {
		return 0, false
	}
	return loadgen.IndexOf([6]byte(message[atCHAddr:]))
}

// own notes which client uses an address, so that the client is found by it. There are no more
// addresses than clients; above that, all are forgotten.
func (p *Port) own(address [4]byte, client uint32) {
	if _, known := p.owners[address]; !known && len(p.owners) >= int(p.options.Clients) {
		clear(p.owners)
	}
	p.owners[address] = client
}

// resolve queues the answer to an ARP request for an address that a client uses (RFC 826).
func (p *Port) resolve(f frame) {
	client, ok := p.owners[[4]byte(f[atTarget+6:])]
	if !ok {
		return
	}
	a := frame(p.answers.room())
	mac := loadgen.MAC(client)
	copy(a, f[6:12])
	copy(a[6:], mac[:])
	copy(a[atType:], f[atType:atOperation])
	binary.BigEndian.PutUint16(a[atOperation:], answers)
	copy(a[atSender:], mac[:])
	copy(a[atSender+6:], f[atTarget+6:atTarget+10])
	copy(a[atTarget:], f[atSender:atSender+10])
	p.answers.add(nobody, arpEnd)
}
