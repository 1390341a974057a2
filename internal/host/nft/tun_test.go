package nft_test

import (
	"os"
	"testing"
	"unsafe"

	"fairlead/internal/core/hoststate"

	"golang.org/x/sys/unix"
)

// RFC 8987 R-5 on a real point-to-point link, which has no link-layer addresses. R-3 works there
// too, strict or not.
func TestPointToPoint(t *testing.T) {
	n := newNetwork(t)
	tun := n.tun("ppp7")
	n.edge.run("ip link set ppp7 up")
	n.edge.run("ip -6 route add 2001:db8:700::/56 via fe80::7 dev ppp7")
	n.apply(
		add(hoststate.SourceLink, "ppp7", "2001:db8:700::/56"), add(hoststate.Checked, "ppp7", ""),
		addMAC(hoststate.SourceStrict, "ppp7", rightMAC, "2001:db8:600::/56"),
	)
	write := func(src, dst, name string) {
		t.Helper()
		if _, err := unix.Write(tun, packet(src, dst, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("2001:db8:700::1", "2001:db8:cccc::1", "good")
	write("2001:db8:666::1", "2001:db8:cccc::1", "spoofed")
	write("2001:db8:600::1", "2001:db8:cccc::1", "of no address")
	write("2001:db8:700::1", "2001:db8:700:1::1", "looping")
	write("2001:db8:700::1", "2001:db8:cccc::1", "end")
	expect(t, "passed", n.farTap.until("end"), "good")
	expect(t, "came back", readTun(t, tun), "looping")
	if all, err := n.table.Spoofed(); err != nil || all["ppp7"].Packets != 2 || !all["ppp7"].Source.IsValid() || all["ppp7"].LinkLayer.Len() != 0 {
		t.Errorf("spoofed by ppp7: %+v, %v; want 2 packets, the last of a source without a link-layer address", all["ppp7"], err)
	}

	n.apply(add(hoststate.LoopPoint, "ppp7", "2001:db8:700::/56"), add(hoststate.Hairpin, "ppp7", ""))
	write("2001:db8:700::1", "2001:db8:700:1::1", "looping")
	write("2001:db8:700::1", "2001:db8:cccc::1", "end")
	expect(t, "passed", n.farTap.until("end"))
	expect(t, "came back", readTun(t, tun))
	if spoofed, looped := n.counter("spoofed"), n.counter("looped"); spoofed != 2 || looped != 1 {
		t.Errorf("spoofed %d, want 2; looped %d, want 1", spoofed, looped)
	}
}

// tun makes a tun device at the edge. The test is its other end.
func (n *network) tun(name string) (fd int) {
	n.t.Helper()
	var err error
	n.edge.do(func() {
		if fd, err = unix.Open("/dev/net/tun", os.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return
		}
		var request struct {
			name  [unix.IFNAMSIZ]byte
			flags uint16
			_     [22]byte
		}
		copy(request.name[:], name)
		request.flags = unix.IFF_TUN | unix.IFF_NO_PI
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&request))); e != 0 {
			err = e
		}
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// readTun are the words in the packets that the kernel has sent so far.
func readTun(t *testing.T, fd int) (words []string) {
	t.Helper()
	b := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, b)
		if err == unix.EAGAIN {
			return words
		}
		if err != nil {
			t.Fatal(err)
		}
		if w := word(b[:n]); w != "" {
			words = append(words, w)
		}
	}
}
