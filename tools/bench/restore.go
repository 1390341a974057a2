package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/tools/bench/bars"
)

// restore starts a fairlead whose delegations are in the store alone: nothing in
// the kernel, nothing in the page cache.
func restore(b *bench) (bar, error) {
	l, err := b.loaded()
	if err != nil {
		return bar{}, err
	}
	want, err := l.routes()
	if err != nil {
		return bar{}, err
	}
	var (
		times         []float64
		missing       string
		strict, loose int
	)
	for range b.rounds {
		took, err := l.restart()
		if err != nil {
			return bar{}, err
		}
		times = append(times, took.Seconds())
		routes, err := l.routes()
		if err != nil {
			return bar{}, err
		}
		if strict, loose, err = l.elements(); err != nil {
			return bar{}, err
		}
		if routes != want || strict+loose != want {
			missing = fmt.Sprintf(", but %d routes and %d filter elements", routes, strict+loose)
		}
	}
	rss, err := l.settle()
	if err != nil {
		return bar{}, err
	}
	took := bars.Median(times)
	r := judge("relay6-restore", fmt.Sprintf("%.2f s for %d%s", took, want, missing), missing == "" && took < wantRestore.Seconds())
	r.Notes = []string{
		fmt.Sprintf("Memory after the last restart: %.1f MB.", float64(rss)/1e6),
		fmt.Sprintf("In the filter: %d prefixes from one link-layer address each, %d from anywhere on the link.", strict, loose),
	}
	return r, nil
}

// restart stops fairlead, makes the start a cold one, and says how long it took
// until fairlead was ready.
func (l *loaded) restart() (time.Duration, error) {
	if err := l.fairlead.Stop(); err != nil {
		return 0, err
	}
	if _, err := l.relay.Run("ip", "-6", "route", "flush", "proto", "87"); err != nil {
		return 0, err
	}
	if _, err := l.relay.Run("nft", "delete", "table", "inet", "fairlead"); err != nil {
		return 0, err
	}
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := l.fairlead.Start(); err != nil {
		return 0, err
	}
	took := time.Since(start)
	l.pid = l.fairlead.Proc().Pid()
	return took, nil
}
