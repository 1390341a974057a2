package metrics

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
)

// GuardBackend is where the figures of "fairlead guard" come from;
// control.GuardBackend has all of it.
type GuardBackend interface {
	Status(ctx context.Context) (api.GuardStatus, error)
}

// ListenGuard is Listen for a guard.
func ListenGuard(c config.Metrics, b GuardBackend, log *slog.Logger) *Server {
	return listen(c, guardHandler(b), log)
}

// guardMetrics are all that a guard has; testdata/guard-metrics.txt lists them.
// What the relay has as well means the same there.
var guardMetrics = slices.Concat([]metric[api.GuardStatus]{
	{
		"build_info", "The version that runs; always 1.", gauge,
		[]string{"version", "go"},
		func(s *api.GuardStatus, emit emit) { emit(1, s.Version, runtime.Version()) },
	},
	{
		"start_time_seconds", "When the process started, in seconds since 1970.", gauge, nil,
		instant(func(s *api.GuardStatus) time.Time { return s.Started }),
	},
	{
		"degraded_reasons", "How many things do not work as they should; fairlead guard status says which.", gauge, nil,
		one(func(s *api.GuardStatus) int { return len(s.Degraded) }),
	},
	{
		"config_loaded_timestamp_seconds", "When the configuration that runs was read.", gauge, nil,
		instant(func(s *api.GuardStatus) time.Time { return s.Config.Loaded }),
	},
	{
		"unprotected_programs", "DHCP programs on this host that IPsec cannot protect; fairlead guard status names them.", gauge, nil,
		one(func(s *api.GuardStatus) int { return len(s.Programs) }),
	},
}, protection(func(s *api.GuardStatus) []protectedPeer {
	peers := make([]protectedPeer, len(s.Peers))
	for i := range s.Peers {
		peers[i] = protectedPeer{s.Peers[i].Name, s.Peers[i].Protection, s.Peers[i].Protected, s.Peers[i].Hops}
	}
	return peers
}, func(s *api.GuardStatus) api.Traffic { return s.Strangers }))
