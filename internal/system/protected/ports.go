package protected

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"fairlead/internal/lab/labtest"
)

// other is a UDP port that is not DHCP's.
const other = 5470

// OtherPortsPass checks that what is not DHCP is left alone: a datagram between those addresses
// of two ends arrives, and is in clear on the wire.
func (x *Wire) OtherPortsPass(a *End, source netip.Addr, b *End, dest netip.Addr) {
	x.net.T.Helper()
	before := len(x.Lines())
	from, to := netip.AddrPortFrom(source, other), netip.AddrPortFrom(dest, other)
	receiver, sender := b.UDP(to), a.UDP(from)
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
	x.net.Need(err)
	select {
	case <-arrived:
	case <-time.After(labtest.Patience):
		x.net.T.Fatal("a datagram to another port does not arrive")
	}
	want := fmt.Sprintf("%s.%d > %s.%d: UDP", source, other, dest, other)
	x.net.Until("it is seen in clear", func() bool {
		return strings.Contains(strings.Join(x.Lines()[before:], "\n"), want)
	})
}
