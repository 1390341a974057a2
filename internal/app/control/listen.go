package control

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/config"
	"fairlead/internal/app/keyfile"
)

// listenUnix binds the socket. At no moment can anyone connect but root and the group: the kernel
// gives the file the mode that the socket has before it is bound.
func listenUnix(path, group string, log *slog.Logger) (*net.UnixListener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var failed error
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	gid, err := groupID(group)
	if err != nil {
		log.Warn("control socket: its group is unknown, only root can connect", "group", group)
		return l.(*net.UnixListener), nil
	}
	if err := errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660)); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), l.Close())
	}
	return l.(*net.UnixListener), nil
}

// removeStale removes the socket that a process left which is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("control socket: %s is there and no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("control socket: %s is another process's", path), c.Close())
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func groupID(group string) (int, error) {
	if n, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// loadTLS reads the certificate, the key, and the authority of the clients. It refuses a key that
// others can read, and files that others can write. An error does not name the path that could
// not be opened: somebody may have put a key in its place.
func loadTLS(c *config.ControlTLS) (*tls.Config, error) {
	key, err := keyfile.Secret(c.Key)
	if err != nil {
		return nil, fmt.Errorf("control.listen.key: %w", err)
	}
	certificate, err := keyfile.Public(c.Certificate)
	if err != nil {
		return nil, fmt.Errorf("control.listen.certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate.Text, key.Text)
	if err != nil {
		return nil, fmt.Errorf("control.listen: certificate and key: %w", err)
	}
	authority, err := keyfile.Public(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("control.listen.client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority.Text) {
		return nil, fmt.Errorf("control.listen.client-ca: %s: no certificate in it", c.ClientCA)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		NextProtos:   []string{"http/1.1"},
	}, nil
}

// The bounds of one listener.
const (
	maxConns    = 128
	maxPerOwner = 16 // of one user, or of one address
)

// bounded is a listener that closes connections above the number that one owner may have, so that
// nobody can keep the others out. Root on this machine is always let in.
type bounded struct {
	net.Listener
	log *slog.Logger

	mu    sync.Mutex // guards all following fields
	total int
	owned map[string]int
}

func newBounded(l net.Listener, log *slog.Logger) *bounded {
	return &bounded{Listener: l, log: log, owned: make(map[string]int)}
}

// conn is a counted connection that knows the caller.
type conn struct {
	net.Conn
	who     *caller // nil over TCP: the certificate comes later
	release func()
}

func (c *conn) Close() error {
	c.release()
	return c.Conn.Close()
}

// Accept waits for the next connection that may stay open.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted, err := b.admit(c); err == nil {
			return admitted, nil
		} else if closing := c.Close(); closing != nil {
			b.log.Debug("control: closing a refused connection", "reason", closing)
		} else {
			b.log.Debug("control: connection refused", "reason", err)
		}
	}
}

var errTooMany = errors.New("too many connections")

func (b *bounded) admit(c net.Conn) (*conn, error) {
	admitted := &conn{Conn: c}
	var owner string
	always := false
	if u, ok := c.(*net.UnixConn); ok {
		who, err := unixCaller(u)
		if err != nil {
			return nil, err
		}
		admitted.who, owner, always = who, strconv.FormatUint(uint64(who.uid), 10), who.uid == 0
	} else if host, _, err := net.SplitHostPort(c.RemoteAddr().String()); err == nil {
		owner = host
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !always && (b.total >= maxConns || b.owned[owner] >= maxPerOwner) {
		return nil, errTooMany
	}
	b.total++
	b.owned[owner]++
	admitted.release = sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.total--
		if b.owned[owner]--; b.owned[owner] == 0 {
			delete(b.owned, owner)
		}
	})
	return admitted, nil
}
