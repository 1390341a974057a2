package store

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fairlead/internal/host/store/storetest"
)

// When Pebble wants to end the process, the call gets an error, the engine is left behind, and
// the next commit makes another engine. The number of engines left behind is bounded.
func TestDatabaseGivesUp(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, put("a", "1"))
	for n := range maxLost {
		e := s.engine
		err := contain(func() error {
			(&engineLogger{log: s.log, engine: e}).Fatalf("cannot go on: %d", n)
			return nil
		})
		if !errors.Is(err, errFatal) {
			t.Fatalf("guard: err = %v, want errFatal", err)
		}
		if e.writes() {
			t.Fatal("the engine still writes")
		}
		if n < maxLost-1 {
			commit(t, s, put("a", "1"))
		}
	}
	if err := s.Commit([]Op{put("a", "1")}); !errors.Is(err, ErrBroken) {
		t.Errorf("Commit: err = %v, want ErrBroken", err)
	}
	wantContent(t, s, "a=1")
}

// A panic inside Pebble, in a call of ours, is an error too.
func TestDatabasePanics(t *testing.T) {
	err := contain(func() error { panic("invariant") })
	if !errors.Is(err, errFatal) || err.Error() != "the database gave up: invariant" {
		t.Errorf("guard: err = %v", err)
	}
}

// One write in fifty fails, in the background or not, again and again, and sometimes the power is
// cut at that write.
func TestWritesFailAtRandom(t *testing.T) {
	w := newWorkload(150, 2000)
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 7))
		disk := crashable(t)
		var acknowledged atomic.Int64
		failures := 0
		hook := func(errorfs.Op) error {
			if rng.IntN(50) > 0 {
				return nil
			}
			failures++
			if rng.IntN(4) == 0 {
				acked := int(acknowledged.Load())
				left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
				if _, err := w.verify(left, acked); err != nil {
					t.Errorf("seed %d, cut at failure %d: %v", seed, failures, err)
				}
			}
			return []error{syscall.EIO, syscall.ENOSPC}[rng.IntN(2)]
		}
		o := Options{FS: storetest.Hooked(disk, hook), ReserveBytes: -1, memTable: testMemTable}
		s, err := Open(memDir, o)
		for tries := 0; err != nil && tries < 50; tries++ {
			s, err = Open(memDir, o)
		}
		if err != nil {
			t.Fatal(err)
		}
		for k, tries := 0, 0; k < len(w.commits) && !t.Failed(); tries++ {
			err := s.Commit(w.commits[k])
			switch {
			case err == nil:
				k++
				acknowledged.Add(1)
			case !errors.Is(err, ErrFull) && !errors.Is(err, ErrBroken):
				t.Errorf("seed %d, commit %d: %v", seed, k, err)
			case tries > 20*len(w.commits):
				t.Errorf("seed %d: stuck at commit %d: %v", seed, k, err)
			}
		}
		if s.lost > 0 {
			t.Errorf("seed %d: %d engines were left behind", seed, s.lost)
		}
		_ = s.Close() // it may meet a failure, which undoes nothing
		if _, err := w.verify(disk, len(w.commits)); err != nil {
			t.Errorf("seed %d, after %d failures: %v", seed, failures, err)
		}
		t.Logf("seed %d: %d failures", seed, failures)
	}
}
