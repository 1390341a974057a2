package inject_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

const patience = labtest.Patience

var need = labtest.Need

// cable is two connected nodes, with the addresses of a relay on c0.
func cable(t *testing.T) (clients, server *lab.Node) {
	t.Helper()
	clients, server = labtest.Cable(t)
	need(t, clients.Address("c0", "2001:db8:1::c/64"))
	for d, address := range map[*lab.Node]string{clients: "192.0.2.12/24 dev c0", server: "192.0.2.1/24 dev s0"} {
		_, err := d.IP("addr add %s", address)
		need(t, err)
	}
	return clients, server
}

// unsent collects the numbers of messages that could not be sent.
type unsent []uint32

func (u *unsent) note(number uint32) { *u = append(*u, number) }

// openPort opens a Port for clients 1000 to 4999.
func openPort(t *testing.T, d *lab.Node, f loadgen.Family, u *unsent) *inject.Port {
	t.Helper()
	var p *inject.Port
	need(t, d.Do(func() (err error) {
		p, err = inject.Open(inject.Options{Family: f, Interface: "c0", First: 1000, Clients: 4000, Unsent: u.note})
		return err
	}))
	t.Cleanup(p.Close)
	return p
}

// receiver is what Port and Relay have in common.
type receiver interface {
	Receive(limit int, each func(client uint32, arrived int64, message []byte)) int
	Wait(d time.Duration)
	Flush()
}

// heard is a message that came back for a client.
type heard struct {
	client  uint32
	arrived time.Time
	message string
}

// hear receives until that many messages have come. Meanwhile it answers requests for link-layer
// addresses.
func hear(t *testing.T, p receiver, count int) []heard {
	t.Helper()
	var all []heard
	for end := time.Now().Add(patience); len(all) < count; p.Wait(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d messages came, want %d", len(all), count)
		}
		p.Receive(100, func(client uint32, arrived int64, message []byte) {
			all = append(all, heard{client, time.Unix(0, arrived), string(message)})
		})
		p.Flush()
	}
	return all
}

// listen opens a UDP socket of the kernel on s0, which joins these groups.
func listen(t *testing.T, d *lab.Node, address string, groups ...netip.Addr) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	need(t, d.Do(func() (err error) {
		at := netip.MustParseAddrPort(address)
		network := "udp6"
		if at.Addr().Is4() {
			network = "udp4"
		}
		c, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(at))
		return err
	}))
	t.Cleanup(func() { c.Close() })
	link, err := d.Interface("s0")
	need(t, err)
	raw, err := c.SyscallConn()
	need(t, err)
	for _, g := range groups {
		need(t, raw.Control(func(fd uintptr) {
			need(t, unix.SetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
				&unix.IPv6Mreq{Multiaddr: g.As16(), Interface: uint32(link.Index)}))
		}))
	}
	need(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// at is the address of a client, with a port. A zone is the index of its link: in the namespace
// of this process, a name would mean another link.
func at(client uint32, port uint16, zone string) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(loadgen.LinkLocal(client)).WithZone(zone), port)
}

// linkIndex must be called on the thread of a node.
func linkIndex(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	return link.Index, nil
}
