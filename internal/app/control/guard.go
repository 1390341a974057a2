package control

import (
	"context"

	"fairlead/internal/app/api"
)

// GuardBackend is what the control interface asks of a guard.
type GuardBackend interface {
	Status(ctx context.Context) (api.GuardStatus, error)
}

// Guard are the paths of a guard. Its status is not that of Process.
func Guard(b GuardBackend) []Route {
	return []Route{
		Look("/v1/status", func(ctx context.Context) (api.GuardStatus, error) {
			status, err := b.Status(ctx)
			return wholeGuard(status), err
		}),
	}
}

// wholeGuard replaces a nil list by an empty one, because JSON would say null.
func wholeGuard(g api.GuardStatus) api.GuardStatus {
	g.Peers, _ = list(g.Peers, nil)
	g.Programs, _ = list(g.Programs, nil)
	g.Degraded, _ = list(g.Degraded, nil)
	return g
}
