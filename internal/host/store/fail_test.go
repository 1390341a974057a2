package store

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"fairlead/internal/host/store/storetest"
)

var diskErrors = []struct {
	disk error
	want error
}{
	{syscall.ENOSPC, ErrFull},
	{syscall.EDQUOT, ErrFull},
	{syscall.EIO, ErrBroken},
	{syscall.EROFS, ErrBroken},
}

// One write fails, each in turn, and the disk works again. Nothing ends the process, the failure
// is an error, and the store recovers: the next commit is kept.
func TestEachWriteFailsOnce(t *testing.T) {
	w := newWorkload(40, 2000)
	before := runtime.NumGoroutine()
	for n, more := 1, true; more; n++ {
		e := diskErrors[n%len(diskErrors)]
		hook, failed := failing(n, n, e.disk)
		err := w.runThroughFailure(vfs.NewMem(), hook, e.want)
		if err != nil {
			t.Fatalf("write %d fails with %v: %v", n, e.disk, err)
		}
		more = failed.Load()
	}
	// Engines that were replaced are closed, and not left behind.
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// runThroughFailure runs the workload on a disk that fails once, and compares the result with the
// model.
func (w *workload) runThroughFailure(disk vfs.FS, hook func(errorfs.Op) error, want error) error {
	o := Options{FS: storetest.Hooked(disk, hook), ReserveBytes: -1, memTable: testMemTable}
	s, err := Open(memDir, o)
	if err != nil {
		if !errors.Is(err, want) {
			return fmt.Errorf("open: %w", err)
		}
		if s, err = Open(memDir, o); err != nil {
			return fmt.Errorf("second open: %w", err)
		}
	}
	failures := 0
	commit := func(k int, ops []Op) error { // after k other commits
		for {
			err := s.Commit(ops)
			if err == nil {
				return nil
			}
			failures++
			if !errors.Is(err, want) || failures > 1 {
				return errors.Join(fmt.Errorf("commit %d, failure %d: %w", k, failures, err), s.Close())
			}
			if _, err := w.matches(s, k); err != nil {
				return errors.Join(fmt.Errorf("after the failure: %w", err), s.Close())
			}
		}
	}
	for k, ops := range w.commits {
		if err := commit(k, ops); err != nil {
			return err
		}
	}
	stats := s.Stats()
	if all := len(w.commits); !stats.Healthy {
		// The failure hit work in the background that came last. The next commit, here the last
		// one again, recovers.
		if err := commit(all, w.commits[all-1]); err != nil {
			return err
		}
		stats = s.Stats()
	}
	if _, err := w.matches(s, len(w.commits)); err != nil {
		return errors.Join(err, s.Close())
	}
	if !stats.Healthy || stats.RecordsSetAside > 0 || len(stats.DatabasesSetAside) > 0 {
		return errors.Join(fmt.Errorf("stats: %+v", stats), s.Close())
	}
	if s.lost > 0 {
		return errors.Join(fmt.Errorf("%d engines were left behind", s.lost), s.Close())
	}
	// The failure may hit the close itself, which may then return an error. What was committed is
	// durable all the same.
	if err := s.Close(); err != nil && !errors.Is(err, want) {
		return fmt.Errorf("close: %w", err)
	}
	_, err = w.verify(disk, len(w.commits))
	return err
}

// After the engine was cut off from its disk it believes that it has written a table, and finds it empty.
// Whoever reads at that moment gets what is durable: nothing is damaged.
func TestScanOfAnEngineThatWasCutOff(t *testing.T) {
	s := open(t, memDir, Options{FS: vfs.NewMem(), ReserveBytes: -1})
	commit(t, s, put("a", "1"), put("b", "2"))
	s.engine.fs.onCut = func() {} // nobody is told: only the scan itself can see it
	s.engine.fs.cut(fmt.Errorf("%w: %w", ErrBroken, syscall.EIO))
	if err := s.engine.db.Flush(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, "a=1", "b=2")
	if stats := s.Stats(); stats.Healthy || len(stats.DatabasesSetAside) > 0 {
		t.Errorf("stats: %+v", stats)
	}
	commit(t, s, put("c", "3"))
	wantContent(t, s, "a=1", "b=2", "c=3")
}

// The engine is cut off in the middle of a scan: no record is seen twice, and none is missed.
func TestCutOffInTheMiddleOfAScan(t *testing.T) {
	s := open(t, memDir, Options{FS: vfs.NewMem(), ReserveBytes: -1})
	var want []string
	for i := range 50 {
		k := fmt.Sprintf("k%02d", i)
		commit(t, s, put(k, strings.Repeat("v", 40<<10)))
		want = append(want, k)
	}
	if err := s.engine.db.Flush(); err != nil {
		t.Fatal(err)
	}
	s.engine.fs.onCut = func() {}
	fails := func() error { return nil }
	s.engine.fs.FS = errorfs.Wrap(s.engine.fs.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt {
			return fails()
		}
		return nil
	}))
	var got []string
	err := s.Scan(nil, nil, func(k, _ []byte) bool {
		got = append(got, string(k))
		if len(got) == 20 {
			s.engine.fs.cut(fmt.Errorf("%w: %w", ErrBroken, syscall.EIO))
			fails = func() error { return syscall.EIO }
		}
		return true
	})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("err = %v; keys (-want +got):\n%s", err, diff)
	}
}

// From the nth write on all writes fail, and then the disk works again. While it fails, what was
// acknowledged can be read, and commits are refused. Then the store goes on by itself.
func TestAllWritesFailForAWhile(t *testing.T) {
	w := newWorkload(30, 2000)
	const step = 5
	for n, more := 60, true; more; n += step {
		e := diskErrors[n/step%len(diskErrors)]
		more = w.runThroughOutage(t, n, e.disk, e.want)
	}
}

func (w *workload) runThroughOutage(t *testing.T, n int, fault, want error) (failed bool) {
	t.Helper()
	var mended atomic.Bool
	hook, hits := failing(n, math.MaxInt, fault)
	disk := vfs.NewMem()
	s := open(t, memDir, Options{ReserveBytes: -1, memTable: testMemTable, FS: storetest.Hooked(disk, func(op errorfs.Op) error {
		if mended.Load() {
			return nil
		}
		return hook(op)
	})})
	refused := 0
	for k, ops := range w.commits {
		err := s.Commit(ops)
		if err == nil {
			continue
		}
		for range 3 {
			if refused++; !errors.Is(err, want) {
				t.Fatalf("writes fail from %d on with %v: commit %d: err = %v, want %v", n, fault, k, err, want)
			}
			if _, err := w.matches(s, k); err != nil {
				t.Fatalf("writes fail from %d on with %v: during commit %d: %v", n, fault, k, err)
			}
			if s.Stats().Healthy {
				t.Fatalf("writes fail from %d on with %v: the store is healthy", n, fault)
			}
			err = s.Commit(ops)
		}
		mended.Store(true)
		if err := s.Commit(ops); err != nil {
			t.Fatalf("writes failed from %d on with %v: commit %d once they do not: %v", n, fault, k, err)
		}
	}
	if _, err := w.matches(s, len(w.commits)); err != nil {
		t.Fatalf("writes failed from %d on with %v: %v", n, fault, err)
	}
	if s.lost > 0 {
		t.Fatalf("writes failed from %d on with %v: %d engines were left behind", n, fault, s.lost)
	}
	failed = hits.Load()
	mended.Store(true)
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if _, err := w.verify(disk, len(w.commits)); err != nil {
		t.Fatalf("writes failed from %d on with %v: %v", n, fault, err)
	}
	return failed
}
