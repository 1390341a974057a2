package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/app/config"
)

// bounds are the times that callers and the Backend are given.
type bounds struct {
	request time.Duration // to send a request, header and body
	answer  time.Duration // for the Backend to look something up
	deed    time.Duration // for the Backend to change something
	write   time.Duration // for the caller to take an answer, or one event
	beat    time.Duration // between two signs of life on a stream
}

var defaultBounds = bounds{
	request: 10 * time.Second,
	answer:  10 * time.Second,
	deed:    time.Minute,
	write:   30 * time.Second,
	beat:    15 * time.Second,
}

// Server is the control interface of one process.
type Server struct {
	routes []Route
	log    *slog.Logger
	audit  *audit
	access atomic.Pointer[access]
	tls    atomic.Pointer[tls.Config]
	bounds bounds

	unix *net.UnixListener
	tcp  net.Listener // nil: none
}

// Listen opens the Unix socket, and the TCP socket if one is configured. Connections wait until
// Run. If two routes have the same pattern, the first one counts.
func Listen(p *config.Process, routes []Route, log *slog.Logger) (*Server, error) {
	c := &p.Control
	a, err := newAudit(p.Audit.File, log)
	if err != nil {
		return nil, err
	}
	s := &Server{routes: routes, log: log, audit: a, bounds: defaultBounds}
	s.access.Store(newAccess(c, s.unknownAccount))
	if c.Listen != nil {
		t, err := loadTLS(c.Listen)
		if err != nil {
			return nil, err
		}
		s.tls.Store(t)
		if s.tcp, err = net.Listen("tcp", c.Listen.Address.String()); err != nil {
			return nil, fmt.Errorf("control: %w", err)
		}
	}
	if s.unix, err = listenUnix(c.Socket, c.Group, log); err != nil {
		if s.tcp != nil {
			err = errors.Join(err, s.tcp.Close())
		}
		return nil, err
	}
	return s, nil
}

func (s *Server) unknownAccount(name string) {
	s.log.Warn("control: an account of the configuration is unknown here", "account", name)
}

// Reconfigure takes the new rights, audit log and certificates. They hold for open connections as
// well. The sockets stay as they are; NeedsRestart tells whether they should not. An error means
// that nothing has changed.
func (s *Server) Reconfigure(p *config.Process) error {
	c := &p.Control
	var t *tls.Config
	if s.tls.Load() != nil && c.Listen != nil {
		var err error
		if t, err = loadTLS(c.Listen); err != nil {
			return err
		}
	}
	if err := s.audit.use(p.Audit.File); err != nil {
		return err
	}
	if t != nil {
		s.tls.Store(t)
	}
	s.access.Store(newAccess(c, s.unknownAccount))
	return nil
}

// NeedsRestart reports whether two configurations differ in what a running
// Server cannot change: its sockets.
func NeedsRestart(old, next *config.Control) bool {
	if old.Socket != next.Socket || old.Group != next.Group || (old.Listen == nil) != (next.Listen == nil) {
		return true
	}
	return old.Listen != nil && old.Listen.Address != next.Listen.Address
}

// Run serves until ctx ends. Then it closes the sockets and ends all streams.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	web := &http.Server{
		Handler:           s.bounded(),
		ReadHeaderTimeout: s.bounds.request,
		ReadTimeout:       s.bounds.request,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       rememberCaller,
	}
	listeners := []net.Listener{newBounded(s.unix, s.log)}
	if s.tcp != nil {
		listeners = append(listeners, tls.NewListener(newBounded(s.tcp, s.log), &tls.Config{
			MinVersion: tls.VersionTLS13,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return s.tls.Load(), nil
			},
		}))
	}
	for _, l := range listeners {
		group.Go(func() error {
			if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("control: %w", err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := web.Shutdown(grace); err != nil {
			return web.Close()
		}
		return nil
	})
	return group.Wait()
}

type callerKey struct{}

// rememberCaller puts the caller into the context of a connection.
func rememberCaller(ctx context.Context, c net.Conn) context.Context {
	if known, ok := c.(*conn); ok && known.who != nil {
		return context.WithValue(ctx, callerKey{}, known.who)
	}
	return ctx
}

// callerOf is the caller who sent a request. The error says that the caller is not known.
func callerOf(r *http.Request) (*caller, error) {
	if who, ok := r.Context().Value(callerKey{}).(*caller); ok {
		return who, nil
	}
	if r.TLS == nil {
		return nil, errors.New("caller: unknown")
	}
	return tlsCaller(r.TLS)
}
