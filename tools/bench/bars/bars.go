// Package bars is how the bench programs tell what was measured, beside what has
// to be reached. It knows no measurement and no machine, and has no state.
package bars

import (
	"fmt"
	"math"
	"slices"
)

// Bar is something that has to be reached, and what was.
type Bar struct {
	Name   string
	Figure string // what was measured, for people
	Wanted string // empty: there is no bar, the figure is told as it is
	Met    bool
	Void   string   // why it cannot be said; empty if it can
	Notes  []string // sentences about how it came about
}

// Verdict is the last word of the bar's line.
func (b Bar) Verdict() string {
	switch {
	case b.Void != "":
		return "void"
	case b.Wanted == "":
		return "no bar"
	case b.Met:
		return "met"
	}
	return "missed"
}

// String is the bar's line: "bar NAME: FIGURE, wanted FIGURE: met".
func (b Bar) String() string {
	line := fmt.Sprintf("bar %s: %s, wanted %s: %s", b.Name, b.Figure, b.Wanted, b.Verdict())
	if b.Wanted == "" {
		line = fmt.Sprintf("bar %s: %s, %s", b.Name, b.Figure, b.Verdict())
	}
	if b.Void != "" {
		line += " (" + b.Void + ")"
	}
	return line
}

// Median is the middle of the figures, and NaN of none.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(all))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// MedianOf is the median of what f says of each.
func MedianOf[T any](all []T, f func(T) float64) float64 {
	figures := make([]float64, len(all))
	for i, one := range all {
		figures[i] = f(one)
	}
	return Median(figures)
}
