package metrics

import (
	"runtime"
	"slices"

	"fairlead/internal/app/api"
)

// guardMetrics are all metrics of a guard; testdata/guard-metrics.txt lists them. A metric that
// the relay has too means the same there.
var guardMetrics = slices.Concat(tagged[api.GuardStatus](), []metric[api.GuardStatus]{
	{
		"build_info", "The version that runs; always 1.", gauge,
		[]string{"version", "go"},
		func(s *api.GuardStatus, emit emit) { emit(1, s.Version, runtime.Version()) },
	},
}, protection(
	func(s *api.GuardStatus) []api.PeerProtection { return s.Peers },
	func(s *api.GuardStatus) api.Traffic { return s.Strangers },
))
