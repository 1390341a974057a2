package bars_test

import (
	"math"
	"testing"

	"fairlead/tools/bench/bars"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{8, 1, 4, 2}, 3},
	} {
		if got := bars.Median(c.all); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.all, got, c.want)
		}
	}
	if got := bars.Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
	if got := bars.MedianOf([]string{"aaa", "a", "aa"}, func(s string) float64 { return float64(len(s)) }); got != 2 {
		t.Errorf("median of three lengths is %v, want 2", got)
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		bar  bars.Bar
		want string
	}{
		{bars.Bar{Name: "x", Figure: "3 s", Wanted: "under 5 s", Met: true}, "bar x: 3 s, wanted under 5 s: met"},
		{bars.Bar{Name: "x", Figure: "6 s", Wanted: "under 5 s"}, "bar x: 6 s, wanted under 5 s: missed"},
		{bars.Bar{Name: "x", Figure: "unknown", Wanted: "under 5 s", Met: true, Void: "a core short"}, "bar x: unknown, wanted under 5 s: void (a core short)"},
		{bars.Bar{Name: "x", Figure: "0.6"}, "bar x: 0.6, no bar"},
		{bars.Bar{Name: "x", Figure: "0.6", Void: "a core short"}, "bar x: 0.6, void (a core short)"},
	} {
		if got := c.bar.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
