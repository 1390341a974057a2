package control

import (
	"context"
	"net/http"

	"fairlead/internal/app/api"
)

// GuardBackend is what the control interface of "fairlead guard" asks and
// commands, as Backend is for the relay.
type GuardBackend interface {
	Status(ctx context.Context) (api.GuardStatus, error)
	// Reload reads the configuration file again, and says what that changes: peers,
	// settings and warnings. A file with errors changes nothing, and comes back as
	// config.Problems.
	Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error)
	// Watch closes its channel soon after the context is done, and never waits
	// for a reader: see Feed.
	Watch(ctx context.Context) (<-chan api.Event, error)
}

// Guard are all paths of a guard's interface.
func Guard(b GuardBackend) Routes { return func(s *Server) http.Handler { return s.guardRoutes(b) } }

func (s *Server) guardRoutes(b GuardBackend) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", query(s, noFilter, func(ctx context.Context, _ struct{}) (api.GuardStatus, error) {
		status, err := b.Status(ctx)
		return wholeGuard(status), err
	}))
	mux.Handle("GET /v1/watch", stream(s, noFilter, func(ctx context.Context, _ struct{}) (<-chan api.Event, error) { return b.Watch(ctx) }))
	mux.Handle("POST /v1/reload", reload(s, b.Reload))
	return s.bounded(mux)
}

// wholeGuard has an empty list where there was none, which JSON would call null.
func wholeGuard(g api.GuardStatus) api.GuardStatus {
	g.Peers, _ = list(g.Peers, nil)
	g.Programs, _ = list(g.Programs, nil)
	g.Degraded, _ = list(g.Degraded, nil)
	return g
}
