//go:build vm

package ipsec_test

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"fairlead/internal/lab"
)

// inbox keeps the datagrams that come to a socket.
type inbox struct {
	conn *net.UDPConn

	mu   sync.Mutex // guards texts
	text []string
}

// listenAt opens a UDP socket in a node, for as long as the test lasts.
func listenAt(t *testing.T, d *lab.Node, at netip.AddrPort) *inbox {
	t.Helper()
	b := &inbox{}
	need(t, d.Do(func() (err error) {
		b.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	t.Cleanup(func() { b.conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, err := b.conn.Read(buffer)
			if err != nil {
				return
			}
			b.mu.Lock()
			b.text = append(b.text, string(buffer[:n]))
			b.mu.Unlock()
		}
	}()
	return b
}

func (b *inbox) contains(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.text, text)
}

// send sends one datagram from a node.
func send(t *testing.T, d *lab.Node, from, to netip.AddrPort, text string) {
	t.Helper()
	var conn *net.UDPConn
	need(t, d.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(from))
		return err
	}))
	defer conn.Close()
	_, err := conn.WriteToUDPAddrPort([]byte(text), to)
	need(t, err)
}
