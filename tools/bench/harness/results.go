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

// Results are figures in the Go benchmark format, so that benchstat can read them.
// A name is like "Plain/load=closed/relay=dnsmasq"; each round adds a line of that
// name.
type Results struct {
	all    []*benchfmt.Result
	config []benchfmt.Config // of what is added from now on
	out    *benchfmt.Writer
	err    error // of writing
}

// NewResults returns results that are also written, line by line as they come.
func NewResults(to io.Writer) *Results { return &Results{out: benchfmt.NewWriter(to)} }

// Value is a figure and its unit.
type Value = benchfmt.Value

// Of is a figure in a unit: in seconds and octets, not in parts or multiples of them,
// as benchstat finds those by itself.
func Of(figure float64, unit string) Value { return Value{Value: figure, Unit: unit} }

// Add adds the figures of one round, which are means over that many operations.
func (r *Results) Add(name string, operations int, values ...Value) {
	r.take(&benchfmt.Result{Config: slices.Clone(r.config), Name: benchfmt.Name(name), Iters: operations, Values: values})
}

func (r *Results) take(one *benchfmt.Result) {
	r.all = append(r.all, one)
	if r.out != nil && r.err == nil {
		r.err = r.out.Write(one)
	}
}

// Describe says something of the machine, for all figures that are added later.
func (r *Results) Describe(key, text string) {
	r.config = append(r.config, benchfmt.Config{Key: key, Value: []byte(text), File: true})
}

// Described is what was said of the machine that the figures are from.
func (r *Results) Described(key string) string {
	for _, one := range r.all {
		if text := one.GetConfig(key); text != "" {
			return text
		}
	}
	return "unknown"
}

// Machine is what was said of this machine, wherever the figures are from.
func (r *Results) Machine(key string) string {
	for _, one := range r.config {
		if one.Key == key {
			return string(one.Value)
		}
	}
	return "unknown"
}

// Read adds the figures of a text, such as what `go test -bench` prints.
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

// Values are the figures of a name in a unit, one a round.
func (r *Results) Values(name, unit string) (values []float64) {
	for _, one := range r.all {
		if value, ok := one.Value(unit); ok && string(one.Name) == name {
			values = append(values, value)
		}
	}
	return values
}

// Median is the middle of the rounds, and NaN if there are none.
func (r *Results) Median(name, unit string) float64 { return Median(r.Values(name, unit)) }

// Sum is the sum of the rounds.
func (r *Results) Sum(name, unit string) (sum float64) {
	for _, value := range r.Values(name, unit) {
		sum += value
	}
	return sum
}

// Shares are what the rounds of one name have of those of another.
func (r *Results) Shares(name, of, unit string) []float64 {
	values, whole := r.Values(name, unit), r.Values(of, unit)
	values = values[:min(len(values), len(whole))]
	for i := range values {
		values[i] /= whole[i]
	}
	return values
}

// Median is the middle of the figures, and NaN of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95).Center
}

// Figure is a figure in words, and a dash if it was not measured.
func Figure(format string, figure float64) string {
	if math.IsNaN(figure) {
		return "-"
	}
	return fmt.Sprintf(format, figure)
}
