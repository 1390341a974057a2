// Command scale fills a core and a store with up to a million delegations and
// says what grows how: memory, the cost of one more grant, a restart, the end of
// all of them, an audit. The kernel's part is counted with measured costs, or
// really done in a network namespace of its own with -kernel.
//
//	go run ./tools/scale [-kernel] [-sizes 1000,100000] [-o docs/scale.md]
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
)

// heapProfile is where the memory in use is written to; empty: nowhere.
var heapProfile string

func main() {
	sizes := flag.String("sizes", "1000,10000,100000,1000000", "how many delegations, several with commas")
	inKernel := flag.Bool("kernel", false, "install in a network namespace of this machine (needs root)")
	out := flag.String("o", "", "write the page to this file")
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.StringVar(&heapProfile, "memprofile", "", "write a profile of the memory in use after the last fill to this file")
	flag.Parse()
	if heapProfile != "" {
		runtime.MemProfileRate = 1 << 12
	}
	if err := run(*sizes, *inKernel, *out, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(sizes string, inKernel bool, out, profile string) error {
	var k kernel = simulated{}
	var r *real
	if inKernel {
		var err error
		if r, err = newReal(maxLinks); err != nil {
			return err
		}
		k = r
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	var all []figures
	for _, text := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1000 || n > 1<<24 {
			return fmt.Errorf("size %q: not a number from 1000 on", text)
		}
		f, err := measure(n, k)
		if err != nil {
			return fmt.Errorf("%d delegations: %w", n, err)
		}
		all = append(all, f)
		f.print(os.Stderr)
		if r != nil {
			if err := r.empty(); err != nil {
				return err
			}
		}
	}
	var w io.Writer = os.Stdout
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return err
		}
		defer f.Close()
		w = f
	}
	return page(w, all, inKernel)
}

// figures are what was measured at one size.
type figures struct {
	n, links  int
	heap      uint64 // of the core, settled
	resident  uint64 // of the process, store open
	disk      uint64
	first     spent // of the first grants
	last      spent // of the last ones
	took      time.Duration
	restored  restored
	kernelGet time.Duration
	audit     time.Duration
	pause     time.Duration // the longest part of the audit
	expired   time.Duration
	tick      time.Duration // the longest Tick
	cleared   time.Duration
}

// sample is how many grants are measured at each end.
const sample = 4 * group

// measure lives through one size.
func measure(n int, k kernel) (f figures, err error) {
	f.n, f.links = n, min(max(n/25, 40), maxLinks)
	before := settledHeap()
	w, err := newWorld(f.links, k)
	if err != nil {
		return f, err
	}
	defer func() {
		if e := w.close(); err == nil {
			err = e
		}
	}()
	empty := settledHeap()
	began := time.Now()
	if err := w.carryOut(); err != nil {
		return f, err
	}
	if err := w.grant(0, 100); err != nil { // a warm start
		return f, err
	}
	if f.first, err = w.measured(100, min(100+sample, n/2)); err != nil {
		return f, err
	}
	middle := max(n/2, n-sample)
	if err := w.grant(min(100+sample, n/2), middle); err != nil {
		return f, err
	}
	if f.last, err = w.measured(middle, n); err != nil {
		return f, err
	}
	f.took = time.Since(began)
	w.eff.Reset()
	f.heap = settledHeap() - min(empty, settledHeap())
	f.resident = resident()
	if err := writeHeap(); err != nil {
		return f, err
	}
	f.disk = w.store.Stats().DiskBytes
	if err := w.look(&f); err != nil {
		return f, err
	}
	if r, ok := k.(*real); ok {
		if err := r.empty(); err != nil {
			return f, err
		}
	}
	if f.restored, err = w.restart(); err != nil {
		return f, err
	}
	if got := w.core.Totals().Prefixes; got != n {
		return f, fmt.Errorf("%d delegations are back after a restart", got)
	}
	err = w.expire(&f)
	runtime.KeepAlive(before)
	return f, err
}

func writeHeap() error {
	if heapProfile == "" {
		return nil
	}
	f, err := os.Create(heapProfile)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

func (w *world) measured(from, to int) (spent, error) {
	w.spent = spent{}
	err := w.grant(from, to)
	s := w.spent
	n := time.Duration(max(1, to-from))
	return spent{core: s.core / n, store: s.store / n, kernel: s.kernel / n}, err
}

// look compares the kernel with what is wanted.
func (w *world) look(f *figures) error {
	reading, took, err := w.kernel.actual(w, f.n)
	if err != nil {
		return err
	}
	f.kernelGet = took
	comparison := w.core.CompareHost()
	for done := false; !done; {
		began := busy()
		var found []hoststate.Finding
		if found, done, _ = w.core.AuditPart(comparison, reading, &w.eff); len(found) > 0 {
			return fmt.Errorf("%d differences, the first: %v", len(found), found[0])
		}
		part := busy() - began
		f.audit += part
		f.pause = max(f.pause, part)
	}
	return nil
}

// expire ends a link of them by hand, and then all others at once.
func (w *world) expire(f *figures) error {
	w.eff.Reset()
	began := busy()
	w.core.Clear(w.now, delegation.Selection{Link: linkName(0)}, false, &w.eff)
	f.cleared = busy() - began
	if err := w.carryOut(); err != nil {
		return err
	}
	w.now.Boot = boot.After(2 * lifetime * time.Second)
	w.now.Wall = wall.Add(2 * lifetime * time.Second)
	whole := busy()
	for w.core.Totals().Prefixes > 0 {
		w.eff.Reset()
		began := busy()
		w.core.Tick(w.now, &w.eff)
		f.tick = max(f.tick, busy()-began)
		if err := w.carryOut(); err != nil {
			return err
		}
	}
	f.expired = busy() - whole
	return nil
}
