package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Errors that Send reports for one message, besides those of the kernel.
var (
	// ErrNotClientLink says that Link is not one of SetLinks.
	ErrNotClientLink = errors.New("udp: not a client link")
	// ErrNoLocal says that no socket serves the source and VRF of a message.
	ErrNoLocal = errors.New("udp: no socket at this local address")
	// ErrTooBig says that a payload does not fit into a datagram.
	ErrTooBig = errors.New("udp: message too big")
	// ErrDestination says that the destination is not an address of the family and a port.
	ErrDestination = errors.New("udp: no destination of this family")
)

// Conn carries all datagrams of a relay.
type Conn struct {
	options Options
	profile *profile // of Options.Family
	count   counters
	poll    *os.File // an epoll descriptor over all sockets
	wait    syscall.RawConn
	closing atomic.Bool

	admin  sync.Mutex // held by calls that change links and sockets; taken before mu
	groups *groups    // guarded by admin

	mu      sync.RWMutex // guards all following fields; held for reading by one batch
	links   map[int]*link
	sockets map[Local]*socket
	byFD    map[int32]*socket
	frames  *socket

	in  reader
	out chan *writer // writers that are free

	filters sync.Mutex // guards copies and most of floods; taken after the other locks
	copies  copies
	floods  floods
}

// link is a client link, with the socket that serves it.
type link struct {
	Link
	macs   bool    // it has link-layer addresses, which frames have as source and destination
	socket *socket // the wildcard socket of its VRF; nil if it could not be opened
}

// Open opens the packet socket and the wildcard socket. It needs CAP_NET_RAW
// and CAP_NET_BIND_SERVICE.
func Open(o Options) (*Conn, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	c := &Conn{
		options: o,
		profile: o.Family.profile(),
		links:   map[int]*link{},
		sockets: map[Local]*socket{},
		byFD:    map[int32]*socket{},
	}
	c.groups = newGroups(&c.count)
	c.floods.period, c.floods.mapRing = floodFor, mapRing
	if err := c.in.init(c); err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	c.out = make(chan *writer, sendsAtOnce)
	for range sendsAtOnce {
		c.out <- newWriter(c)
	}
	if err := c.open(); err != nil {
		c.Close()
		return nil, fmt.Errorf("udp: %w", err)
	}
	return c, nil
}

func (c *Conn) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	// The runtime's poller accepts only a descriptor that is non-blocking.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return fmt.Errorf("epoll: %w", err)
	}
	c.poll = os.NewFile(uintptr(fd), "epoll")
	if c.wait, err = c.poll.SyscallConn(); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	frames, err := openFrames(&c.options)
	if err != nil {
		return err
	}
	if err := c.add(frames); err != nil {
		return err
	}
	wildcard, err := c.ensure(c.wildcard(""))
	if err != nil {
		return err
	}
	wildcard.wanted = true
	return c.openApart()
}

func (c *Conn) wildcard(vrf string) Local {
	return Local{Addr: c.profile.unspecified, VRF: vrf, Port: c.options.Port}
}

// ensure returns the socket at e, and opens it if there is none. If a VRF device was deleted and
// made again, the old socket hears nothing: it is replaced.
func (c *Conn) ensure(e Local) (*socket, error) {
	old := c.sockets[e]
	if old != nil && e.VRF == "" {
		return old, nil
	}
	if old != nil {
		if index, err := interfaceIndex(e.VRF); err == nil && index == old.vrfIndex {
			return old, nil
		}
	}
	open := openUDP
	if e == c.wildcard(e.VRF) {
		open = openTwins
		if err := c.createOwn(e.VRF); err != nil {
			return nil, err
		}
	}
	s, err := open(e, &c.options)
	if err != nil {
		return nil, err
	}
	if old != nil {
		s.wanted = old.wanted
		c.remove(old)
	}
	if err := c.add(s); err != nil {
		return nil, err
	}
	return s, nil
}

// add makes s and its twin part of c. c owns them even if add fails.
func (c *Conn) add(s *socket) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byFD[int32(s.fd)] = s
	if s.twin != nil {
		c.byFD[int32(s.twin.fd)] = s.twin
	}
	if s.frames {
		c.frames = s
	} else {
		c.sockets[s.at] = s
	}
	for _, l := range c.links {
		if s.at == c.wildcard(l.VRF) {
			l.socket = s
		}
	}
	err := c.watch(s.fd)
	if err == nil && s.twin != nil {
		err = c.watch(s.twin.fd)
		c.filters.Lock()
		defer c.filters.Unlock()
		c.filter(s.twin)
	}
	if err != nil {
		c.drop(s)
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// watch makes Receive look at fd when there is something to read.
func (c *Conn) watch(fd int) error {
	var err error
	failed := c.wait.Control(func(poll uintptr) {
		err = unix.EpollCtl(int(poll), unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	})
	return errors.Join(failed, err)
}

// remove closes s and its twin. No batch is running meanwhile, so nobody uses a descriptor number
// that the kernel may give to another file.
func (c *Conn) remove(s *socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(s)
}

func (c *Conn) drop(s *socket) {
	if c.sockets[s.at] == s {
		delete(c.sockets, s.at)
	}
	for _, l := range c.links {
		if l.socket == s {
			l.socket = nil
		}
	}
	c.shut(s)
	if s.twin != nil {
		c.shut(s.twin)
	}
}

func (c *Conn) shut(s *socket) {
	c.count.drops[s.full()].Add(s.queueFull())
	delete(c.byFD, int32(s.fd))
	s.close()
}

// Close closes all sockets and wakes up Receive. Further calls return
// net.ErrClosed.
func (c *Conn) Close() error {
	if c.closing.Swap(true) {
		return net.ErrClosed
	}
	var err error
	if c.poll != nil {
		err = c.poll.Close()
	}
	c.filters.Lock()
	c.copies.close()
	c.floods.close()
	c.filters.Unlock()
	c.admin.Lock()
	defer c.admin.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups.close()
	for _, s := range c.byFD {
		c.shut(s)
	}
	c.in.close()
	c.sockets = map[Local]*socket{}
	c.links = map[int]*link{}
	return err
}
