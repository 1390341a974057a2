package scale

import "fairlead/tools/bench/harness"

// rows are the lines of the page's table. Each shows a figure in its unit, multiplied by a
// factor.
var rows = []struct {
	name, unit string
	times      float64
}{
	{"links", "links", 1},
	{"memory of the core, octets a delegation", "core-B/delegation", 1},
	{"memory of the core, MB", "core-B", mega},
	{"disk, MB", "disk-B", mega},
	{"kernel routes, MB (counted)", "routes-B", mega},
	{"one grant, the first ones: core, µs", "first-core-sec/grant", 1e6},
	{"one grant, the last ones: core, µs", "last-core-sec/grant", 1e6},
	{"one grant, the first ones: store, µs", "first-store-sec/grant", 1e6},
	{"one grant, the last ones: store, µs", "last-store-sec/grant", 1e6},
	{"one grant: kernel, µs", "kernel-sec/grant", 1e6},
	{"restart: the store's look at every record, ms", "open-sec/restart", 1e3},
	{"restart: records read and taken in by the core, ms", "core-sec/restart", 1e3},
	{"restart: what the kernel lacks, ms", "comparison-sec/restart", 1e3},
	{"restart: kernel, ms", "kernel-sec/restart", 1e3},
	{"restart: all, ms", "sec/restart", 1e3},
	{"comparison: the kernel read back, ms", "kernel-sec/comparison", 1e3},
	{"comparison: the differences found, ms", "sec/comparison", 1e3},
	{"comparison: the longest part between packets, ms", "longest-sec/comparison", 1e3},
	{"one link cleared, ms", "sec/clear", 1e3},
	{"all expired at once, until none is left, ms", "sec/expire", 1e3},
	{"the longest Tick of these, ms", "longest-sec/expire", 1e3},
}

// mega turns octets into MiB.
const mega = 1.0 / (1 << 20)

// table returns the table of the page.
func (s *Suite) table(r *harness.Results) (g harness.Grid) {
	sizes := harness.Words(s.sizes)
	g.Head = append([]string{""}, sizes...)
	for _, row := range rows {
		cells, format := []string{row.name}, "%.1f"
		if row.times == 1 {
			format = "%.0f"
		}
		for _, size := range sizes {
			cells = append(cells, harness.Figure(format, row.times*r.Median(sized(size), row.unit)))
		}
		g.Rows = append(g.Rows, cells)
	}
	return g
}

// Told implements harness.Suite.
func (s *Suite) Told(r *harness.Run) (string, error) { return s.table(r.Results).String(), nil }

// Document implements harness.Suite.
func (s *Suite) Document(r *harness.Run) (string, error) {
	if s.sizes != allSizes || s.inKernel {
		return "", nil
	}
	return harness.Fill(document, s.table(r.Results))
}

// document is docs/scale.md. Its text is here; all figures in it are filled in.
var document = harness.Page(`# What grows how

Written by {{code "go run ./tools/bench scale"}}.

A core and a store are filled with delegations: one prefix for each client, and 25 clients on
each link until there are 4 000 links. The filter is the strictest, so each delegation is one
route and three filter elements. Each grant is a Request, its Reply, a record, and requests to
the kernel, in groups of 512 as they form at full speed. Then everything is read back and
compared, the process is restarted with a kernel that has forgotten everything, one link is
cleared, and the other delegations expire at one instant.

Times are processor time, the garbage collector's included, because that depends less on what
else the machine does.

The kernel's part is not done but computed, with the costs in {{code "tools/bench/scale/kernel.go"}},
which were measured. {{code "go run ./tools/bench scale -kernel -sizes 1000,100000"}} does it.

{{.Markdown}}

## In words

- **Memory** grows in proportion to the delegations. The data of a delegation has no pointers, so
  the garbage collector's work does not grow with it. With a thousand delegations, most of the
  memory is that of the links.
- **The disk** has each record once, in about 190 octets, and also what was written last: a log of
  a few megabytes, and tables that have not been merged yet. Nothing is compressed: that would
  save three fifths of the disk, and cost a fifth of a commit's time.
- **One grant** costs the same with a million delegations as with a thousand: every index is a hash
  table or a trie, the next end comes from a heap whose depth is the logarithm, the kernel's routes
  are a trie, and its sets are hash tables.
- **A restart** grows in proportion: every record is checked, read and compared with the kernel. Up
  to a hundred thousand delegations it takes seconds, most of them in the kernel.
- **A comparison** does not delay packets: it is done in parts, between which packets pass, and it
  leaves out what changes meanwhile. The longest part is the search for routes that are no longer
  wanted, at the end.
- **Reading the filter back** grows faster than the delegations: the kernel goes through a set from
  its beginning for each few hundred elements that it lists. With a million elements that takes
  minutes of the kernel's time. So a comparison leaves it out while no other program has changed
  nftables and nothing of ours has failed, except once in 64 times. The rest, reading and comparing
  the routes, takes a tenth of the time with a hundred thousand delegations. If another program
  changes nftables all the time, comparisons have to be rare.
- **The end of all at once** comes in Ticks of 512 ends; packets pass between
  them.
`)
