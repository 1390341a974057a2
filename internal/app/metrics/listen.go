package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/config"
)

// The bounds of the listener.
const (
	maxConns     = 64
	maxScrapes   = 4 // at the same time
	answerWithin = 5 * time.Second
	retryEvery   = 2 * time.Second
)

// Server answers scrapes at one address. The relay works without it: where another program has
// the address, or no interface has it yet, that is logged, shown by Trouble, and tried again.
type Server struct {
	off     bool
	address string
	handler http.Handler
	log     *slog.Logger

	mu       sync.Mutex // guards all following fields
	listener net.Listener
	trouble  error // why listener is nil
}

// Listen makes a Server for the address of c, and tries to open it at once. Run answers scrapes
// by h, a Handler. Without an address nothing is answered.
func Listen(c config.Metrics, h http.Handler, log *slog.Logger) *Server {
	s := &Server{off: !c.Listen.IsValid(), address: c.Listen.String(), handler: h, log: log}
	s.open()
	return s
}

// Trouble says why no scrape can be answered; it is empty where they can.
func (s *Server) Trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble == nil {
		return ""
	}
	return "metrics: " + s.trouble.Error()
}

// open opens the address if it is not open, and logs an error that is new.
func (s *Server) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off || s.listener != nil {
		return
	}
	before := s.trouble
	s.listener, s.trouble = net.Listen("tcp", s.address)
	switch {
	case s.trouble != nil && (before == nil || before.Error() != s.trouble.Error()):
		s.log.Warn("metrics are not served: the address is tried again until it can be opened", "address", s.address, "error", s.trouble)
	case s.trouble == nil && before != nil:
		s.log.Info("metrics are served", "address", s.address)
	}
}

// Close closes the address.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Run answers until ctx ends, and closes the address.
func (s *Server) Run(ctx context.Context) error {
	if s.off {
		return nil
	}
	again := time.NewTicker(retryEvery)
	defer again.Stop()
	for s.Trouble() != "" {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			s.open()
		}
	}
	bounded := &boundedListener{Listener: s.listener}
	web := &http.Server{
		Handler:           bounded.marked(s.handler),
		ConnContext:       remember,
		ReadHeaderTimeout: answerWithin,
		ReadTimeout:       2 * answerWithin,
		WriteTimeout:      12 * answerWithin,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		// An error of a connection concerns only its caller.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(bounded) }()
	select {
	case err := <-served:
		return fmt.Errorf("metrics: %w", err)
	case <-ctx.Done():
	}
	err := web.Close()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// boundedListener is a listener that holds at most maxConns connections. One more takes the place
// of the oldest connection on which no request is being answered, or else of the oldest. So
// callers who connect and ask nothing, however many they are, cannot keep out those who ask.
type boundedListener struct {
	net.Listener

	mu    sync.Mutex     // guards all following fields
	conns []*boundedConn // the oldest first
}

// boundedConn is one connection.
type boundedConn struct {
	net.Conn
	of    *boundedListener
	asked bool // a request on it is being answered; guarded by of.mu
}

// Accept waits for the next connection.
func (c *boundedListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &boundedConn{Conn: conn, of: c}
	if victim := c.admit(v); victim != nil {
		_ = victim.Conn.Close() // the goroutines that use it get an error, and end
	}
	return v, nil
}

// admit takes in a connection, and returns the one that has to be closed for it, or nil.
func (c *boundedListener) admit(v *boundedConn) (victim *boundedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) >= maxConns {
		i := max(0, slices.IndexFunc(c.conns, func(o *boundedConn) bool { return !o.asked }))
		victim = c.conns[i]
		c.conns = slices.Delete(c.conns, i, i+1)
	}
	c.conns = append(c.conns, v)
	return victim
}

// Close ends one connection.
func (v *boundedConn) Close() error {
	v.of.mu.Lock()
	if i := slices.Index(v.of.conns, v); i >= 0 {
		v.of.conns = slices.Delete(v.of.conns, i, i+1)
	}
	v.of.mu.Unlock()
	return v.Conn.Close()
}

// connKey is the key of the connection in the context of a request.
type connKey struct{}

func remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// marked marks the connection of each request while h answers the request.
func (c *boundedListener) marked(h http.Handler) http.Handler {
	mark := func(r *http.Request, asked bool) {
		if v, ok := r.Context().Value(connKey{}).(*boundedConn); ok {
			c.mu.Lock()
			v.asked = asked
			c.mu.Unlock()
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mark(r, true)
		defer mark(r, false)
		h.ServeHTTP(w, r)
	})
}
