package lab

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Pump is a point-to-point link between two nodes: two tun devices without link-layer addresses,
// and two goroutines that carry the packets. Tests use it in place of PPP. The devices vanish
// when it is closed.
type Pump struct {
	ends [2]*os.File
	idle sync.WaitGroup
	once sync.Once
	err  error
}

// Tun joins two nodes with a point-to-point link; both ends are up and have
// the given link-local addresses ("fe80::a/64"), as PPP would negotiate.
func (n *Net) Tun(a *Node, nameA, addrA string, b *Node, nameB, addrB string) (*Pump, error) {
	p := &Pump{}
	var err error
	if p.ends[0], err = openTun(a, nameA); err != nil {
		return nil, err
	}
	if p.ends[1], err = openTun(b, nameB); err != nil {
		p.ends[0].Close()
		return nil, err
	}
	p.idle.Add(2)
	go carry(&p.idle, p.ends[0], p.ends[1])
	go carry(&p.idle, p.ends[1], p.ends[0])
	n.OnClose(p.Close)
	return p, errors.Join(raiseTun(a, nameA, addrA), raiseTun(b, nameB, addrB))
}

// Close removes both devices, with all routes over them.
func (p *Pump) Close() error {
	p.once.Do(func() {
		p.err = errors.Join(p.ends[0].Close(), p.ends[1].Close())
		p.idle.Wait()
	})
	return p.err
}

// Arrive makes a packet come in at the first end (0) or the second (1), as if the other end had
// sent it. When it returns, the packet is in the kernel's queue of each socket that listens at
// that end.
func (p *Pump) Arrive(end int, packet []byte) error {
	_, err := p.ends[end].Write(packet)
	return err
}

// carry copies packets, or octets, until the end that they come from is closed. What the other
// end does not accept is lost, as on a wire.
func carry(idle *sync.WaitGroup, from, to *os.File) {
	defer idle.Done()
	packet := make([]byte, 1<<16)
	for {
		size, err := from.Read(packet)
		if err != nil {
			return
		}
		_, _ = to.Write(packet[:size])
	}
}

// openTun makes a device in a node. The descriptor does not block, so that a Read waits in the
// runtime's poller and Close ends it.
func openTun(d *Node, name string) (*os.File, error) {
	var file *os.File
	err := d.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			unix.Close(fd)
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			unix.Close(fd)
			return err
		}
		file = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lab: tun %s in %s: %w", name, d.Name, err)
	}
	return file, nil
}

// raiseTun gives a device its only address and brings it up.
func raiseTun(d *Node, name, addr string) error {
	return d.Batch(
		"link set "+name+" addrgenmode none",
		"link set "+name+" up",
		"addr add "+addr+" dev "+name+" nodad",
	)
}
