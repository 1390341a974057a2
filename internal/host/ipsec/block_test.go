package ipsec_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/core/hop"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

const blockTail = " action block priority 4196204545"

var sixBlocks = []string{
	"src ::/0 dst 2001:db8::2/128 proto tcp dport 547 dir out" + blockTail,
	"src 2001:db8::2/128 dst ::/0 proto tcp sport 547 dir in" + blockTail,
	"src ::/0 dst 2001:db8::2/128 proto udp dport 547 dir out" + blockTail,
	"src 2001:db8::2/128 dst ::/0 proto udp dport 547 dir in" + blockTail,
}

var fourBlocks = []string{
	"src 0.0.0.0/0 dst 192.0.2.2/32 proto tcp dport 67 dir out" + blockTail,
	"src 192.0.2.2/32 dst 0.0.0.0/0 proto tcp sport 67 dir in" + blockTail,
	"src 0.0.0.0/0 dst 192.0.2.2/32 proto udp dport 67 dir out" + blockTail,
	"src 192.0.2.2/32 dst 0.0.0.0/0 proto udp dport 67 dir in" + blockTail,
}

func unblocked(t *testing.T, k interface{ Unblocked() (string, error) }) string {
	t.Helper()
	why, err := k.Unblocked()
	need(t, err)
	return why
}

// Block policies come and go with the hops, in any order, beside policies of manual keys and of
// other programs. A missing one is noticed.
func TestBlock(t *testing.T) {
	d := loneNode(t)
	k := openKernel(t, d, hop.OwnerRelay)
	six, four := manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001), manual("four", "192.0.2.1", "192.0.2.2", 0x1001, 0x2001)
	need(t, k.SetBlockPolicies([]hop.Hop{six, four}))
	wantPolicies(t, d, append(sixBlocks[:4:4], fourBlocks...)...)
	install(t, k, six)
	if got := len(policies(t, d)); got != 12 {
		t.Errorf("%d policies, want 8 that block and 4 that ask for ESP", got)
	}
	theirs := "src 2001:db8::/64 dst 2001:db8::2/128 proto udp dport 547 dir out"
	_, err := d.IP("xfrm policy add %s priority 7 tmpl proto esp mode transport", theirs)
	need(t, err)
	need(t, k.SetBlockPolicies([]hop.Hop{six}))
	need(t, k.Install(nil))
	wantPolicies(t, d, append(sixBlocks[:4:4], theirs+" priority 7 tmpl src :: dst :: proto esp reqid 0 mode transport")...)
	if why := unblocked(t, k); why != "" {
		t.Errorf("all is there, and it says %q", why)
	}
	_, err = d.IP("xfrm policy flush")
	need(t, err)
	if why := unblocked(t, k); !strings.Contains(why, "is missing") {
		t.Errorf("all is gone, and it says %q", why)
	}
	need(t, k.SetBlockPolicies([]hop.Hop{six}))
	wantPolicies(t, d, sixBlocks...)
	need(t, k.SetBlockPolicies(nil))
	wantPolicies(t, d)
}

// A policy of another program in the place of ours stays, and the others of ours are installed. A
// relay and a guard with the same peer share one policy that blocks.
func TestBlockInTheWay(t *testing.T) {
	d := loneNode(t)
	relay, guard := openKernel(t, d, hop.OwnerRelay), openKernel(t, d, hop.OwnerGuard)
	six := manual("six", "2001:db8::1", "2001:db8::2", 0x1001, 0x2001)
	theirs := "src ::/0 dst 2001:db8::2/128 proto udp dport 547 dir out"
	_, err := d.IP("xfrm policy add %s priority 7 tmpl proto esp mode transport", theirs)
	need(t, err)
	if err := relay.SetBlockPolicies([]hop.Hop{six}); err == nil || !strings.Contains(err.Error(), "which is not ours") {
		t.Errorf("error: %v", err)
	}
	if why := unblocked(t, relay); why == "" {
		t.Error("it says that all is there")
	}
	wantPolicies(t, d, sixBlocks[0], sixBlocks[1], sixBlocks[3], theirs+" priority 7 tmpl src :: dst :: proto esp reqid 0 mode transport")
	_, err = d.IP("xfrm policy deleteall dir out")
	need(t, err)
	need(t, relay.SetBlockPolicies([]hop.Hop{six}))
	need(t, guard.SetBlockPolicies([]hop.Hop{six}))
	wantPolicies(t, d, sixBlocks...)
	need(t, guard.SetBlockPolicies(nil))
	wantPolicies(t, d, sixBlocks...)
}

// Without any other policy, nothing passes to or from the peer's port. Everything else does:
// clients' messages, IKE.
func TestBlockHoldsBack(t *testing.T) {
	for _, c := range []struct {
		name, here, there string
		port              int
	}{{"IPv6", "2001:db8::1", "2001:db8::2", dhcp6.ServerPort}, {"IPv4", "192.0.2.1", "192.0.2.2", dhcp4.ServerPort}} {
		t.Run(c.name, func(t *testing.T) {
			a, b := labtest.Pair(t, "a", "a0", "b", "b0")
			length, options := 64, " nodad"
			if c.port == dhcp4.ServerPort {
				length, options = 24, ""
			}
			for d, address := range map[*lab.Node]string{a: c.here, b: c.there} {
				_, err := d.IP("addr add %s/%d dev %s0%s", address, length, d.Name, options)
				need(t, err)
			}
			k := openKernel(t, a, hop.OwnerRelay)
			need(t, k.SetBlockPolicies([]hop.Hop{manual("peer", c.here, c.there, 0x1001, 0x2001)}))
			ours, theirs := listen(t, a, c.here, c.port), listen(t, b, c.there, c.port)
			ike, client := listen(t, a, c.here, 500), listen(t, b, c.there, 500)
			if _, err := ours.WriteTo([]byte("clear"), theirs.LocalAddr()); !errors.Is(err, unix.EPERM) {
				t.Errorf("to the peer: %v, want EPERM", err)
			}
			send(t, theirs, ours, "clear")
			send(t, ike, client, "ike")
			send(t, client, ike, "ike")
			wantHeard(t, client, "ike")
			wantHeard(t, ike, "ike")
			need(t, k.SetBlockPolicies(nil))
			// If the blocked datagram had passed, it would have come before this one.
			send(t, theirs, ours, "after")
			wantHeard(t, ours, "after")
			send(t, ours, theirs, "after")
			wantHeard(t, theirs, "after")
		})
	}
}

func listen(t *testing.T, d *lab.Node, address string, port int) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	need(t, d.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port))))
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, from, to *net.UDPConn, text string) {
	t.Helper()
	_, err := from.WriteTo([]byte(text), to.LocalAddr())
	need(t, err)
}

// wantHeard takes the next datagram, which must be this one.
func wantHeard(t *testing.T, at *net.UDPConn, want string) {
	t.Helper()
	buffer := make([]byte, 100)
	need(t, at.SetReadDeadline(time.Now().Add(labtest.Patience)))
	n, err := at.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q has not come", want)
	}
	need(t, err)
	if got := string(buffer[:n]); got != want {
		t.Fatalf("%q came, want %q", got, want)
	}
}
