package metrics

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/app/api"
)

// Every kind of field that can have a tag, and its metric.
func TestTagged(t *testing.T) {
	type part struct {
		Full bool `gauge:"full" help:"1 if full."`
	}
	type whole struct {
		part // not exported: not looked into
		Part part
		In   uint64            `json:"in" counter:"seen_total" labels:"direction=in" help:"Seen."`
		Out  int               `counter:"seen_total" labels:"direction=out"`
		Why  map[string]uint64 `counter:"drops_total" labels:"kind=a" by:"reason" help:"Dropped."`
		When time.Time         `gauge:"seen_timestamp_seconds" help:"When."`
		None time.Time         `gauge:"never_timestamp_seconds" help:"Never."`
		List []string          `gauge:"warnings" help:"How many."`
		Not  uint64            `json:"not"`
	}
	w := whole{Part: part{Full: true}, In: 3, Out: 4, Why: map[string]uint64{"x": 5, "b": 6}, When: time.Unix(7, 5e8), List: []string{"", ""}, Not: 9}
	type sample struct {
		Name, Help string
		Labels     []string
		Value      float64
		Values     []string
	}
	var got []sample
	for _, m := range tagged[whole]() {
		m.read(&w, func(value float64, labels ...string) {
			got = append(got, sample{m.name, m.help, m.labels, value, labels})
		})
	}
	want := []sample{
		{"full", "1 if full.", nil, 1, nil},
		{"seen_total", "Seen.", []string{"direction"}, 3, []string{"in"}},
		{"seen_total", "Seen.", []string{"direction"}, 4, []string{"out"}},
		{"drops_total", "Dropped.", []string{"kind", "reason"}, 6, []string{"a", "b"}},
		{"drops_total", "Dropped.", []string{"kind", "reason"}, 5, []string{"a", "x"}},
		{"seen_timestamp_seconds", "When.", nil, 7.5, nil},
		{"warnings", "How many.", nil, 2, nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

// computed are the figures without a tag, each with the metric that shows it, or with the reason
// why no metric does.
var computed = map[string]string{
	"Counters.Unknown":        "link_drops_total",
	"Clock.OffsetNanos":       "clock_offset_seconds",
	"Clock.MaxErrorMicros":    "clock_max_error_seconds",
	"Clock.EstErrorMicros":    "the upper bound is shown",
	"HostCounts.Links":        "link_up has each that faces clients",
	"HostCounts.Delegations":  "delegations",
	"HostStatus.LastFindings": "host_findings_total",
	"Figures.Links":           "link_up has each that faces clients",
	"Figures.Prefixes":        "delegations",
	"Figures.Addresses":       "delegations",
	"Progress.Uninstalled":    "degraded_reasons; install_failures_total counts the operations",
	"Totals.UnknownDrops":     "link_drops_total",
	"Totals.Refusals":         "refusals_total",
	"Traffic.Packets":         "ipsec_packets_total, clear_dropped_packets_total, strangers_dropped_packets_total",
	"Traffic.Bytes":           "ipsec_bytes_total",
	"Link.Index":              "no figure",
	"Link.MTU":                "no figure",
	"LinkCounters.Received":   "link_messages_total",
	"LinkCounters.Delivered":  "link_messages_total",
	"LinkCounters.Drops":      "link_drops_total",
	"HopFigures.Rejected":     "ipsec status has it",
}

// Every figure has a metric, or computed says why it has none.
func TestEveryFigureIsShown(t *testing.T) {
	left := maps.Clone(computed)
	seen := make(map[reflect.Type]bool)
	var walk func(of reflect.Type)
	walk = func(of reflect.Type) {
		name := of.Name()
		if of == reflect.TypeFor[api.Traffic]() { // an alias has no name
			name = "Traffic"
		} else if of.PkgPath() != reflect.TypeFor[api.Counters]().PkgPath() || seen[of] {
			return
		}
		seen[of] = true
		for i := range of.NumField() {
			f := of.Field(i)
			switch f.Type.Kind() {
			case reflect.Struct:
				walk(f.Type)
			case reflect.Int, reflect.Uint64, reflect.Int64, reflect.Map:
				name := name + "." + f.Name
				shown := f.Tag.Get("counter") != "" || f.Tag.Get("gauge") != "" || f.Type == reflect.TypeFor[api.Lifetime]()
				if _, ok := computed[name]; ok == shown {
					t.Errorf("%s: has a tag: %v, is among those without: %v; want one of them", name, shown, ok)
				}
				delete(left, name)
			}
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[api.Counters](), reflect.TypeFor[api.Link](), reflect.TypeFor[api.Peer](), reflect.TypeFor[api.Hop](), reflect.TypeFor[api.GuardStatus]()} {
		walk(of)
	}
	if len(left) > 0 {
		t.Errorf("there are no figures %q", slices.Sorted(maps.Keys(left)))
	}
}
