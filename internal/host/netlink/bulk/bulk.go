// Package bulk is a netlink socket for very many small requests: hundreds of
// messages in one system call, and the kernel's answer to each of them.
//
// It knows framing, attributes and acknowledgements, and nothing of routes or
// filters. A Conn is safe for concurrent use; its calls run one after another.
// Buffers passed in are used during the call alone.
package bulk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNoAnswer is the answer to a message whose acknowledgement was lost. It may
// have been carried out or not.
var ErrNoAnswer = errors.New("netlink: no answer")

// ErrInterrupted says that what was dumped changed too often meanwhile.
var ErrInterrupted = errors.New("netlink: dump: interrupted by changes")

// Refusal is a kernel's answer other than success. It unwraps to the
// unix.Errno.
type Refusal struct {
	Errno unix.Errno
	Text  string // the kernel's own explanation, often empty
}

func (r *Refusal) Error() string {
	if r.Text == "" {
		return r.Errno.Error()
	}
	return r.Errno.Error() + ": " + r.Text
}

// Unwrap gives the error number.
func (r *Refusal) Unwrap() error { return r.Errno }

const (
	headerLen = unix.SizeofNlMsghdr
	// Every acknowledgement takes about 1 KiB of the receive buffer until read.
	answerCost   = 2048
	bufferWanted = 16 << 20
	maxMessages  = 4096
)

// Tries is enough for a Dump of what seldom changes.
const Tries = 8

// Conn is a netlink socket.
type Conn struct {
	mu    sync.Mutex // guards all following fields
	fd    int
	seq   uint32
	port  uint32
	limit int
	buf   []byte
}

// Open opens a socket of a netlink family (unix.NETLINK_ROUTE and the like) in
// the network namespace of the calling thread.
func Open(family int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("netlink: socket: %w", err)
	}
	c := &Conn{fd: fd, buf: make([]byte, 64<<10)}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return c, nil
}

func (c *Conn) prepare() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("netlink: bind: %w", err)
	}
	sa, err := unix.Getsockname(c.fd)
	if err != nil {
		return fmt.Errorf("netlink: name: %w", err)
	}
	if nl, ok := sa.(*unix.SockaddrNetlink); ok {
		c.port = nl.Pid
	}
	for _, o := range []int{unix.NETLINK_CAP_ACK, unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, o, 1); err != nil {
			return fmt.Errorf("netlink: socket option %d: %w", o, err)
		}
	}
	// The kernel answers before it returns from the request. The deadline only
	// keeps a kernel that does not from holding us for ever.
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}); err != nil {
		return fmt.Errorf("netlink: receive timeout: %w", err)
	}
	c.grow(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	c.grow(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	got, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return fmt.Errorf("netlink: receive buffer: %w", err)
	}
	c.limit = min(max(got/answerCost, 16), maxMessages)
	return nil
}

// grow asks for a large buffer, beyond the administrator's limit if we may. How
// much there is decides only how large a batch is.
func (c *Conn) grow(force, plain int) {
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, force, bufferWanted) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, plain, bufferWanted)
	}
}

// Close closes the socket.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return nil
	}
	err := unix.Close(c.fd)
	c.fd = -1
	return err
}

// Port is the socket's netlink port, which the kernel puts into the
// notifications of what was asked for here.
func (c *Conn) Port() uint32 { return c.port }

// Limit is how many messages may be sent at once without losing answers.
func (c *Conn) Limit() int { return c.limit }

// Exchange numbers and sends the messages in b, all in one system call, and
// appends the answer to each to answers[:0]: nil for success, ErrNoAnswer, or a
// *Refusal. A message without NLM_F_ACK has succeeded unless the kernel says
// otherwise. The error says that nothing could be sent or read.
func (c *Conn) Exchange(b []byte, answers []error) ([]error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answers = answers[:0]
	first := c.seq + 1
	for rest := b; len(rest) >= headerLen; {
		n := int(binary.NativeEndian.Uint32(rest))
		if n < headerLen || align(n) > len(rest) {
			return answers, fmt.Errorf("netlink: message of length %d in %d octets", n, len(rest))
		}
		c.seq++
		binary.NativeEndian.PutUint32(rest[8:], c.seq)
		var a error
		if binary.NativeEndian.Uint16(rest[6:])&unix.NLM_F_ACK != 0 {
			a = ErrNoAnswer
		}
		answers = append(answers, a)
		rest = rest[align(n):]
	}
	if err := c.send(b); err != nil {
		return answers, err
	}
	return answers, c.collect(first, answers)
}

func (c *Conn) send(b []byte) error {
	for {
		err := unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("netlink: send: %w", err)
		}
		return nil
	}
}

// collect reads until nothing is queued. The kernel has handled a request when
// the system call that sent it returns, so there is nothing to wait for.
func (c *Conn) collect(first uint32, answers []error) error {
	heard := make([]bool, len(answers)) // the first answer counts
	lost := false
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			for i := range answers {
				if lost && !heard[i] {
					answers[i] = ErrNoAnswer
				}
			}
			return nil
		case errors.Is(err, unix.ENOBUFS):
			lost = true
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("netlink: receive: %w", err)
		}
		each(c.buf[:n], func(m message) bool {
			if i := m.seq - first; m.kind == unix.NLMSG_ERROR && i < uint32(len(answers)) && !heard[i] {
				answers[i], heard[i] = m.refusal(), true
			}
			return true
		})
	}
}

// Dump sends the one request in b, which must have NLM_F_DUMP, and calls found
// with type and body of each answer. When the kernel says that what it lists
// has changed meanwhile, it asks again, after a call of restart, and gives up
// with ErrInterrupted after that many tries.
func (c *Conn) Dump(b []byte, tries int, restart func(), found func(kind uint16, body []byte)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range tries {
		restart()
		whole, err := c.dump(b, found)
		if err != nil {
			return err
		}
		if whole {
			return nil
		}
	}
	return ErrInterrupted
}

func (c *Conn) dump(b []byte, found func(kind uint16, body []byte)) (whole bool, err error) {
	c.seq++
	binary.NativeEndian.PutUint32(b[8:], c.seq)
	if err := c.send(b); err != nil {
		return false, err
	}
	whole = true
	for done := false; !done; {
		n, _, err := unix.Recvfrom(c.fd, c.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("netlink: dump: %w", err)
		}
		each(c.buf[:n], func(m message) bool {
			if m.seq != c.seq {
				return true
			}
			if m.flags&unix.NLM_F_DUMP_INTR != 0 {
				whole = false
			}
			switch m.kind {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				done = true
				if refused := m.refusal(); refused != nil {
					err = fmt.Errorf("netlink: dump: %w", refused)
				}
			default:
				found(m.kind, m.body)
			}
			return !done
		})
		if err != nil {
			return false, err
		}
	}
	return whole, nil
}
