//go:build vm

package ipsec_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

// A connection to TCP port 547 of the server, which leasequery uses (RFC 5460,
// RFC 7653), is in ESP from its first segment. RFC 8213 3d.
func TestRFC8213_3_Leasequery(t *testing.T) {
	w := protectedWorld(t, "psk")
	from := len(w.wire.Lines())
	var listener net.Listener
	w.s.Do(func() (err error) {
		listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(serverAddress, 547)))
		return err
	})
	defer listener.Close()
	heard := make(chan string, 1)
	go func() {
		for text := []byte(nil); len(text) == 0; { // a connection may be given up before anything is sent
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			text, _ = io.ReadAll(conn)
			conn.Close()
			if len(text) > 0 {
				heard <- string(text)
			}
		}
	}()
	// The first segments are lost while the SA is negotiated, and refused to the
	// sender; a leasequery client tries again, too.
	err := lab.Until(labtest.Patience, "a connection is made", func() bool {
		return w.r.Node.Do(func() error {
			d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(relayAddress, 0))}
			conn, err := d.Dial("tcp", netip.AddrPortFrom(serverAddress, 547).String())
			if err != nil {
				return err
			}
			_, err = conn.Write([]byte("who has it?"))
			return errors.Join(err, conn.Close())
		}) == nil
	})
	w.Need(err)
	select {
	case text := <-heard:
		if text != "who has it?" {
			t.Errorf("heard %q", text)
		}
	case <-time.After(labtest.Patience):
		t.Error("nothing was heard")
	}
	w.wire.WantESP(from, 4)
}
