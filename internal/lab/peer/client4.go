package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
	"fairlead/internal/wire/dhcp4"
)

// Messages and options of DHCPv4 (RFC 2132 section 9).
const (
	discover4 = 1
	offer4    = 2
	request4  = 3
	ack4      = 5

	optionRequested = 50
	optionType      = 53
	optionServer    = 54
	optionClient    = 61
	optionEnd       = 255
)

var cookie = []byte{99, 130, 83, 99}

// Client4 is a DHCPv4 client that asks when the test tells it to, and to which answers are
// broadcast.
type Client4 struct {
	Hardware net.HardwareAddr

	conn *net.UDPConn
}

// StartClient4 opens the socket of a client on an interface of the node, which
// needs no address.
func StartClient4(d *lab.Node, link string) (*Client4, error) {
	found, err := d.Interface(link)
	if err != nil {
		return nil, err
	}
	c := &Client4{Hardware: found.HardwareAddr}
	err = d.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), "dhcp client")
		defer file.Close()
		conn, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		c.conn = conn.(*net.UDPConn)
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
			// A child process that is being started still has, for a moment, the socket of the
			// client before.
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.BindToDevice(fd, link),
			unix.Bind(fd, &unix.SockaddrInet4{Port: dhcp4.ClientPort}))
	})
	if err != nil {
		return nil, fmt.Errorf("peer: client on %s: %w", link, err)
	}
	return c, nil
}

// Close closes the client's socket.
func (c *Client4) Close() error { return c.conn.Close() }

// Obtain asks for a lease until one is acknowledged: Discover, Offer, Request,
// Ack. Each message is sent again every second.
func (c *Client4) Obtain(limit time.Duration) (netip.Addr, error) {
	deadline := time.Now().Add(limit)
	xid := rand.Uint32()
	offer, err := c.exchange(deadline, xid, discover4, offer4, nil)
	if err != nil {
		return netip.Addr{}, err
	}
	server := offer.option(optionServer)
	options := append([]byte{optionRequested, 4}, offer[16:20]...)
	options = append(options, optionServer, byte(len(server)))
	reply, err := c.exchange(deadline, xid, request4, ack4, append(options, server...))
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.AddrFrom4([4]byte(reply[16:20])), nil
}

// Discover sends one Discover, and waits for no answer.
func (c *Client4) Discover() error {
	out := c.message(rand.Uint32(), discover4, nil)
	return lab.Insist(func() error {
		_, err := c.conn.WriteToUDPAddrPort(out, broadcast4)
		return err
	})
}

var broadcast4 = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcp4.ServerPort)

// exchange sends a message until one of the wanted type comes back.
func (c *Client4) exchange(deadline time.Time, xid uint32, send, want byte, options []byte) (message4, error) {
	out := c.message(xid, send, options)
	buffer := make([]byte, 2048)
	for time.Now().Before(deadline) {
		err := lab.Insist(func() error {
			_, err := c.conn.WriteToUDPAddrPort(out, broadcast4)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("peer: client: %w", err)
		}
		if err := c.conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return nil, fmt.Errorf("peer: client: %w", err)
		}
		for {
			n, err := c.conn.Read(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("peer: client: %w", err)
			}
			m := message4(bytes.Clone(buffer[:n]))
			if m.answers(xid) && bytes.Equal(m.option(optionType), []byte{want}) {
				return m, nil
			}
		}
	}
	return nil, fmt.Errorf("peer: client: %w to a message of type %d", errSilence, send)
}

var errSilence = errors.New("no answer")

// message builds a message of the client (RFC 2131 section 2).
func (c *Client4) message(xid uint32, kind byte, options []byte) []byte {
	b := make([]byte, 236, 300)
	b[0], b[1], b[2] = 1, 1, 6 // a request, from Ethernet
	binary.BigEndian.PutUint32(b[4:], xid)
	b[10] = 0x80 // answers are to be broadcast
	copy(b[28:], c.Hardware)
	b = append(b, cookie...)
	b = append(b, optionType, 1, kind, optionClient, 7, 1)
	b = append(append(b, c.Hardware...), options...)
	b = append(b, optionEnd)
	return append(b, make([]byte, 300-min(len(b), 300))...)
}

// message4 is a DHCPv4 message as it was received.
type message4 []byte

// answers reports whether the message is an answer to a transaction.
func (m message4) answers(xid uint32) bool {
	return len(m) >= 240 && m[0] == 2 && binary.BigEndian.Uint32(m[4:]) == xid && bytes.Equal(m[236:240], cookie)
}

// option returns the value of an option, nil if it is not there.
func (m message4) option(code byte) []byte {
	rest := m[240:]
	for len(rest) >= 2 && rest[0] != optionEnd {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		end := 2 + int(rest[1])
		if end > len(rest) {
			return nil
		}
		if rest[0] == code {
			return rest[2:end]
		}
		rest = rest[end:]
	}
	return nil
}
