package store

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fairlead/internal/host/store/storetest"
)

// damagedDisk is a disk with a store whose manifest is gone: all its records can be salvaged.
func damagedDisk(t *testing.T) (disk *storetest.Disk, want map[string]string) {
	t.Helper()
	w := newWorkload(40, 2000)
	disk = crashable(t)
	s := open(t, memDir, Options{FS: disk, ReserveBytes: -1, memTable: testMemTable})
	for _, ops := range w.commits {
		commit(t, s, ops...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := disk.PathJoin(memDir, databaseDir)
	names, err := disk.List(db)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, manifestPrefix) {
			if err := disk.Remove(disk.PathJoin(db, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir, err := disk.OpenDir(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		t.Fatal(err)
	}
	all := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}
	return disk.CrashClone(all), w.after[len(w.commits)]
}

// repaired opens a store, and checks that it serves all of want and has set a database aside.
// Records that had been deleted may come back, and are not checked.
func repaired(disk vfs.FS, want map[string]string) error {
	s, err := Open(memDir, Options{FS: disk, ReserveBytes: -1, memTable: testMemTable})
	if err != nil {
		return err
	}
	got, err := tags(s)
	stats := s.Stats()
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	maps.DeleteFunc(got, func(k, _ string) bool { _, ok := want[k]; return !ok })
	if !maps.Equal(got, want) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if len(stats.DatabasesSetAside) == 0 || !stats.Healthy {
		return fmt.Errorf("stats: %+v", stats)
	}
	return nil
}

// The power is cut at every write while a damaged database is set aside. The next start finishes
// the work, and nothing is lost.
func TestPowerCutWhileSettingAside(t *testing.T) {
	disk, want := damagedDisk(t)
	rng := rand.New(rand.NewPCG(3, 4))
	cuts := 0
	hook := func(op errorfs.Op) error {
		for _, survives := range []int{0, 100} {
			cuts++
			left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: rng})
			if err := repaired(left, want); err != nil {
				t.Errorf("cut before %v %s, %d%% of the unsynced data survive: %v", op.Kind, op.Path, survives, err)
			}
		}
		return nil
	}
	if err := repaired(storetest.Hooked(disk, hook), want); err != nil {
		t.Error(err)
	}
	t.Logf("%d cuts", cuts)
}

// Each write fails in turn while a damaged database is set aside. Open returns an error, or goes
// on; the next Open finishes the work.
func TestEachWriteFailsWhileSettingAside(t *testing.T) {
	disk, want := damagedDisk(t)
	for n, more := 1, true; more; n++ {
		copied := disk.CrashClone(vfs.CrashCloneCfg{})
		hook, failed := failing(n, n, syscall.ENOSPC)
		s, err := Open(memDir, Options{FS: storetest.Hooked(copied, hook), ReserveBytes: -1, memTable: testMemTable})
		if err == nil {
			err = s.Close()
		}
		if err != nil && !errors.Is(err, ErrFull) {
			t.Fatalf("write %d fails: err = %v, want ErrFull", n, err)
		}
		if err := repaired(copied, want); err != nil {
			t.Fatalf("write %d failed: %v", n, err)
		}
		more = failed.Load()
	}
}

// noLockFS is a disk on which no lock can be made until it is mended.
type noLockFS struct {
	mended *atomic.Bool
	fault  error
	vfs.FS
}

func (d noLockFS) Lock(name string) (io.Closer, error) {
	if !d.mended.Load() {
		return nil, &os.PathError{Op: "open", Path: name, Err: d.fault}
	}
	return d.FS.Lock(name)
}

// An existing store can be read even if nothing can be written to its disk. A damaged one is not
// changed then.
func TestOpenOnAFailingDisk(t *testing.T) {
	for _, fault := range []syscall.Errno{syscall.EROFS, syscall.EACCES} {
		t.Run(fault.Error(), func(t *testing.T) { openOnAFailingDisk(t, fault) })
	}
}

func openOnAFailingDisk(t *testing.T, fault error) {
	w := newWorkload(20, 2000)
	disk := vfs.NewMem()
	s := open(t, memDir, Options{FS: disk, ReserveBytes: -1, memTable: testMemTable})
	for _, ops := range w.commits {
		commit(t, s, ops...)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var mended atomic.Bool
	hook, _ := failing(1, math.MaxInt, fault)
	s = open(t, memDir, Options{ReserveBytes: -1, memTable: testMemTable, FS: noLockFS{&mended, fault, storetest.Hooked(disk, func(op errorfs.Op) error {
		if mended.Load() || op.Kind == errorfs.OpMkdirAll || op.Kind == errorfs.OpOpenDir || op.Kind == errorfs.OpFileClose {
			return nil
		}
		if op.Kind == errorfs.OpFileSync && op.Path == "/var" {
			return nil
		}
		return hook(op)
	})}})
	if _, err := w.matches(s, len(w.commits)); err != nil {
		t.Error(err)
	}
	if err := s.Commit([]Op{put("k", "v")}); !errors.Is(err, ErrBroken) {
		t.Errorf("Commit: err = %v, want ErrBroken", err)
	}
	if stats := s.Stats(); stats.Healthy || !strings.Contains(stats.LastError, fault.Error()) {
		t.Errorf("stats: %+v", stats)
	}
	mended.Store(true)
	commit(t, s, put("k", "v"))
	if !slices.Contains(content(t, s, nil, nil), "k=v") || !s.Stats().Healthy {
		t.Errorf("the store did not recover: %+v", s.Stats())
	}
}

// If nothing was ever kept and nothing can be written, the store is empty until something can be
// written.
func TestOpenWhereNothingCanBeWritten(t *testing.T) {
	for _, fault := range []syscall.Errno{syscall.EROFS, syscall.EACCES, syscall.ENOSPC} {
		var mended atomic.Bool
		s := open(t, memDir, Options{ReserveBytes: -1, FS: noLockFS{&mended, fault, storetest.Hooked(vfs.NewMem(), func(errorfs.Op) error {
			if mended.Load() {
				return nil
			}
			return fault
		})}})
		wantContent(t, s)
		if err := s.Commit([]Op{put("k", "v")}); !errors.Is(err, fault) {
			t.Errorf("%v: Commit: err = %v", fault, err)
		}
		wantContent(t, s)
		if stats := s.Stats(); stats.Healthy || !strings.Contains(stats.LastError, fault.Error()) {
			t.Errorf("%v: stats: %+v", fault, stats)
		}
		mended.Store(true)
		commit(t, s, put("k", "v"))
		wantContent(t, s, "k=v")
		if !s.Stats().Healthy {
			t.Errorf("%v: the store did not recover: %+v", fault, s.Stats())
		}
	}
}
