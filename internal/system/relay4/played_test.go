package relay4_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// played is a server on the server's host. It leases to each client an address that depends on
// the hardware address, and can be told to wait.
type played struct {
	n    *network
	conn *net.UDPConn

	mu    sync.Mutex
	heard []*request // the messages that came, in order
	// silent reports whether a message is not to be answered; nil: all are answered.
	silent func(*request) bool
	// mute leaves option 82 out of answers.
	mute bool
	// vpns makes it lease in the VPN of the request, and say so (RFC 6607 section 6).
	vpns bool
}

// request is a message that came to a played server.
type request struct {
	*layers.DHCPv4
	port uint16 // its source port
}

// play starts a played server.
func (n *network) play() *played {
	n.T.Helper()
	p := &played{n: n, conn: n.server.UDP(netip.MustParseAddrPort(serverAddress + ":67"))}
	go func() {
		b := make([]byte, 2048)
		for {
			size, from, err := p.conn.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			var m layers.DHCPv4
			if err == nil && m.DecodeFromBytes(bytes.Clone(b[:size]), gopacket.NilDecodeFeedback) == nil {
				p.take(&request{&m, from.Port()})
			}
		}
	}()
	return p
}

func (p *played) take(m *request) {
	p.mu.Lock()
	p.heard = append(p.heard, m)
	silent := p.silent != nil && p.silent(m)
	p.mu.Unlock()
	if !silent {
		p.answer(m)
	}
}

// answer answers a message, at the port that the Source Port sub-option asks for (RFC 8357
// section 5.1). If an answer cannot be sent now, the client will ask again.
func (p *played) answer(m *request) {
	kind := map[byte]layers.DHCPMsgType{byte(layers.DHCPMsgTypeDiscover): layers.DHCPMsgTypeOffer, byte(layers.DHCPMsgTypeRequest): layers.DHCPMsgTypeAck}[kindOf(m.DHCPv4)]
	if kind == layers.DHCPMsgTypeUnspecified {
		return
	}
	a := *m.DHCPv4
	a.Operation, a.YourClientIP = layers.DHCPOpReply, leased(m.RelayAgentIP, m.ClientHWAddr)
	a.Options = layers.DHCPOptions{
		layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(kind)}),
		layers.NewDHCPOption(layers.DHCPOptServerID, netip.MustParseAddr(serverAddress).AsSlice()),
		layers.NewDHCPOption(layers.DHCPOptLeaseTime, []byte{0, 0, 0x0e, 0x10}),
	}
	port := uint16(67)
	for _, o := range m.Options {
		if o.Type != agentInformation {
			continue
		}
		if _, told := without(o.Data, sourcePort); told {
			port = m.port
		}
		if p.vpns {
			o.Data, _ = without(o.Data, vssControl)
		}
		if !p.mute {
			a.Options = append(a.Options, layers.NewDHCPOption(o.Type, o.Data))
		}
	}
	relay, _ := netip.AddrFromSlice(m.RelayAgentIP.To4())
	_, _ = p.conn.WriteToUDPAddrPort(serialized(&a), netip.AddrPortFrom(relay, port))
}

// The option of relay agents, and its sub-options that require something of a server.
const (
	agentInformation = 82
	sourcePort       = 19
	vssControl       = 152
)

// without returns option 82 without one sub-option, and whether it had that sub-option.
func without(information []byte, code byte) (rest []byte, found bool) {
	for b := information; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if b[0] == code {
			found = true
		} else {
			rest = append(rest, b[:2+int(b[1])]...)
		}
	}
	return rest, found
}

// leased returns the address that a client gets on the link of a giaddr.
func leased(giaddr net.IP, client net.HardwareAddr) net.IP {
	a := bytes.Clone(giaddr.To4())
	a[3] = 100 + client[len(client)-1]%100
	return a
}

// kindOf returns a message's type, and 0 if it has none.
func kindOf(m *layers.DHCPv4) byte {
	for _, o := range m.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			return o.Data[0]
		}
	}
	return 0
}

// await makes a client ask until the server has received the transaction, and returns its newest
// message.
func (p *played) await(xid uint32, ask func()) (m *request) {
	p.n.T.Helper()
	p.n.Until("the server hears the transaction", func() bool {
		ask()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, h := range p.heard {
			if h.Xid == xid {
				m = h
			}
		}
		return m != nil
	})
	return m
}
