// Package scale fills a core and a store with up to a million delegations, and shows how the
// costs grow with their number: memory, the cost of one more grant, a restart, the end of all
// delegations, a comparison. The kernel's part is calculated from measured costs, or, with
// -kernel, really done in a network namespace of its own.
package scale

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/tools/bench/harness"
)

// Suite is the benches of docs/scale.md.
type Suite struct {
	sizes    string
	inKernel bool
	kernel   kernel
}

const allSizes = "1000,10000,100000,1000000"

// Flags implements harness.Suite.
func (s *Suite) Flags(f *flag.FlagSet) {
	f.StringVar(&s.sizes, "sizes", allSizes, "how many delegations, several with commas")
	f.BoolVar(&s.inKernel, "kernel", false, "install in a network namespace of this machine (needs root)")
}

// Benches implements harness.Suite. Each size has its turn.
func (s *Suite) Benches(*harness.Run) (_ []harness.Bench, err error) {
	s.kernel = simulated{}
	if s.inKernel {
		if s.kernel, err = newReal(maxLinks); err != nil {
			return nil, err
		}
	}
	return []harness.Bench{{Name: "scale", Between: harness.Words(s.sizes), Turns: []harness.Turn{s.turn}}}, nil
}

// sized returns the name of figures of one size.
func sized(size string) string { return "Scale/delegations=" + size }

// turn measures everything with one size.
func (s *Suite) turn(size string, _ int, to *harness.Results) error {
	n, err := strconv.Atoi(size)
	if err != nil || n < 1000 || n > 1<<24 {
		return fmt.Errorf("size %q: not a number from 1000 on", size)
	}
	f, err := s.measure(n)
	if err != nil {
		return err
	}
	var values []harness.Value
	for _, r := range rows {
		figure, ok := f[r.unit]
		if !ok {
			return fmt.Errorf("nobody measured %s", r.unit)
		}
		values = append(values, harness.Of(figure, r.unit))
	}
	to.Add(sized(size), n, values...)
	return s.kernel.empty()
}

// figures has what was measured with one size, by unit.
type figures map[string]float64

func (f figures) time(unit string, took time.Duration) { f[unit] = took.Seconds() }

// sample is how many grants are measured at the beginning and at the end.
const sample = 4 * group

func (s *Suite) measure(n int) (_ figures, err error) {
	f := figures{}
	links := min(max(n/25, 40), maxLinks)
	w, err := newWorld(links, s.kernel)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	empty := heapInUse()
	if err := w.carryOut(); err != nil {
		return nil, err
	}
	if err := w.grant(0, 100); err != nil { // a warm start
		return nil, err
	}
	first, err := w.measured(100, min(100+sample, n/2))
	if err != nil {
		return nil, err
	}
	middle := max(n/2, n-sample)
	if err := w.grant(min(100+sample, n/2), middle); err != nil {
		return nil, err
	}
	last, err := w.measured(middle, n)
	if err != nil {
		return nil, err
	}
	f.time("first-core-sec/grant", first.core)
	f.time("last-core-sec/grant", last.core)
	f.time("first-store-sec/grant", first.store)
	f.time("last-store-sec/grant", last.store)
	f.time("kernel-sec/grant", last.kernel)
	w.eff.Reset()
	heap := heapInUse()
	heap -= min(empty, heap)
	f["links"], f["core-B"], f["core-B/delegation"] = float64(links), float64(heap), float64(heap)/float64(n)
	f["disk-B"], f["routes-B"] = float64(w.store.Stats().DiskBytes), float64(n*routeBytes)
	if err := w.look(f, n); err != nil {
		return nil, err
	}
	if err := s.kernel.empty(); err != nil {
		return nil, err
	}
	r, err := w.restart()
	if err != nil {
		return nil, err
	}
	f.time("open-sec/restart", r.open)
	f.time("core-sec/restart", r.core)
	f.time("comparison-sec/restart", r.comparison)
	f.time("kernel-sec/restart", r.kernel)
	f.time("sec/restart", r.open+r.core+r.comparison+r.kernel)
	if got := w.core.Totals().Prefixes; got != n {
		return nil, fmt.Errorf("%d delegations are back after a restart", got)
	}
	return f, w.expire(f)
}

func (w *world) measured(from, to int) (spent, error) {
	w.spent = spent{}
	err := w.grant(from, to)
	s := w.spent
	n := time.Duration(max(1, to-from))
	return spent{core: s.core / n, store: s.store / n, kernel: s.kernel / n}, err
}

// look compares the kernel with what is wanted.
func (w *world) look(f figures, n int) error {
	reading, took, err := w.kernel.actual(w, n)
	if err != nil {
		return err
	}
	f.time("kernel-sec/comparison", took)
	var all, longest time.Duration
	comparison := w.core.Kernel().Compare()
	for done := false; !done; {
		began := harness.Busy()
		var found []hoststate.Finding
		if found, done, _ = w.core.Kernel().ComparePart(comparison, reading, &w.eff); len(found) > 0 {
			return fmt.Errorf("%d differences, the first: %v", len(found), found[0])
		}
		part := harness.Busy() - began
		all += part
		longest = max(longest, part)
	}
	for left := range reading.LeftOver(1) {
		return fmt.Errorf("left over: %v", hoststate.LeftOvers(left)[0])
	}
	f.time("sec/comparison", all)
	f.time("longest-sec/comparison", longest)
	return nil
}

// expire ends the delegations of one link by an order, and then all others at once.
func (w *world) expire(f figures) error {
	w.eff.Reset()
	began := harness.Busy()
	w.core.Clear(w.now, delegation.Selection{Link: linkName(0)}, &w.eff)
	f.time("sec/clear", harness.Busy()-began)
	if err := w.carryOut(); err != nil {
		return err
	}
	w.now.Boot = boot.After(2 * lifetime * time.Second)
	w.now.Wall = wall.Add(2 * lifetime * time.Second)
	whole, longest := harness.Busy(), time.Duration(0)
	for w.core.Totals().Prefixes > 0 {
		w.eff.Reset()
		began := harness.Busy()
		w.core.Tick(w.now, &w.eff)
		longest = max(longest, harness.Busy()-began)
		if err := w.carryOut(); err != nil {
			return err
		}
	}
	f.time("sec/expire", harness.Busy()-whole)
	f.time("longest-sec/expire", longest)
	return nil
}
