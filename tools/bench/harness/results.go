package harness

import (
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// Results are figures in the Go benchmark format, which benchstat can read. A name looks like
// "Plain/load=closed/relay=dnsmasq". Each round adds one line with that name.
type Results struct {
	all    []*benchfmt.Result
	config []benchfmt.Config // for the figures that are added from now on
	out    *benchfmt.Writer
	err    error // the first error of writing
}

// NewResults returns results that are also written, line by line, as they are added.
func NewResults(to io.Writer) *Results { return &Results{out: benchfmt.NewWriter(to)} }

// Value is a figure and its unit.
type Value = benchfmt.Value

// Of returns a figure in a unit. It is in seconds or octets, not in parts or multiples of them:
// benchstat chooses those by itself.
func Of(figure float64, unit string) Value { return Value{Value: figure, Unit: unit} }

// Add adds the figures of one round, which are means over so many operations.
func (r *Results) Add(name string, operations int, values ...Value) {
	r.take(&benchfmt.Result{Config: slices.Clone(r.config), Name: benchfmt.Name(name), Iters: operations, Values: values})
}

func (r *Results) take(one *benchfmt.Result) {
	r.all = append(r.all, one)
	if r.out != nil && r.err == nil {
		r.err = r.out.Write(one)
	}
}

// Describe adds a property of the machine, for all figures that are added later.
func (r *Results) Describe(key, text string) {
	r.config = append(r.config, benchfmt.Config{Key: key, Value: []byte(text), File: true})
}

// Described returns a property of the machine that the figures are from.
func (r *Results) Described(key string) string {
	for _, one := range r.all {
		if text := one.GetConfig(key); text != "" {
			return text
		}
	}
	return "unknown"
}

// Machine returns a property of this machine, even if the figures are from another one.
func (r *Results) Machine(key string) string {
	for _, one := range r.config {
		if one.Key == key {
			return string(one.Value)
		}
	}
	return "unknown"
}

// Read adds the figures in a text, such as the output of `go test -bench`.
func (r *Results) Read(text io.Reader) error {
	lines := benchfmt.NewReader(text, "")
	for lines.Scan() {
		one, ok := lines.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		one = one.Clone()
		if _, parts := one.Name.Parts(); len(parts) > 0 && parts[len(parts)-1][0] == '-' { // go test adds the number of processors
			one.Name = one.Name[:len(one.Name)-len(parts[len(parts)-1])]
		}
		r.take(one)
	}
	return lines.Err()
}

// Benchmarks runs Go benchmarks of a package of this tree, and adds their figures.
func (r *Results) Benchmarks(pkg string, names ...string) error {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark("+strings.Join(names, "|")+")$", "-benchmem", pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test: %w: %s", err, out)
	}
	return r.Read(strings.NewReader(string(out)))
}

// Values returns the figures of a name in a unit, one per round.
func (r *Results) Values(name, unit string) (values []float64) {
	for _, one := range r.all {
		if value, ok := one.Value(unit); ok && string(one.Name) == name {
			values = append(values, value)
		}
	}
	return values
}

// Median returns the median of the rounds, and NaN if there are none.
func (r *Results) Median(name, unit string) float64 { return Median(r.Values(name, unit)) }

// Sum returns the sum of the rounds.
func (r *Results) Sum(name, unit string) (sum float64) {
	for _, value := range r.Values(name, unit) {
		sum += value
	}
	return sum
}

// Shares returns, for each round, the figure of one name divided by the figure of another.
func (r *Results) Shares(name, of, unit string) []float64 {
	values, whole := r.Values(name, unit), r.Values(of, unit)
	values = values[:min(len(values), len(whole))]
	for i := range values {
		values[i] /= whole[i]
	}
	return values
}

// Median returns the median of the figures, and NaN if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95).Center
}

// Figure returns a figure as text, and a dash if it was not measured.
func Figure(format string, figure float64) string {
	if math.IsNaN(figure) {
		return "-"
	}
	return fmt.Sprintf(format, figure)
}
