package control_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/control/controltest"
	"fairlead/internal/lab/labtest"
)

var discard = slog.New(slog.DiscardHandler)

// A request whose header or body never ends is cut off.
func TestSlowRequests(t *testing.T) {
	s := serve(t, nil, func(s *control.Server) { s.SetBounds(100*time.Millisecond, time.Minute, time.Minute, time.Minute) })
	for name, begin := range map[string]string{
		"nothing": "",
		"header":  "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-A: ",
		"body":    "POST /v1/clear HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("unix", s.config.Control.Socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(labtest.Patience)); err != nil {
				t.Fatal(err)
			}
			// On a slow machine, the connection may be closed by now.
			if _, err := io.WriteString(c, begin); err != nil && !errors.Is(err, syscall.EPIPE) {
				t.Fatal(err)
			}
			if answer, err := io.ReadAll(c); err != nil && !errors.Is(err, syscall.ECONNRESET) || strings.Contains(string(answer), " 200 ") {
				t.Errorf("answer %q, %v, want the connection closed without a success", answer, err)
			}
		})
	}
	if n := len(s.fake.Deeds); n != 0 {
		t.Errorf("%d deeds were done", n)
	}
}

func TestHeaderTooLarge(t *testing.T) {
	s := serve(t, nil, nil)
	r, err := http.NewRequestWithContext(within(t), http.MethodGet, "http://x/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-A", strings.Repeat("x", 64<<10))
	answer, err := s.raw().Do(r)
	if err != nil {
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("err = %v, want a refusal", err)
		}
		return
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("code %d, want %d", answer.StatusCode, http.StatusRequestHeaderFieldsTooLarge)
	}
}

// crowd opens one connection more than one user may have, and prints how many stay open.
func crowd(socket string) error {
	var open []net.Conn
	for range control.MaxPerOwner + 1 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		defer c.Close()
		open = append(open, c)
	}
	// They are accepted in order, so the last one is closed.
	last := open[len(open)-1]
	if err := last.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if n, err := last.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the last connection: %d octets, %w", n, err)
	}
	first := open[0]
	if _, err := io.WriteString(first, "GET /v1/status HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(first, answer); err != nil {
		return err
	}
	fmt.Printf("%s\n", answer)
	return nil
}

// One user's connections are bounded, so that nobody locks the others out.
func TestConnectionsPerUser(t *testing.T) {
	s := serve(t, func(c *config.Config) {
		c.Control.Group = fmt.Sprint(socketGroup)
		c.Control.Readers = numbers(20002)
	}, nil)
	who := account{20002, []uint32{socketGroup}}
	for range 2 { // closed connections are not counted any more
		if got, _ := doAs(t, who, "crowd", s.config.Control.Socket); got != "HTTP/1.0 200" {
			t.Errorf("crowd: %q, want the first served and the last closed", got)
		}
	}
	if _, err := s.Status(within(t)); err != nil {
		t.Errorf("root: %v", err)
	}
}

func TestSocketFile(t *testing.T) {
	s := serve(t, func(c *config.Config) { c.Control.Group = fmt.Sprint(socketGroup) }, nil)
	info, err := os.Stat(s.config.Control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if info.Mode() != fs.ModeSocket|0o660 || stat.Uid != 0 || stat.Gid != socketGroup {
		t.Errorf("socket: %v of %d:%d, want srw-rw---- of 0:%d", info.Mode(), stat.Uid, stat.Gid, socketGroup)
	}
}

// Without its group only root can connect, and the log says so.
func TestSocketGroupUnknown(t *testing.T) {
	s := serve(t, func(c *config.Config) { c.Control.Group = "no-such-group-here" }, nil)
	info, err := os.Stat(s.config.Control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("socket: %v, want srw-------", info.Mode())
	}
	if !strings.Contains(s.log.String(), "group=no-such-group-here") {
		t.Errorf("log lacks the group:\n%s", s.log)
	}
}

func TestSocketInTheWay(t *testing.T) {
	dir := t.TempDir()
	listen := func(path string) (*control.Server, error) {
		c := config.Default()
		c.Control.Socket, c.Control.Group = path, "0"
		return control.Listen(&c.Process, controltest.New().Routes(), discard)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in the way: err = %v, want one that says so", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file in the way: %q, %v", b, err)
	}

	other := serve(t, nil, nil)
	if _, err := listen(other.config.Control.Socket); err == nil || !strings.Contains(err.Error(), "another process's") {
		t.Errorf("a socket in use: err = %v, want one that says so", err)
	}
	if _, err := other.Status(within(t)); err != nil {
		t.Errorf("the socket in use afterwards: %v", err)
	}

	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(stale); err != nil {
		t.Errorf("a socket that nobody listens on: %v", err)
	}
}

// Addresses over TCP are bounded in the same way.
func TestBoundedListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := control.NewBounded(l, discard)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	var first net.Conn
	for range control.MaxPerOwner {
		dial()
		if c := <-accepted; first == nil {
			first = c
		}
	}
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many: err = %v, want it closed", err)
	}
	if err := errors.Join(first.Close(), ignoreClosed(first.Close())); err != nil { // closed twice, and counted once
		t.Fatal(err)
	}
	dial()
	select {
	case <-accepted:
	case <-time.After(30 * time.Second):
		t.Error("no room although one has gone")
	}
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("one too many again: err = %v, want it closed", err)
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
