package metrics

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is one metric: its name and help, and how it is read from a snapshot.
type metric[T any] struct {
	name   string
	help   string
	kind   prometheus.ValueType
	labels []string
	read   func(snapshot *T, emit emit)
}

// emit adds one sample, with the values of the metric's labels.
type emit func(value float64, labels ...string)

// collector makes one scrape from one snapshot.
type collector[T any] struct {
	look    func(context.Context) (T, error)
	metrics []metric[T]
	descs   []*prometheus.Desc // one for each of metrics
}

// newCollector makes a collector of these metrics.
func newCollector[T any](metrics []metric[T], look func(context.Context) (T, error)) *collector[T] {
	c := &collector[T]{look: look, metrics: metrics}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc("fairlead_"+m.name, m.help, m.labels, nil))
	}
	return c
}

// Describe names all metrics that there can be.
func (c *collector[T]) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect takes one snapshot. Without a snapshot the whole scrape fails: old figures would be
// worse than none.
func (c *collector[T]) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	snapshot, err := c.look(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(c.descs[0], err)
		return
	}
	for i, m := range c.metrics {
		m.read(&snapshot, func(value float64, labels ...string) {
			texts := make([]string, len(labels))
			for j, l := range labels {
				texts[j] = strings.ToValidUTF8(l, "?") // to the kernel, any octets are a link's name
			}
			out <- prometheus.MustNewConstMetric(c.descs[i], m.kind, value, texts...)
		})
	}
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// spread emits the values of a map in the order of its keys. The key is the last label.
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
