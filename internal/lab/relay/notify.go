package relay

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
)

// notifications receives what a program tells systemd (sd_notify): datagrams of lines such as
// READY=1.
type notifications struct {
	path string
	conn *net.UnixConn
	done chan struct{}

	mu    sync.Mutex // guards all following fields
	lines []string
}

// listenNotifications opens the socket for NOTIFY_SOCKET. A socket with a path
// can be reached from every network namespace.
func listenNotifications(path string) (*notifications, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	n := &notifications{path: path, conn: conn, done: make(chan struct{})}
	go n.listen()
	return n, nil
}

func (n *notifications) listen() {
	defer close(n.done)
	buffer := make([]byte, 1<<12)
	for {
		size, _, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		n.mu.Lock()
		n.lines = append(n.lines, strings.Split(strings.TrimSpace(string(buffer[:size])), "\n")...)
		n.mu.Unlock()
	}
}

// forget forgets all lines so far.
func (n *notifications) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = nil
}

// heard reports whether a line has come since the last forget.
func (n *notifications) heard(line string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.lines, line)
}

func (n *notifications) close() error {
	err := n.conn.Close()
	<-n.done
	return err
}
