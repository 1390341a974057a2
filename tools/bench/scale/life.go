package scale

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/host/store"
	"fairlead/tools/bench/harness"
)

// group is how many exchanges are kept and installed together: as many as queue up behind a
// commit at full speed.
const group = 512

// grant lets the clients from from up to, but not including, to ask and be answered.
func (w *world) grant(from, to int) error {
	for from < to {
		n := min(group, to-from)
		w.eff.Reset()
		packets := make([]inbound.Packet, 0, 2*n)
		for i := range n {
			c := w.client(from + i)
			packets = append(packets, c.asks(), c.granted())
		}
		began := harness.Busy()
		for i := range packets {
			w.core.Handle(w.now, &packets[i], &w.eff)
		}
		w.spent.core += harness.Busy() - began
		if len(w.eff.Changes) != n {
			return fmt.Errorf("clients from %d: %d of %d were granted anything", from, len(w.eff.Changes), n)
		}
		if err := w.carryOut(); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// carryOut keeps and installs what the Effects contain, until nothing is left.
func (w *world) carryOut() error {
	for len(w.eff.Changes) > 0 {
		changes := append([]effect.Change(nil), w.eff.Changes...)
		var ops []store.Op
		for _, c := range changes {
			for _, k := range c.Keep {
				ops = append(ops, store.Op{Key: k.Key, Value: k.Value})
			}
		}
		began := harness.Busy()
		if len(ops) > 0 {
			if err := w.store.Commit(ops); err != nil {
				return err
			}
		}
		w.spent.store += harness.Busy() - began
		if err := w.install(changes); err != nil {
			return err
		}
		w.eff.Reset()
		began = harness.Busy()
		for _, c := range changes {
			w.core.Settle(w.now, effect.Outcome{ID: c.ID}, &w.eff)
		}
		w.spent.core += harness.Busy() - began
	}
	return nil
}

func (w *world) install(changes []effect.Change) error {
	for _, c := range changes {
		w.ops = append(w.ops, c.Host...)
	}
	took, err := w.kernel.apply(w.ops)
	w.spent.kernel += took
	clear(w.ops)
	w.ops = w.ops[:0]
	return err
}

// restart closes the store, opens it again, and builds a core from it. The kernel has nothing of
// ours then.
func (w *world) restart() (r restored, err error) {
	if err := w.store.Close(); err != nil {
		return r, err
	}
	w.core, w.eff = nil, effect.Effects{}
	began := harness.Busy()
	if w.store, err = store.Open(w.dir, store.Options{}); err != nil {
		return r, err
	}
	r.open = harness.Busy() - began
	began = harness.Busy()
	w.begin()
	var bad error
	records := func(yield func(binding.Record) bool) {
		lo, hi := binding.KeyRange(binding.Relay6)
		err = w.store.Scan(lo, hi, func(_, v []byte) bool {
			var rec binding.Record
			if rec, bad = binding.ParseRecord(v); bad != nil {
				return false
			}
			return yield(rec)
		})
	}
	w.core.Restore(w.now, records, nil, w.now.Wall, &w.eff)
	if err := errors.Join(err, bad); err != nil {
		return r, err
	}
	r.core = harness.Busy() - began
	w.spent = spent{}
	if err := w.carryOut(); err != nil {
		return r, err
	}
	return r, w.mend(&r)
}

// mend makes a comparison find that the kernel has nothing, and installs everything.
func (w *world) mend(r *restored) error {
	comparison := w.core.Kernel().Compare()
	reading := hoststate.NewReading()
	for done := false; !done; {
		w.eff.Reset()
		began := harness.Busy()
		_, done, _ = w.core.Kernel().ComparePart(comparison, reading, &w.eff)
		r.comparison += harness.Busy() - began
		if err := w.carryOut(); err != nil {
			return err
		}
	}
	r.kernel = w.spent.kernel
	return nil
}

// restored says how long the parts of a restart took.
type restored struct{ open, core, comparison, kernel time.Duration }

// heapInUse returns the memory in use, in octets, once everything has been freed that can be.
func heapInUse() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
