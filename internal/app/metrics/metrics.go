// Package metrics shows the figures of the relay, or of a guard, to Prometheus.
// It counts nothing itself: each scrape takes one snapshot from the Backend, so
// that the figures of one scrape belong together.
//
// Labels come from bounded sets alone: links, peers, hops, directions, message types,
// reasons. A client's identity is never a label. Counters of a link appear with
// the first thing that they count; a machine of 4 000 links would else have a
// hundred thousand series of zeros.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
)

// Backend is where the figures come from; control.Backend has all of it.
type Backend interface {
	Counters(ctx context.Context) (control.Counters, error)
	Status(ctx context.Context) (control.Status, error)
}

// The bounds of the listener.
const (
	maxConns     = 32
	maxScrapes   = 4 // at the same time
	answerWithin = 5 * time.Second
)

// Server is a socket at which the figures can be had. It is open, and takes
// connections, before Run answers them.
type Server struct {
	listener net.Listener
	handler  http.Handler
}

// Listen opens a Server where c says, which must be somewhere. An address that
// another program has is an error that wraps EADDRINUSE.
func Listen(c config.Metrics, b Backend) (*Server, error) {
	return listen(c, relayHandler(b))
}

func listen(c config.Metrics, h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", c.Listen.String())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &Server{l, h}, nil
}

// Close closes the socket of a Server that may not have run.
func (s *Server) Close() error {
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Run answers until ctx ends, and closes the socket.
func (s *Server) Run(ctx context.Context) error {
	web := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: answerWithin,
		ReadTimeout:       2 * answerWithin,
		WriteTimeout:      12 * answerWithin,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		// What goes wrong with a caller is the caller's to see.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(netutil.LimitListener(s.listener, maxConns)) }()
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

func relayHandler(b Backend) http.Handler {
	return handler(newCollector(relayMetrics, b.Counters), "relay", func(ctx context.Context) ([]string, error) {
		s, err := b.Status(ctx)
		return s.Degraded, err
	})
}

func guardHandler(b GuardBackend) http.Handler {
	return handler(newCollector(guardMetrics, b.Status), "guard", func(ctx context.Context) ([]string, error) {
		s, err := b.Status(ctx)
		return s.Degraded, err
	})
}

// handler serves what a collector collects, and the health of what is called
// name: why it is degraded, in words.
func handler(c prometheus.Collector, name string, degraded func(context.Context) ([]string, error)) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { healthz(w, r, name, degraded) })
	return mux
}

// healthz answers 200 as long as there are answers at all, even if something is
// degraded: then the text says why. A restart would mend nothing.
func healthz(w http.ResponseWriter, r *http.Request, name string, degraded func(context.Context) ([]string, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	text := "ok\n"
	reasons, err := degraded(ctx)
	switch {
	case err != nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "the " + name + " does not answer: " + err.Error() + "\n"
	case len(reasons) > 0:
		text = "degraded: " + strings.Join(reasons, "; ") + "\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return // the caller has gone
	}
}
