package store

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fairlead/internal/host/store/storetest"
)

// memDir is the folder of stores in the file systems of these tests. It is two folders deep, so
// that a missing sync of a parent shows.
const memDir = "/var/store"

// testMemTable is so small that a short workload flushes often, and that a commit of half of it
// is handled as a large batch.
const testMemTable = 16 << 10

// workload is a run of commits, with the content after the first k of them, for each k. It is
// large enough to fill memory tables, so that flushes, compactions and new logs happen.
type workload struct {
	commits [][]Op
	after   []map[string]string // after[k]: tag of each key after k commits
}

// newWorkload makes n commits. Each writes three keys, which may be there already, and deletes
// one or writes it again: so the content after a part of a commit is not that after any number of
// whole ones.
func newWorkload(n, valueBytes int) *workload {
	w := &workload{after: []map[string]string{{}}}
	pad := strings.Repeat("x", valueBytes)
	for i := range n {
		state := maps.Clone(w.after[i])
		tag := fmt.Sprintf("%06d", i)
		pad := pad
		if i%10 == 9 {
			pad = strings.Repeat(pad, 2)
		}
		var ops []Op
		for _, group := range "abc" {
			key := fmt.Sprintf("%c%02d", group, i%29)
			ops = append(ops, put(key, tag+pad))
			state[key] = tag
		}
		gone := fmt.Sprintf("b%02d", (i*7)%29)
		ops = append(ops, del(gone))
		delete(state, gone)
		w.commits = append(w.commits, ops)
		w.after = append(w.after, state)
	}
	return w
}

// tags reads a store in the form of a workload's states.
func tags(s *Store) (map[string]string, error) {
	got := make(map[string]string)
	err := s.Scan(nil, nil, func(k, v []byte) bool {
		got[string(k)] = string(v[:min(6, len(v))])
		return true
	})
	return got, err
}

// verify opens what is on a disk after acknowledged commits. It checks that each of them is
// there, that the next one is there as a whole or not at all, and that the store goes on working.
// It returns how many commits are there.
func (w *workload) verify(disk vfs.FS, acknowledged int) (int, error) {
	s, err := Open(memDir, Options{FS: disk, ReserveBytes: -1, memTable: testMemTable})
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	there, err := w.matches(s, acknowledged)
	if err == nil {
		err = s.Commit([]Op{put("later", "000000")})
	}
	if stats := s.Stats(); err == nil && (!stats.Healthy || stats.RecordsSetAside > 0 || len(stats.DatabasesSetAside) > 0 || stats.CommitsLost > 0) {
		err = fmt.Errorf("stats: %+v", stats)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return there, err
	}
	s, err = Open(memDir, Options{FS: disk, ReserveBytes: -1, memTable: testMemTable})
	if err != nil {
		return there, fmt.Errorf("second open: %w", err)
	}
	got, err := tags(s)
	if err == nil && got["later"] != "000000" {
		err = errors.New("the commit after the crash is lost")
	}
	return there, errors.Join(err, s.Close())
}

// matches returns after how many commits the store has its present content. That must be
// acknowledged, or one more.
func (w *workload) matches(s *Store, acknowledged int) (int, error) {
	got, err := tags(s)
	if err != nil {
		return 0, err
	}
	for k := acknowledged; k <= min(acknowledged+1, len(w.commits)); k++ {
		if maps.Equal(got, w.after[k]) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("content is neither that of %d commits nor of one more:\n got %v\nwant %v", acknowledged, got, w.after[acknowledged])
}

// failing returns a hook that fails the writes from number from to number to, counted from 1, and
// a flag that says whether it has.
func failing(from, to int, err error) (hook func(errorfs.Op) error, failed *atomic.Bool) {
	n := 0
	failed = new(atomic.Bool)
	return func(errorfs.Op) error {
		n++
		if n < from || n > to {
			return nil
		}
		failed.Store(true)
		return err
	}, failed
}

func crashable(t testing.TB) *storetest.Disk {
	t.Helper()
	disk, err := storetest.Crashable()
	if err != nil {
		t.Fatal(err)
	}
	return disk
}
