package store

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fairlead/internal/host/store/storetest"
)

// The power is cut before every single write of a run of commits, three times each: of what was
// not synced, nothing survives, or a random half, or all. What was acknowledged is there, and no
// commit is there in part.
func TestPowerCutAtEveryWrite(t *testing.T) {
	w := newWorkload(70, 2000)
	disk := crashable(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var acknowledged atomic.Int64
	var points, ahead int
	kinds := make(map[errorfs.OpKind]int)
	s := open(t, memDir, Options{ReserveBytes: -1, memTable: testMemTable, FS: storetest.Hooked(disk, func(op errorfs.Op) error {
		points++
		kinds[op.Kind]++
		for _, survives := range []int{0, 50, 100} {
			// The acknowledged number is read first: the clone may only be newer.
			k := int(acknowledged.Load())
			left := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: rng})
			there, err := w.verify(left, k)
			if err != nil {
				t.Errorf("cut before write %d (%v %s), %d%% of the unsynced data survive: %v", points, op.Kind, op.Path, survives, err)
			}
			if there > k {
				ahead++
			}
		}
		return nil
	})})
	for i, ops := range w.commits {
		if err := s.Commit(ops); err != nil {
			t.Fatalf("commit %d: %v", i, err)
		}
		acknowledged.Add(1)
		if t.Failed() {
			return
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cuts, %d of them with one commit more than was acknowledged; %s", 3*points, ahead, fmt.Sprint(kinds))
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpRemove, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData} {
		if kinds[kind] == 0 {
			t.Errorf("the run of commits never did operation %v: it is too small", kind)
		}
	}
	if ahead == 0 {
		t.Error("no cut fell between a sync and its acknowledgement")
	}
}
