package history

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/host/store"
)

// shelf is a real store with a history in it. Its commits fail when they are told to, after they
// were made or before.
type shelf struct {
	*store.Store
	fail  error
	made  bool // the commit is made, and then fails
	sizes []int
	scans int
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	kept, err := store.Open(t.TempDir(), store.Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kept.Close() })
	return &shelf{Store: kept}
}

func (s *shelf) Commit(ops []store.Op) error {
	s.sizes = append(s.sizes, len(ops))
	if s.fail != nil && !s.made {
		return s.fail
	}
	return errors.Join(s.Store.Commit(ops), s.fail)
}

func (s *shelf) Scan(from, to []byte, fn func(k, v []byte) bool) error {
	s.scans++
	return s.Store.Scan(from, to, fn)
}

var firstEnd = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var quiet = slog.New(slog.DiscardHandler)

// ended is the key of the entry that ended in minute n.
func ended(n int) []byte {
	key := binary.BigEndian.AppendUint64([]byte("h"), uint64(firstEnd.Add(time.Duration(n)*time.Minute).UnixNano()))
	return append(key, 0, 1)
}

// ends are the entries of the minutes in [from, to).
func ends(from, to int) (ops []store.Op) {
	for n := from; n < to; n++ {
		ops = append(ops, store.Op{Key: ended(n), Value: []byte("past")})
	}
	return ops
}

func (s *shelf) put(t *testing.T, ops []store.Op) {
	t.Helper()
	if err := s.Store.Commit(ops); err != nil {
		t.Fatal(err)
	}
}

// want checks that the history has exactly the entries of the minutes [from, to).
func (s *shelf) want(t *testing.T, from, to int) {
	t.Helper()
	var got, want [][]byte
	err := s.Store.Scan([]byte("h"), []byte("i"), func(k, _ []byte) bool {
		got = append(got, slices.Clone(k))
		return true
	})
	for n := from; n < to; n++ {
		want = append(want, ended(n))
	}
	if err != nil || !slices.EqualFunc(got, want, slices.Equal[[]byte]) {
		t.Errorf("%d entries of the history, %x (%v), want those of the minutes %d to %d", len(got), got, err, from, to)
	}
}

func shorten(t *testing.T, h *History, entries int64, now time.Time, old bool) {
	t.Helper()
	if err := h.shorten(t.Context(), config.History{Keep: time.Hour, Entries: entries}, now, old); err != nil {
		t.Fatal(err)
	}
}

// Where a history is too long, its oldest entries are deleted, in commits of a bounded size.
// Other records stay.
func TestHistoryIsBoundedInNumber(t *testing.T) {
	s := newShelf(t)
	beside := []store.Op{{Key: []byte("d-before"), Value: []byte("d")}, {Key: []byte("m/wall"), Value: []byte("m")}}
	s.put(t, append(ends(0, 2510), beside...))
	h := New(quiet, s, nil)
	shorten(t, h, 2510, firstEnd, false)
	s.want(t, 0, 2510)
	shorten(t, h, 10, firstEnd, false)
	s.want(t, 2500, 2510)
	if want := []int{1000, 1000, 500}; !slices.Equal(s.sizes, want) {
		t.Errorf("commits of %v, want %v", s.sizes, want)
	}
	shorten(t, h, 7, firstEnd, false) // as after a reload
	s.want(t, 2503, 2510)
	s.scans = 0
	shorten(t, h, 7, firstEnd, false)
	if s.scans != 0 {
		t.Errorf("%d scans of a history that is not too long, want none", s.scans)
	}
	found := 0
	for _, o := range beside {
		if err := s.Store.Scan(o.Key, append(o.Key, 0), func(_, _ []byte) bool { found++; return true }); err != nil {
			t.Fatal(err)
		}
	}
	if found != len(beside) {
		t.Errorf("%d of %d records that are no history are left", found, len(beside))
	}
}

// After the count, each entry that roles keep is counted, and nothing else: no entry that could
// not be kept, no entry that is deleted, and no other record.
func TestHistoryCountsWhatIsKept(t *testing.T) {
	s := newShelf(t)
	s.put(t, ends(0, 5))
	h := New(quiet, s, nil)
	shorten(t, h, 5, firstEnd, false)
	odd := store.Op{Key: []byte("h2345"), Value: []byte("no key of the history")}
	for _, ops := range [][]store.Op{
		append(ends(5, 7), store.Op{Key: []byte("d"), Value: []byte("d")}, store.Op{Key: []byte("h234567890-"), Value: nil}),
		append(ends(7, 8), odd),
	} {
		if err := h.Commit(ops); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.entries(); got != 8 {
		t.Errorf("%d entries after three were added to five, want 8", got)
	}
	if err := s.Store.Commit([]store.Op{{Key: odd.Key}}); err != nil {
		t.Fatal(err)
	}
	s.fail = store.ErrFull
	if err := h.Commit(ends(8, 20)); !errors.Is(err, store.ErrFull) {
		t.Errorf("a full store: %v", err)
	}
	s.fail = nil
	if got := h.entries(); got != 8 {
		t.Errorf("%d entries after a commit that failed, want 8", got)
	}
	shorten(t, h, 6, firstEnd, false)
	s.want(t, 2, 8)
	if got := h.entries(); got != 6 {
		t.Errorf("%d entries after two were deleted, want 6", got)
	}
}

// Entries that could not be deleted are counted again, whether they are gone or not.
func TestHistoryIsCountedAgainAfterAFailure(t *testing.T) {
	for _, made := range []bool{false, true} {
		s := newShelf(t)
		s.put(t, ends(0, 9))
		h := New(quiet, s, nil)
		h.added.Store(100) // entries that were kept and deleted long ago
		s.fail, s.made = store.ErrBroken, made
		err := h.shorten(t.Context(), config.History{Entries: 6}, firstEnd, false)
		if !errors.Is(err, store.ErrBroken) {
			t.Errorf("deletion that failed: %v, want %v", err, store.ErrBroken)
		}
		s.fail = nil
		shorten(t, h, 4, firstEnd, false)
		s.want(t, 5, 9)
		if got := h.entries(); got != 4 {
			t.Errorf("deleted %v: %d entries, want 4", made, got)
		}
	}
}

// Entries that ended too long ago are deleted, however few they are, and counted as deleted.
func TestHistoryIsBoundedInTime(t *testing.T) {
	s := newShelf(t)
	s.put(t, ends(0, 90))
	h := New(quiet, s, nil)
	now := firstEnd.Add(80 * time.Minute)
	shorten(t, h, 1000, now, false)
	s.want(t, 0, 90)
	shorten(t, h, 1000, now, true)
	s.want(t, 20, 90) // an entry that ended exactly an hour ago stays
	if got := h.entries(); got != 70 {
		t.Errorf("%d entries are counted, want 70", got)
	}
	shorten(t, h, 30, now, true)
	s.want(t, 60, 90)
}
