package control

import (
	"context"

	"fairlead/internal/app/api"
)

// GuardBackend is what the control interface asks of a guard.
type GuardBackend interface {
	Status(ctx context.Context) (api.GuardStatus, error)
}

// Guard are the paths of a guard, whose status is another one than Process's.
func Guard(b GuardBackend) []Route {
	return []Route{
		Look("/v1/status", func(ctx context.Context) (api.GuardStatus, error) {
			status, err := b.Status(ctx)
			return wholeGuard(status), err
		}),
	}
}

// wholeGuard has an empty list where there was none, which JSON would call null.
func wholeGuard(g api.GuardStatus) api.GuardStatus {
	g.Peers, _ = list(g.Peers, nil)
	g.Programs, _ = list(g.Programs, nil)
	g.Degraded, _ = list(g.Degraded, nil)
	return g
}
