package store

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func put(k, v string) Op { return Op{Key: []byte(k), Value: []byte(v)} }
func del(k string) Op    { return Op{Key: []byte(k)} }

// open opens a store in dir and closes it with the test.
func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func commit(t testing.TB, s *Store, ops ...Op) {
	t.Helper()
	if err := s.Commit(ops); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// content reads a range of a store as "key=value" lines.
func content(t testing.TB, s *Store, from, to []byte) []string {
	t.Helper()
	var lines []string
	err := s.Scan(from, to, func(k, v []byte) bool {
		lines = append(lines, fmt.Sprintf("%s=%s", k, v))
		return true
	})
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return lines
}

func wantContent(t testing.TB, s *Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, content(t, s, nil, nil)); diff != "" {
		t.Fatalf("content (-want +got):\n%s", diff)
	}
}

func TestKeepsWhatWasCommitted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	commit(t, s, put("b", "2"), put("a", "1"), put("c", "3"))
	commit(t, s, del("b"), put("a", "one"), put("empty", ""))
	want := []string{"a=one", "c=3", "empty="}
	wantContent(t, s, want...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, open(t, dir, Options{}), want...)
}

func TestOrderInABatch(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, put("a", "1"), del("a"), put("b", "1"), put("b", "2"), del("c"), put("c", "3"))
	wantContent(t, s, "b=2", "c=3")
}

func TestScanRange(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	commit(t, s, put("", "0"), put("a", "1"), put("b", "2"), put("b\x00", "3"), put("c", "4"), put("\xff\xff", "5"))
	tests := []struct {
		from, to []byte
		want     []string
	}{
		{nil, nil, []string{"=0", "a=1", "b=2", "b\x00=3", "c=4", "\xff\xff=5"}},
		{[]byte("b"), []byte("c"), []string{"b=2", "b\x00=3"}},
		{[]byte("b"), nil, []string{"b=2", "b\x00=3", "c=4", "\xff\xff=5"}},
		{nil, []byte("b"), []string{"=0", "a=1"}},
		{[]byte("c"), []byte("b"), nil},
		{[]byte("b"), []byte("b"), nil},
		{nil, []byte{}, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, content(t, s, tt.from, tt.to)); diff != "" {
			t.Errorf("Scan(%q, %q) (-want +got):\n%s", tt.from, tt.to, diff)
		}
	}
	var seen int
	err := s.Scan(nil, nil, func(_, _ []byte) bool { seen++; return seen < 2 })
	if err != nil || seen != 2 {
		t.Errorf("Scan that is stopped: %d records, %v; want 2, nil", seen, err)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit([]Op{put("a", "1")}); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit: err = %v, want ErrClosed", err)
	}
	if err := s.Scan(nil, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Scan: err = %v, want ErrClosed", err)
	}
	if err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("Close: err = %v, want ErrClosed", err)
	}
	if s.Stats().Healthy {
		t.Error("Stats: a closed store is healthy")
	}
}

func TestOpenedTwice(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second Open: err = %v, want ErrLocked", err)
	}
	commit(t, s, put("a", "1"))
	wantContent(t, s, "a=1")
}

func TestTooLarge(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if err := s.Commit([]Op{{Key: make([]byte, MaxKeyBytes+1)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("long key: err = %v, want ErrTooLarge", err)
	}
	half := make([]byte, MaxBatchBytes/2)
	ops := []Op{{Key: []byte("a"), Value: half}, {Key: []byte("b"), Value: half}}
	if err := s.Commit(ops); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large batch: err = %v, want ErrTooLarge", err)
	}
	wantContent(t, s)
	commit(t, s, Op{Key: make([]byte, MaxKeyBytes), Value: []byte("x")}, Op{Key: []byte("large"), Value: half})
}
