//go:build vm

package ipsec4_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"fairlead/internal/system/rig"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// What the forged messages say, which nothing else does.
const (
	forgedMAC   = "02:00:00:00:66:67"
	forgedLease = "10.1.66.66"
)

// request is a Discover as a relay passes it on, from a client that is not there.
func (w *world) request(giaddr netip.Addr) []byte {
	w.T.Helper()
	return w.message(giaddr, layers.DHCPOpRequest, layers.DHCPMsgTypeDiscover, netip.IPv4Unspecified())
}

// offer is what a server would answer, to be broadcast to clients.
func (w *world) offer(giaddr netip.Addr) []byte {
	w.T.Helper()
	return w.message(giaddr, layers.DHCPOpReply, layers.DHCPMsgTypeOffer, netip.MustParseAddr(forgedLease))
}

func (w *world) message(giaddr netip.Addr, op layers.DHCPOp, kind layers.DHCPMsgType, lease netip.Addr) []byte {
	w.T.Helper()
	mac, err := net.ParseMAC(forgedMAC)
	w.Need(err)
	m := &layers.DHCPv4{
		Operation: op, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: 0x66666666, Flags: 0x8000,
		ClientIP: net.IPv4zero, YourClientIP: lease.AsSlice(), NextServerIP: net.IPv4zero, RelayAgentIP: giaddr.AsSlice(),
		ClientHWAddr: mac,
		Options: layers.DHCPOptions{
			layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(kind)}),
			layers.NewDHCPOption(layers.DHCPOptServerID, server.AsSlice()),
		},
	}
	if op == layers.DHCPOpRequest {
		m.Options = m.Options[:1]
	}
	buffer := gopacket.NewSerializeBuffer()
	w.Need(gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true}, m))
	return buffer.Bytes()
}

// open opens a UDP socket in a node, for as long as the test lasts. Its address
// may be somebody else's. With a link, it sends and hears there alone.
func open(h *rig.Host, at netip.AddrPort, link string) *net.UDPConn {
	h.Net.T.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
			if err == nil && link != "" {
				err = unix.BindToDevice(int(fd), link)
			}
		}), err)
	}}
	var conn net.PacketConn
	h.Do(func() (err error) {
		conn, err = config.ListenPacket(context.Background(), "udp4", at.String())
		return err
	})
	h.Net.T.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

// send sends one datagram from a node, whose own address the source need not be.
func send(h *rig.Host, from, to netip.AddrPort, text []byte) {
	h.Net.T.Helper()
	conn := open(h, from, "")
	defer conn.Close()
	_, err := conn.WriteToUDPAddrPort(text, to)
	h.Net.Need(err)
}
