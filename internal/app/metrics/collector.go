package metrics

import (
	"context"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/control"
)

// metric is one metric: what it is called, and how it is read from a snapshot.
type metric struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	read   func(c *control.Counters, emit emit)
}

// emit takes one sample with the values of the metric's labels.
type emit func(value float64, labels ...string)

// Collector turns one snapshot of the Backend into one scrape.
type Collector struct {
	backend Backend
	descs   []*prometheus.Desc // as metrics
}

// NewCollector is a collector for a registry of its own.
func NewCollector(b Backend) *Collector {
	c := &Collector{backend: b}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc("fairlead_"+m.name, m.help, m.labels, nil))
	}
	return c
}

// Describe names all metrics that there can be.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect takes one snapshot. Without an answer the scrape fails as a whole: old
// figures would be worse than none.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	counters, err := c.backend.Counters(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i, m := range metrics {
		m.read(&counters, func(value float64, labels ...string) {
			for j, l := range labels {
				labels[j] = strings.ToValidUTF8(l, "?") // the kernel takes any octets for a link's name
			}
			out <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, labels...)
		})
	}
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// one reads a metric that has no labels.
func one[N int | int64 | uint64 | float64](read func(*control.Counters) N) func(*control.Counters, emit) {
	return func(c *control.Counters, emit emit) { emit(float64(read(c))) }
}

// flag reads a metric that is 1 or 0.
func flag(read func(*control.Counters) bool) func(*control.Counters, emit) {
	return func(c *control.Counters, emit emit) { emit(truth(read(c))) }
}

// instant reads a time, which is absent while there is none.
func instant(read func(*control.Counters) time.Time) func(*control.Counters, emit) {
	return func(c *control.Counters, emit emit) { at(read(c), emit) }
}

// each reads a map from the only label to its count.
func each(read func(*control.Counters) map[string]uint64) func(*control.Counters, emit) {
	return func(c *control.Counters, emit emit) { spread(read(c), emit) }
}

// spread emits a map in the order of its keys, each behind the labels.
func spread(counts map[string]uint64, emit emit, labels ...string) {
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		emit(float64(counts[k]), append(slices.Clip(labels), k)...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func at(t time.Time, emit emit, labels ...string) {
	if !t.IsZero() {
		emit(float64(t.UnixNano())/1e9, labels...)
	}
}

func buildInfo(c *control.Counters, emit emit) { emit(1, c.Version, runtime.Version()) }
