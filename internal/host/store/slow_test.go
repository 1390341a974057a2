package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"fairlead/internal/host/store/storetest"
)

// On a slow disk Commit returns after the sync and not before, and the store can be read
// meanwhile. Events show the order: the sync does not go on until the test says so.
func TestSlowDisk(t *testing.T) {
	var slow sync.Map // switches the disk to slow
	syncing, resume := make(chan string), make(chan struct{})
	s := open(t, memDir, Options{ReserveBytes: -1, FS: storetest.Hooked(vfs.NewMem(), func(op errorfs.Op) error {
		_, on := slow.Load("on")
		if on && strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			syncing <- op.Path
			<-resume
		}
		return nil
	})})
	commit(t, s, put("a", "1"))
	slow.Store("on", true)
	events := make(chan string, 2)
	committed := make(chan error, 1)
	go func() {
		err := s.Commit([]Op{put("b", "2")})
		events <- "returned"
		committed <- err
	}()
	<-syncing
	if got := content(t, s, nil, []byte("b")); len(got) != 1 {
		t.Errorf("content while the disk syncs: %v", got)
	}
	if !s.Stats().Healthy {
		t.Error("a slow disk is not healthy")
	}
	slow.Delete("on")
	events <- "resumed"
	close(resume)
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if first, second := <-events, <-events; first != "resumed" || second != "returned" {
		t.Errorf("events: %s, %s; want resumed, returned", first, second)
	}
	wantContent(t, s, "a=1", "b=2")
}

// Scans, commits and reads of the state run at the same time. A Close in the middle ends all of
// them with ErrClosed.
func TestConcurrentUse(t *testing.T) {
	s := open(t, t.TempDir(), Options{memTable: testMemTable})
	commit(t, s, put("a000", "0"), put("b000", "0"))
	var wg sync.WaitGroup
	run := func(step func(i int) error) {
		wg.Go(func() {
			for i := 0; ; i++ {
				if err := step(i); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	passes := make(chan struct{}, 1)
	for w := range 2 {
		run(func(i int) error {
			k, v := fmt.Sprintf("%d%03d", w, i%500), strings.Repeat("v", i%300)
			return s.Commit([]Op{put("a"+k, v), put("b"+k, v)})
		})
	}
	run(func(int) error {
		// Each commit writes a pair: a scan sees both or neither.
		var a, b []string
		err := s.Scan(nil, nil, func(k, v []byte) bool {
			pair := fmt.Sprintf("%s=%d", k[1:], len(v))
			if k[0] == 'a' {
				a = append(a, pair)
			} else {
				b = append(b, pair)
			}
			return true
		})
		if err == nil && strings.Join(a, " ") != strings.Join(b, " ") {
			return errors.New("a scan saw half a commit")
		}
		select {
		case passes <- struct{}{}:
		default:
		}
		return err
	})
	run(func(int) error {
		if s.closed.Load() {
			return ErrClosed
		}
		s.Stats()
		s.Corrupt()
		return nil
	})
	for range 20 {
		<-passes
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// Other files in the folder stay, and the folder is closed to other users.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, Options{})
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder: %v, want 0700", info.Mode())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"000001.sst", "000001.log", "MANIFEST-000001", "notes", "000009.dbtmp"}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, Options{})
	commit(t, s, put("a", "1"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
