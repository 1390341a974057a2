package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// bench is one run.
type bench struct {
	options

	full *loaded // the fairlead that most single bars share, once it is there

	mu   sync.Mutex // guards rigs: an interrupted run is tidied up from outside
	rigs []*rig
}

func newBench(o options) (*bench, error) {
	b := &bench{options: o}
	var err error
	if b.fairlead, err = filepath.Abs(o.fairlead); err != nil {
		return nil, err
	}
	if _, err := os.Stat(b.fairlead); err != nil {
		return nil, fmt.Errorf("%w (make %s)", err, o.fairlead)
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	if b.dir, err = filepath.Abs(o.dir); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(b.dir, "bench-"); err != nil { // another run may be under way
		return nil, err
	}
	if name, real, err := fileSystem(b.dir); err != nil || !real {
		return nil, errors.Join(err, fmt.Errorf("store: %s is on a file system in %s: --dir names a better place", b.dir, name))
	}
	return b, nil
}

// say tells somebody who waits what is being done.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// wants reports whether any of the bars is to be judged.
func (b *bench) wants(names ...string) bool {
	return len(b.bars) == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(b.bars, n) })
}

// rig builds a rig that is removed at the end of the run at the latest.
func (b *bench) rig(withSwitch bool) (*rig, error) {
	r, err := newRig(withSwitch)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rigs = append(b.rigs, r)
	return r, nil
}

// close removes all networks and the stores.
func (b *bench) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, r := range b.rigs {
		errs = append(errs, r.close())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// run measures what was asked for, and tells. What goes wrong makes a bar void,
// and the others go on.
func (b *bench) run() error {
	rep := newReport(b)
	var errs []error
	if b.wants(comparisons...) {
		if err := b.compete(rep); err != nil {
			errs = append(errs, err)
			for _, name := range comparisons {
				rep.add(b, unknown(name, err.Error()))
			}
		}
	}
	for _, one := range singles {
		if !b.wants(one.name) {
			continue
		}
		b.say("%s", one.name)
		done, err := one.measure(b)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", one.name, err))
			done = unknown(one.name, err.Error())
		}
		rep.add(b, done)
	}
	return errors.Join(append(errs, rep.finish(b, len(errs) == 0))...)
}

// comparisons are the bars for which contenders have their turns.
var comparisons = []string{"relay6-cpu-vs-blind-c", "relay6-cpu-vs-best-peer", "relay6-mix-vs-best-peer", "relay6-overload"}

// compete has the contenders take turns, and removes them.
func (b *bench) compete(rep *report) error {
	c, err := b.enter()
	if err != nil {
		return err
	}
	if err := b.turns(c, b.wants("relay6-mix-vs-best-peer", "relay6-overload")); err != nil {
		return err
	}
	if err := b.crowds(c); err != nil {
		return err
	}
	rep.Entries = c.entries
	rep.add(b, compare(c.entries)...)
	return b.leave(c)
}

// leave ends the contenders, so that they and their neighbours are out of the
// way of what follows.
func (b *bench) leave(c *contest) error {
	var errs []error
	for _, r := range c.rigs {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}
