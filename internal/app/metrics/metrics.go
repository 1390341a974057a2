// Package metrics shows the figures of the relay, or of a guard, to Prometheus.
// It counts nothing itself: each scrape takes one snapshot, so
// that the figures of one scrape belong together.
//
// Labels come from bounded sets alone: links, peers, hops, directions, message types,
// reasons. A client's identity is never a label. The counters of the whole process
// are there from the start, with 0, so that an alert sees the first event. The
// counters of one link (fairlead_link_...) appear with the first thing that they
// count: a machine of 4 000 links would else have a hundred thousand series of zeros.
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

// Counters are the figures of api.Counters.
func Counters(look func(context.Context) (api.Counters, error)) prometheus.Collector {
	return newCollector(relayMetrics, look)
}

// Guard are the figures of a guard.
func Guard(look func(context.Context) (api.GuardStatus, error)) prometheus.Collector {
	return newCollector(guardMetrics, look)
}

// Relay4 are the figures of the DHCPv4 relay's own.
func Relay4(look func(context.Context) (api.Relay4, error)) prometheus.Collector {
	return newCollector(relay4Metrics, look)
}

// Server6 are the figures of the DHCPv6 server's own.
func Server6(look func(context.Context) (api.Server6, error)) prometheus.Collector {
	return newCollector(server6Metrics, look)
}

// Of are the figures of a role's own: the fields of T that have tags, as those of
// api.Counters have.
func Of[T any](look func(context.Context) (T, error)) prometheus.Collector {
	return newCollector(tagged[T](), look)
}

// Handler serves what was collected, and the health of what is called name: why it is
// degraded, in words.
func Handler(name string, degraded func(context.Context) ([]string, error), figures ...prometheus.Collector) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(figures...)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
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
