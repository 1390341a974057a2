package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// print writes the figures of one size as they come.
func (f *figures) print(w io.Writer) {
	fmt.Fprintf(w, "%d delegations, %d links: filled in %v\n", f.n, f.links, f.took.Round(time.Millisecond))
	for _, r := range rows {
		fmt.Fprintf(w, "  %-58s %s\n", r.name, r.value(f))
	}
}

// row is one line of the page's table.
type row struct {
	name  string
	value func(*figures) string
}

var rows = []row{
	{"links", func(f *figures) string { return fmt.Sprint(f.links) }},
	{"memory of the core, octets a delegation", func(f *figures) string { return fmt.Sprint(f.heap / uint64(f.n)) }},
	{"memory of the core, MB", func(f *figures) string { return megabytes(f.heap) }},
	{"disk, MB", func(f *figures) string { return megabytes(f.disk) }},
	{"kernel routes, MB (counted)", func(f *figures) string { return megabytes(uint64(f.n) * routeBytes) }},
	{"one grant, the first ones: core, µs", func(f *figures) string { return micros(f.first.core) }},
	{"one grant, the last ones: core, µs", func(f *figures) string { return micros(f.last.core) }},
	{"one grant, the first ones: store, µs", func(f *figures) string { return micros(f.first.store) }},
	{"one grant, the last ones: store, µs", func(f *figures) string { return micros(f.last.store) }},
	{"one grant: kernel, µs", func(f *figures) string { return micros(f.last.kernel) }},
	{"restart: the store's look at every record, ms", func(f *figures) string { return millis(f.restored.open) }},
	{"restart: records read and taken in by the core, ms", func(f *figures) string { return millis(f.restored.core) }},
	{"restart: what the kernel lacks, ms", func(f *figures) string { return millis(f.restored.audit) }},
	{"restart: kernel, ms", func(f *figures) string { return millis(f.restored.kernel) }},
	{"restart: all, ms", func(f *figures) string { return millis(f.restored.total()) }},
	{"audit: the kernel read back, ms", func(f *figures) string { return millis(f.kernelGet) }},
	{"audit: comparing, ms", func(f *figures) string { return millis(f.audit) }},
	{"audit: the longest part between packets, ms", func(f *figures) string { return millis(f.pause) }},
	{"one link cleared, ms", func(f *figures) string { return millis(f.cleared) }},
	{"all expired at once, until none is left, ms", func(f *figures) string { return millis(f.expired) }},
	{"the longest Tick of these, ms", func(f *figures) string { return millis(f.tick) }},
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e3) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }

// page writes docs/scale.md.
func page(w io.Writer, all []figures, inKernel bool) error {
	b := bufio.NewWriter(w)
	how := "The kernel's part is counted with the costs in `tools/scale/kernel.go`."
	if inKernel {
		how = "The kernel's part was done in a network namespace."
	}
	fmt.Fprintf(b, "# What grows how\n\nWritten by `go run ./tools/scale -o docs/scale.md`. %s\n\n", how)
	head, line := "| delegations |", "|---|"
	for _, f := range all {
		head += fmt.Sprintf(" %d |", f.n)
		line += "---:|"
	}
	fmt.Fprintf(b, "%s\n%s\n", head, line)
	for _, r := range rows {
		values := make([]string, len(all))
		for i := range all {
			values[i] = r.value(&all[i])
		}
		fmt.Fprintf(b, "| %s | %s |\n", r.name, strings.Join(values, " | "))
	}
	return b.Flush()
}
