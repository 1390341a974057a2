//go:build vm

package ipsec4_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"

	"fairlead/internal/lab"
)

// inbox keeps the datagrams that come to a socket.
type inbox struct {
	mu   sync.Mutex // guards text
	text []string
}

// listenAt takes datagrams at an address of a node for as long as the test lasts.
func listenAt(t *testing.T, d *lab.Node, at netip.AddrPort) *inbox {
	t.Helper()
	b, conn := &inbox{}, open(t, d, at, "")
	go func() {
		buffer := make([]byte, 2048)
		for {
			n, err := conn.Read(buffer)
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

// send sends one datagram from a node, whose own address the source need not be.
func send(t *testing.T, d *lab.Node, from, to netip.AddrPort, text []byte) {
	t.Helper()
	conn := open(t, d, from, "")
	defer conn.Close()
	_, err := conn.WriteToUDPAddrPort(text, to)
	need(t, err)
}
