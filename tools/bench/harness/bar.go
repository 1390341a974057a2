package harness

import (
	"fmt"
	"math"
)

// Bar is a figure that has to be reached.
type Bar struct {
	Name   string
	Wanted string // empty: the figure is shown, and not judged
	Judge  func(*Results) Verdict
}

// Verdict is what was measured, to be compared with what is wanted.
type Verdict struct {
	Figure string
	Met    bool
	Void   string   // why the bar cannot be judged; empty if it can
	Notes  []string // sentences about how the figure was measured
}

// Unknown returns a verdict about something that could not be measured.
func Unknown(why string) Verdict { return Verdict{Figure: "unknown", Void: why} }

// AtMost and AtLeast compare a ratio with the ratio that is wanted.
func AtMost(wanted, ratio float64, of string) Verdict { return compared(ratio, of, ratio <= wanted) }

// AtLeast: see AtMost.
func AtLeast(wanted, ratio float64, of string) Verdict { return compared(ratio, of, ratio >= wanted) }

func compared(ratio float64, of string, met bool) Verdict {
	if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
		return Unknown("nothing was measured")
	}
	return Verdict{Figure: fmt.Sprintf("%.2f times %s", ratio, of), Met: met}
}

// Judged is a bar with its verdict.
type Judged struct {
	Bar
	Verdict
}

// Word returns the last word of the bar's line.
func (j Judged) Word() string {
	switch {
	case j.Void != "":
		return "void"
	case j.Wanted == "":
		return "no bar"
	case j.Met:
		return "met"
	}
	return "missed"
}

// String returns the bar's line: "bar NAME: FIGURE, wanted FIGURE: met".
func (j Judged) String() string {
	line := fmt.Sprintf("bar %s: %s, wanted %s: %s", j.Name, j.Figure, j.Wanted, j.Word())
	if j.Wanted == "" {
		line = fmt.Sprintf("bar %s: %s, %s", j.Name, j.Figure, j.Word())
	}
	if j.Void != "" {
		line += " (" + j.Void + ")"
	}
	return line
}
