package ports_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/host/ports"
	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
)

var need = labtest.Need

// look is what InTheWay finds at a port in a node.
func look(t *testing.T, d *lab.Node, everywhere netip.Addr, port uint16) (found []ports.Socket) {
	t.Helper()
	need(t, d.Do(func() (err error) {
		found, err = ports.InTheWay(everywhere, port)
		return err
	}))
	return found
}

// Sockets of other programs at the unspecified address, and at an address of ours, are found with
// their programs. Our own sockets are not found, nor are sockets at another port, at an address
// that we do not use, or in another namespace.
func TestInTheWay(t *testing.T) {
	host, other := labtest.Pair(t, "host", "h0", "other", "o0")
	ours, foreign := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for _, a := range []netip.Addr{ours, foreign} {
		_, err := host.IP("addr add %s/64 dev h0 nodad", a)
		need(t, err)
	}
	for _, at := range []netip.Addr{netip.IPv6Unspecified(), ours} {
		need(t, host.Do(func() error { return open(t, at) }))
	}
	if got := look(t, host, netip.IPv6Unspecified(), 547); len(got) != 0 {
		t.Fatalf("nobody else is there, found %v", got)
	}
	start := func(at, options string) *lab.Proc {
		t.Helper()
		p, err := host.Start(lab.Command{Name: "socat", Args: []string{"socat", "-u", "UDP6-RECV:" + at + ",reuseaddr" + options, "STDOUT"}})
		need(t, err)
		return p
	}
	start("5470", "")
	start("547", ",bind=["+foreign.String()+"]")
	everywhere := start("547", "")
	here := start("547", ",bind=["+ours.String()+"]")
	var got []ports.Socket
	labtest.Until(t, "two sockets are found", func() bool {
		got = look(t, host, netip.IPv6Unspecified(), 547)
		return len(got) == 2 && got[0].PID != 0 && got[1].PID != 0
	})
	for _, s := range got {
		want, pid := netip.IPv6Unspecified(), everywhere.Pid()
		if s.PID == here.Pid() {
			want, pid = ours, here.Pid()
		}
		if s.PID != pid || s.Addr != want || s.Name != "socat" || s.Index != 0 || s.UID != 0 || s.Inode == 0 {
			t.Errorf("found %+v, want process %d at %v", s, pid, want)
		}
	}
	if got := look(t, other, netip.IPv6Unspecified(), 547); len(got) != 0 {
		t.Errorf("in another namespace found %v", got)
	}

	// The same port of DHCPv4 is another port.
	_, err := host.Start(lab.Command{Name: "socat4", Args: []string{"socat", "-u", "UDP4-RECV:67,reuseaddr", "STDOUT"}})
	need(t, err)
	labtest.Until(t, "a socket of IPv4 is found", func() bool {
		got = look(t, host, netip.IPv4Unspecified(), 67)
		return len(got) == 1 && got[0].PID != 0
	})
	if got[0].Name != "socat" || got[0].Addr != netip.IPv4Unspecified() {
		t.Errorf("found %+v", got[0])
	}
	if got := look(t, host, netip.IPv6Unspecified(), 67); len(got) != 0 {
		t.Errorf("in the other family found %v", got)
	}
}

// open opens a socket of ours at port 547, until the test ends.
func open(t *testing.T, at netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Port: 547, Addr: at.As16()})
}

func TestSocketText(t *testing.T) {
	for want, s := range map[string]ports.Socket{
		"dhcpd (process 12) at ::": {Addr: netip.IPv6Unspecified(), PID: 12, Name: "dhcpd"},
		"a program of user 7, which cannot be looked at (socket 99), at fe80::1%3": {Addr: netip.MustParseAddr("fe80::1"), Index: 3, UID: 7, Inode: 99},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
