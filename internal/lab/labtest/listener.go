package labtest

import (
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/lab"
)

// MarkerPort is the UDP port of test packets. Their payload names them.
const MarkerPort = 9999

// Listener receives test packets that arrive at a node.
type Listener struct {
	t    testing.TB
	file *os.File

	mu    sync.Mutex // guards all following fields
	names []string
}

// Listen opens a socket for test packets on all addresses of a node.
func Listen(t testing.TB, d *lab.Node) *Listener {
	t.Helper()
	l := &Listener{t: t}
	Need(t, d.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		l.file = os.NewFile(uintptr(fd), "marks")
		return unix.Bind(fd, &unix.SockaddrInet6{Port: MarkerPort})
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 2048)
		for {
			n, err := l.file.Read(buffer)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.names = append(l.names, string(buffer[:n]))
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.file.Close()
		<-done
	})
	return l
}

// Got returns the names of the packets that have arrived so far.
func (l *Listener) Got() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.names)
}

// Forget forgets the packets that have arrived so far.
func (l *Listener) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = nil
}

// Wait waits until a packet has arrived.
func (l *Listener) Wait(name string) {
	l.t.Helper()
	Until(l.t, "packet "+name+" arrives", func() bool { return slices.Contains(l.Got(), name) })
}
