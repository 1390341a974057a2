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
	how := simulatedKernel
	if inKernel {
		how = realKernel
	}
	fmt.Fprintf(b, "%s\n%s\n\n", introduction, how)
	head, line := "|  |", "|---|"
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
	fmt.Fprint(b, explanation)
	return b.Flush()
}

const introduction = `# What grows how

Written by ` + "`go run ./tools/scale -o docs/scale.md`" + `.

A core and a store are filled with delegations: one prefix for each client, 25
clients on a link until there are 4 000 links, the strictest filter, so that each
delegation is one route and three filter elements. Each grant is a Request, its
Reply, a record and what the kernel is asked for, in groups of 512 as they form
at full speed. Then everything is read back and compared, the process restarted
with a kernel that has forgotten everything, one link cleared, and the rest left
to expire in one instant.

Times are processor time, the garbage collector's included: what else the machine
does disturbs them less than the clock's.`

const simulatedKernel = `
The kernel's part is counted, not done, with the costs in ` + "`tools/scale/kernel.go`" + `,
which were measured. ` + "`go run ./tools/scale -kernel -sizes 1000,100000`" + ` does it.`

const realKernel = `
The kernel's part was done, in a network namespace of its own.`

const explanation = `
## In words

- **Memory** grows in step with the delegations. What is kept of each has no
  pointers, so that the garbage collector's work does not grow with it. What one
  delegation takes among a thousand is mostly what the links take.
- **The disk** has each record once, in some 190 octets, and beside them what was
  written last: a log of a few megabytes, and tables that have yet to be merged.
  Nothing is compressed: that would save three fifths of the disk and cost a fifth
  of a commit's time.
- **One grant** costs the same among a million as among a thousand: every index is
  a hash table or a trie, the next end comes from a heap whose depth is the
  logarithm, the kernel's routes are a trie and its sets hash tables.
- **A restart** grows in step: every record is looked at, read, and asked of the
  kernel. Up to a hundred thousand it takes seconds, most of it the kernel's.
- **An audit** holds nobody up: it is compared in parts, between which packets
  pass, and what changes meanwhile is left out. The longest part is the search
  for what nobody wants, at the end.
- **Reading the filter back** is what grows faster than the delegations: the kernel
  walks a set from its beginning for each few hundred elements that it lists. At
  a million it takes minutes, though none of ours. So an audit leaves it out while
  nobody else has changed anything in nftables and nothing of ours has failed, but
  for one in 64: what is left, routes read and compared, takes a tenth of the time
  at a hundred thousand. Beside a program that changes nftables all the time,
  audits would have to be rare.
- **The end of all at once** comes in Ticks of 512 ends; packets pass between
  them.
`
