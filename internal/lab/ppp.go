package lab

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// PPPEnd says how a pppd of a Dial is started.
type PPPEnd struct {
	Node *Node
	// Program names the program's folder and log in the node.
	Program string
	// ID is the interface identifier that this end proposes: "::a" for fe80::a.
	ID string
	// Options are further arguments for pppd: "ifname", "c0".
	Options []string
}

// Call is a PPP link between two nodes: a pppd at each end, and between them a serial line, made
// of two pseudo-terminals. It needs a kernel with PPP.
type Call struct {
	// Interfaces are the names of the interfaces at the two ends.
	Interfaces [2]string

	procs   [2]*Proc
	masters [2]*os.File
	slaves  [2]*os.File
	idle    sync.WaitGroup
	once    sync.Once
	err     error
}

// dialled is how long two pppd may take to agree.
const dialled = 2 * time.Minute

// Dial joins two nodes by PPP with IPv6 alone, and waits until both ends have their link-local
// addresses.
func (n *Net) Dial(ends ...PPPEnd) (*Call, error) {
	c := &Call{}
	n.OnClose(c.HangUp)
	for i, e := range ends {
		tty, err := c.open(i)
		if err != nil {
			return nil, fmt.Errorf("lab: pseudo-terminal: %w", err)
		}
		if c.procs[i], err = e.Node.Start(Command{Name: e.Program, Args: append([]string{
			"pppd", tty, "nodetach", "local", "nocrtscts", "noauth", "noip", "+ipv6", "ipv6", e.ID,
		}, e.Options...)}); err != nil {
			return nil, err
		}
	}
	c.idle.Add(2)
	go carry(&c.idle, c.masters[0], c.masters[1])
	go carry(&c.idle, c.masters[1], c.masters[0])
	for i, p := range c.procs {
		if err := p.Logged(dialled, "remote LL address"); err != nil {
			return nil, err
		}
		c.Interfaces[i] = connected.FindStringSubmatch(p.Log())[1]
	}
	return c, nil
}

// connected matches the line of the log in which pppd names its interface.
var connected = regexp.MustCompile(`Connect: (\S+) <-->`)

// HangUp cuts the line and waits until both pppd have ended, and with them their
// interfaces.
func (c *Call) HangUp() error {
	c.once.Do(func() {
		for _, f := range slices.Concat(c.masters[:], c.slaves[:]) {
			if f != nil {
				c.err = errors.Join(c.err, f.Close())
			}
		}
		c.idle.Wait()
		for _, p := range c.procs {
			if p == nil {
				continue
			}
			// Its exit status says why it ended, and depends on which end was first.
			if err := Until(dialled, "pppd hangs up", func() bool { return !p.Running() }); err != nil {
				c.err = errors.Join(c.err, fmt.Errorf("%w\n%s", err, tail(p.Log(), 15)))
			}
		}
	})
	return c.err
}

// open makes the pseudo-terminal of an end, and returns its name. The line carries all octets
// unchanged, even before pppd has set it so: with an echo, each end would receive its own octets
// as if they came from the other end.
func (c *Call) open(i int) (string, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	c.masters[i] = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return "", err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return "", err
	}
	// As we have the other side open as well, it does not matter which pppd starts first.
	name := fmt.Sprintf("/dev/pts/%d", number)
	if c.slaves[i], err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return "", err
	}
	raw := &unix.Termios{Cflag: unix.B115200 | unix.CS8 | unix.CREAD | unix.CLOCAL}
	raw.Cc[unix.VMIN] = 1
	return name, unix.IoctlSetTermios(int(c.slaves[i].Fd()), unix.TCSETS, raw)
}
