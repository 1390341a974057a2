package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Close wakes up Wait and closes everything that Open opened. After it, every method returns
// net.ErrClosed.
func TestClose(t *testing.T) {
	relay := newNamespace(t)
	relay.ip("link add a0 index 11 type veth peer name b0 index 12", "link set a0 up", "link set b0 up")
	a0 := relay.link("a0")
	before, goroutines := descriptors(t), runtime.NumGoroutine()
	c := relay.open(Options{})
	relay.setLinks(c, a0)
	if runtime.NumGoroutine() != goroutines {
		t.Errorf("%d goroutines, %d before Open", runtime.NumGoroutine(), goroutines)
	}
	result := make(chan error)
	go func() {
		err := c.Wait()
		result <- err
	}()
	eventually(t, "Wait waits", func() bool { return waitingInPoller("Wait") })
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case err := <-result:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("Wait: %v, want %v", err, net.ErrClosed)
		}
	case <-time.After(patience):
		t.Fatal("Close did not wake up Wait")
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before Open", after, before)
	}
	var sent error
	c.Send([]Outgoing{{Link: a0.Index, Dest: netip.MustParseAddrPort("[fe80::1]:546")}}, func(_ int, err error) { sent = err })
	if n := c.Receive(1, func(*Datagram) { t.Error("a datagram after Close") }); n != 0 {
		t.Errorf("Receive after Close: %d datagrams", n)
	}
	for name, err := range map[string]error{
		"Close": c.Close(), "SetLinks": c.SetLinks(nil), "Wait": c.Wait(), "Send": sent,
		"AddLocal":    c.AddLocal(Local{Addr: netip.IPv6Unspecified()}),
		"RemoveLocal": c.RemoveLocal(Local{Addr: netip.IPv6Unspecified()}),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v, want %v", name, err, net.ErrClosed)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// waitingInPoller reports whether a goroutine is waiting for input inside a method.
func waitingInPoller(method string) bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for one := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(one, "IO wait") && strings.Contains(one, "udp.(*Conn)."+method) {
			return true
		}
	}
	return false
}

// Sockets are opened and closed under traffic: only messages for a closed socket are lost.
func TestLocalsComeAndGoUnderTraffic(t *testing.T) {
	l := newLab(t)
	second := netip.MustParseAddr("2001:db8:1::2")
	const messages = 200
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			l.relay.do(func() error {
				return errors.Join(l.conn.AddLocal(Local{Addr: second}), l.conn.SetLinks([]Link{l.c0, l.u0}),
					l.conn.RemoveLocal(Local{Addr: second}), l.conn.SetLinks([]Link{l.c0}))
			})
		}
	}()
	for range messages {
		l.host.multicast(l.clientEnd.Index, []byte("solicit"))
		got := l.in.next()
		if string(got.Payload) != "solicit" || got.Path != PathFrame {
			t.Errorf("got %q by %v", got.Payload, got.Path)
		}
		l.send(l.reply("advertise"))
		if answer, _ := l.host.receive(); answer != "advertise" {
			t.Errorf("answer %q", answer)
		}
	}
	close(stop)
	<-ended
	l.in.empty()
}

// AddLocal and RemoveLocal check their arguments.
func TestLocalRefused(t *testing.T) {
	l := newLab(t)
	for _, addr := range []string{"192.0.2.1", "::ffff:192.0.2.1", "ff02::1:2", "ff05::1:3", "fe80::1"} {
		a := netip.MustParseAddr(addr)
		if err := l.conn.AddLocal(Local{Addr: a}); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("AddLocal(%s) = %v, want an error that names it", addr, err)
		}
	}
	missing := netip.MustParseAddr("2001:db8:1::99")
	var err error
	l.relay.do(func() error { err = l.conn.AddLocal(Local{Addr: missing}); return nil })
	if !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("AddLocal with an address that the host does not have: %v", err)
	}
	if err := l.conn.RemoveLocal(Local{Addr: missing}); !errors.Is(err, ErrNoLocal) {
		t.Errorf("RemoveLocal: %v, want %v", err, ErrNoLocal)
	}
	l.relay.do(func() error { err = l.conn.AddLocal(Local{Addr: missing, VRF: "novrf0"}); return nil })
	if err == nil || !strings.Contains(err.Error(), "novrf0") {
		t.Errorf("AddLocal in a VRF that is not there: %v", err)
	}
	here := netip.MustParseAddr("2001:db8:1::1")
	for _, peer := range []string{"[fe80::1]:547", "[ff05::1:3]:547", "192.0.2.1:547", "[2001:db8:1::547]:0"} {
		if err := l.conn.AddLocal(Local{Addr: here, Peer: netip.MustParseAddrPort(peer)}); err == nil || !strings.Contains(err.Error(), peer) {
			t.Errorf("AddLocal for the peer %s = %v, want an error that names it", peer, err)
		}
	}
	l.relay.do(func() error {
		err = l.conn.AddLocal(Local{Addr: here, Peer: netip.MustParseAddrPort("[2001:db8:dead::1]:547")})
		return nil
	})
	if !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("AddLocal for a peer without a way to it: %v", err)
	}
	// The wildcard socket of Open stays.
	if err := l.conn.RemoveLocal(Local{Addr: netip.IPv6Unspecified()}); err != nil {
		t.Errorf("RemoveLocal of the wildcard: %v", err)
	}
	if n := l.conn.Stats().Sockets; n != 6 {
		t.Errorf("%d sockets, want 6", n)
	}
}

// Settings that are out of bounds are refused before anything is opened.
func TestOptionsOutOfBounds(t *testing.T) {
	for want, o := range map[string]Options{
		"batch is -1":               {Batch: -1},
		"batch is 1025":             {Batch: 1025},
		"receive buffer is 1048577": {ReceiveBuffer: 1<<20 + 1},
		"send buffer is 16383":      {SendBuffer: 16<<10 - 1},
		"longest datagram is 1279":  {MaxDatagram: 1279},
		"longest datagram is 65536": {MaxDatagram: 65536},
	} {
		c, err := Open(o)
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%+v) = %v, want %q", o, err, want)
		}
	}
}
