// Package metrics shows the figures of the relay, or of a guard, to Prometheus. It counts nothing
// itself: each scrape takes one snapshot, so that its figures belong together.
//
// The values of labels come from bounded sets alone: links, peers, hops, directions, message
// types, reasons. A client's identity is never a label. The counters of the whole process are
// there from the start, with 0, so that an alert sees the first event. A counter of one link
// (fairlead_link_...) appears when it first counts something: else a machine with 4 000 links
// would have a hundred thousand series of zeros.
package metrics

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"fairlead/internal/app/api"
)

// Counters shows the figures of api.Counters.
func Counters(look func(context.Context) (api.Counters, error)) prometheus.Collector {
	return newCollector(relayMetrics, look)
}

// Guard shows the figures of a guard.
func Guard(look func(context.Context) (api.GuardStatus, error)) prometheus.Collector {
	return newCollector(guardMetrics, look)
}

// Relay4 shows the figures that only the DHCPv4 relay has.
func Relay4(look func(context.Context) (api.Relay4, error)) prometheus.Collector {
	return newCollector(relay4Metrics, look)
}

// Server6 are the figures of the DHCPv6 server's own.
func Server6(look func(context.Context) (api.Server6, error)) prometheus.Collector {
	return newCollector(server6Metrics, look)
}

// Of shows the figures that only one role has: the fields of T that have tags, as those of
// api.Counters have.
func Of[T any](look func(context.Context) (T, error)) prometheus.Collector {
	return newCollector(tagged[T](), look)
}

// Handler serves the figures, and at /healthz the health of the process of this name: degraded
// says in words what does not work as it should.
func Handler(name string, degraded func(context.Context) ([]string, error), figures ...prometheus.Collector) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(figures...)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { healthz(w, r, name, degraded) })
	return mux
}

// healthz answers 200 as long as the process answers at all. If something does not work as it
// should, the text says so: a restart would not help.
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
