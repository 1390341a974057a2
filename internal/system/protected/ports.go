package protected

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"fairlead/internal/lab"
)

// other is a UDP port that is not DHCP's.
const other = 5470

// OtherPortsPass checks that what is no DHCP is left as it is: a datagram between
// those addresses of two ends arrives, and is in clear on the wire.
func (x *Wire) OtherPortsPass(a *End, source netip.Addr, b *End, dest netip.Addr) {
	x.T.Helper()
	before := len(x.Lines())
	from, to := netip.AddrPortFrom(source, other), netip.AddrPortFrom(dest, other)
	receiver, sender := open(b, to), open(a, from)
	defer receiver.Close()
	defer sender.Close()
	arrived := make(chan struct{})
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, err := receiver.Read(buffer)
			if err != nil {
				return
			}
			if string(buffer[:n]) == "not DHCP" {
				close(arrived)
				return
			}
		}
	}()
	_, err := sender.WriteToUDPAddrPort([]byte("not DHCP"), to)
	need(x.T, err)
	select {
	case <-arrived:
	case <-time.After(b.config.Patience):
		x.T.Fatal("a datagram to another port does not arrive")
	}
	want := fmt.Sprintf("%s.%d > %s.%d: UDP", source, other, dest, other)
	need(x.T, lab.Until(b.config.Patience, "it is seen in clear", func() bool {
		return strings.Contains(strings.Join(x.Lines()[before:], "\n"), want)
	}))
}

// open opens a UDP socket at an end.
func open(e *End, at netip.AddrPort) *net.UDPConn {
	e.T.Helper()
	var conn *net.UDPConn
	need(e.T, e.Node.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	return conn
}
