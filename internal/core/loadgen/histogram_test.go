package loadgen_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/loadgen"
)

// quantiles are those that reports use, and both ends.
var quantiles = []float64{0, 0.5, 0.9, 0.99, 0.999, 1}

// A histogram and a sorted list of the same durations agree to 1 %.
func TestHistogramQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 10, 1000, 50000} {
		var h, left, right loadgen.Histogram
		var all []time.Duration
		for i := range n {
			// The durations are from nanoseconds to minutes, spread evenly in the logarithm.
			d := time.Duration(1<<random.IntN(37)) + time.Duration(random.IntN(1<<random.IntN(36)))
			all = append(all, d)
			h.Add(d)
			if i%3 == 0 {
				left.Add(d)
			} else {
				right.Add(d)
			}
		}
		left.Merge(&right)
		slices.Sort(all)
		for _, q := range quantiles {
			want := all[min(int(q*float64(n)), n-1)]
			got := h.Quantile(q)
			if off := float64(got-want) / float64(want); off > 0.01 || off < -0.01 {
				t.Errorf("%d durations, quantile %g: %s, want %s", n, q, got, want)
			}
			if merged := left.Quantile(q); merged != got {
				t.Errorf("%d durations in two, quantile %g: %s, in one: %s", n, q, merged, got)
			}
		}
		if h.Min() != all[0] || h.Max() != all[n-1] || h.Count() != uint64(n) {
			t.Errorf("min %s, max %s, count %d: want %s, %s, %d", h.Min(), h.Max(), h.Count(), all[0], all[n-1], n)
		}
	}
}

// Extreme values do no harm.
func TestHistogramEnds(t *testing.T) {
	var h loadgen.Histogram
	if h.Quantile(0.5) != 0 || h.Min() != 0 || h.Max() != 0 {
		t.Error("an empty histogram is not 0")
	}
	h.Add(-time.Second)
	h.Add(time.Hour)
	if h.Min() != 0 || h.Max() != time.Hour || h.Quantile(0) != 0 {
		t.Errorf("min %s, max %s, quantile 0 %s", h.Min(), h.Max(), h.Quantile(0))
	}
	// Beyond the range of the histogram a quantile is too low. It is then the end of the range.
	if got := h.Quantile(1); got < 18*time.Minute || got > time.Hour {
		t.Errorf("quantile 1: %s", got)
	}
	h.Reset()
	if h.Count() != 0 || h.Max() != 0 {
		t.Error("something is left after Reset")
	}
}

// Every duration up to 128 ns has a bucket of its own.
func TestHistogramExact(t *testing.T) {
	for d := range time.Duration(128) {
		var h loadgen.Histogram
		h.Add(d)
		h.Add(d)
		h.Add(1000)
		if got := h.Quantile(0.5); got != d {
			t.Errorf("%d ns are shown as %d", d, got)
		}
	}
}
