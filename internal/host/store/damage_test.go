package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
)

// plant writes pairs into the database without frames.
func plant(t *testing.T, s *Store, pairs map[string]string) {
	t.Helper()
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.engine.apply(func(b *pebble.Batch) error {
		for k, frame := range pairs {
			if err := b.Set(spaced(spaceRecord, []byte(k)), []byte(frame), nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// badFrames are values that are not valid, by key, and what is wrong with each.
func badFrames() (frames, reasons map[string]string) {
	good := string(appendFrame(nil, spaced(spaceRecord, []byte("bad3")), 7, []byte("value")))
	frames = map[string]string{
		"bad0": "",
		"bad1": good[:frameHeader-1],
		"bad2": "\x02" + good[1:],
		"bad4": good, // the frame of another key
		"bad5": good[:len(good)-1] + "E",
		"bad6": good[:1] + "\xff" + good[2:],
		"bad7": good[:len(good)-1],
	}
	reasons = map[string]string{
		"bad0": "shorter than its frame: 0 octets",
		"bad1": "shorter than its frame: 12 octets",
		"bad2": "unknown frame version: 2",
		"bad4": "checksum mismatch",
		"bad5": "checksum mismatch",
		"bad6": "checksum mismatch",
		"bad7": "checksum mismatch",
	}
	return frames, reasons
}

func wantCorrupt(t *testing.T, s *Store, reasons map[string]string) {
	t.Helper()
	got := make(map[string]string)
	for _, c := range s.Corrupt() {
		got[string(c.Key)] = c.Reason
	}
	if diff := cmp.Diff(reasons, got); diff != "" {
		t.Errorf("Corrupt (-want +got):\n%s", diff)
	}
	if n := s.Stats().RecordsSetAside; n != uint64(len(reasons)) {
		t.Errorf("RecordsSetAside = %d, want %d", n, len(reasons))
	}
}

func TestBadRecordsAreSetAsideByScan(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	commit(t, s, put("a", "1"), put("bad3", "good"), put("z", "2"))
	frames, reasons := badFrames()
	plant(t, s, frames)
	whole := []string{"a=1", "bad3=good", "z=2"}
	for range 2 {
		wantContent(t, s, whole...)
		wantCorrupt(t, s, reasons)
	}
	if stats := s.Stats(); !stats.Healthy || len(stats.DatabasesSetAside) > 0 {
		t.Errorf("stats: %+v", stats)
	}
	// The key can be used again, and the record stays in quarantine.
	commit(t, s, put("bad0", "anew"))
	whole = []string{"a=1", "bad0=anew", "bad3=good", "z=2"}
	wantContent(t, s, whole...)
	wantCorrupt(t, s, reasons)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	wantContent(t, s, whole...)
	wantCorrupt(t, s, reasons)
}

func TestBadRecordsAreSetAsideByOpen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	commit(t, s, put("a", "1"), put("bad3", "good"), put("z", "2"))
	frames, reasons := badFrames()
	plant(t, s, frames)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	wantCorrupt(t, s, reasons)
	wantContent(t, s, "a=1", "bad3=good", "z=2")
}

// There are more bad records than one pass moves, and more than the list holds.
func TestManyBadRecords(t *testing.T) {
	const n = 3000
	frames := make(map[string]string)
	for i := range n {
		frames[fmt.Sprintf("bad%05d", i)] = "rubbish"
	}
	dir := t.TempDir()
	s := open(t, dir, Options{})
	commit(t, s, put("a", "1"), put("z", "2"))
	plant(t, s, frames)
	wantContent(t, s, "a=1", "z=2")
	if got := s.Stats().RecordsSetAside; got != maxQuarantineBatch {
		t.Errorf("after one scan %d are set aside, want %d", got, maxQuarantineBatch)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	if got := s.Stats().RecordsSetAside; got != n {
		t.Errorf("after Open %d are set aside, want %d", got, n)
	}
	if got := len(s.Corrupt()); got != maxCorruptListed {
		t.Errorf("the list has %d, want %d", got, maxCorruptListed)
	}
	wantContent(t, s, "a=1", "z=2")
}

// sample is a closed store with tables, a log and a manifest, and with its content.
type sample struct {
	dir     string
	content map[string]string
	had     map[string]bool // "key=value" of everything that was ever committed
}

func newSample(t *testing.T) sample {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sample")
	s := open(t, dir, Options{memTable: testMemTable})
	content, had := make(map[string]string), make(map[string]bool)
	for i := range 400 {
		k, v := fmt.Sprintf("key%03d", i*7%300), fmt.Sprintf("%d:%s", i, strings.Repeat("v", 180))
		commit(t, s, put(k, v))
		content[k] = v
		had[k+"="+v] = true
	}
	for i := range 20 {
		k := fmt.Sprintf("key%03d", i*11)
		commit(t, s, del(k))
		delete(content, k)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return sample{dir, content, had}
}

// copy makes a copy of the store, which may be damaged.
func (s sample) copy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// glob returns the files of a database that match, at least one.
func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, databaseDir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("files %s: %v, %v", pattern, paths, err)
	}
	return paths
}

// served opens a damaged store, and returns how many records it does not serve with their last
// values. No record may have a value that it never had, and a second start must serve the same.
func (s sample) served(t *testing.T, dir string) (lost int, stats Stats) {
	t.Helper()
	for start := range 2 {
		st, err := Open(dir, Options{memTable: testMemTable})
		if err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		missing := len(s.content)
		err = st.Scan(nil, nil, func(k, v []byte) bool {
			if !s.had[string(k)+"="+string(v)] {
				t.Errorf("%s has a value that it never had: %q", k, v)
			}
			if s.content[string(k)] == string(v) {
				missing--
			}
			return true
		})
		if err == nil {
			err = st.Commit([]Op{put("later", "x"), del("later")})
		}
		stats = st.Stats()
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil || !stats.Healthy {
			t.Fatalf("start %d: %v; %+v", start, err, stats)
		}
		if start > 0 && missing != lost {
			t.Errorf("%d records are lost at first, %d at the second start", lost, missing)
		}
		lost = missing
	}
	return lost, stats
}

// One wrong octet anywhere in the database never stops the start, and never makes a record that
// was not there. It costs a block of a table or a commit, or a table if its index is hit, and
// every loss is reported.
func TestOneOctetFlipped(t *testing.T) {
	s := newSample(t)
	var flips, large int
	for _, path := range glob(t, s.dir, "*") {
		name := filepath.Base(path)
		size := fileSize(t, path)
		for at := int64(0); at < size; at += 1 + size/12 {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				flips++
				dir := s.copy(t)
				damaged := filepath.Join(dir, databaseDir, name)
				overwrite(t, damaged, func(b []byte) []byte { b[at] ^= 0x10; return b })
				before := read(t, damaged)
				lost, stats := s.served(t, dir)
				if lost > 0 && len(stats.DatabasesSetAside) == 0 {
					t.Errorf("%d records are lost in silence", lost)
				}
				if lost > 6 {
					large++
				}
				for _, aside := range stats.DatabasesSetAside {
					if !bytes.Equal(before, read(t, filepath.Join(aside, name))) {
						t.Errorf("%s was not kept as it was", name)
					}
				}
			})
		}
	}
	t.Logf("%d flips, %d of them cost more than a block", flips, large)
	if large*5 > flips {
		t.Errorf("%d of %d flips cost more than a block", large, flips)
	}
}

// Whole files are gone, cut short, or full of random octets.
func TestFilesDestroyed(t *testing.T) {
	s := newSample(t)
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	empty := func([]byte) []byte { return nil }
	rubbish := func(b []byte) []byte { return bytes.Repeat([]byte("rubbish "), len(b)/8+1) }
	tables := glob(t, s.dir, "*.sst")
	table := filepath.Base(tables[len(tables)-1])
	tests := []struct {
		name, pattern string
		change        func([]byte) []byte // nil: the files are gone
		lost          int                 // at most
	}{
		{"manifest gone", "MANIFEST-*", nil, 0},
		{"manifest empty", "MANIFEST-*", empty, 0},
		{"manifest cut", "MANIFEST-*", cut, 0},
		{"manifest is rubbish", "MANIFEST-*", rubbish, 0},
		{"pointer to the manifest gone", "marker.manifest.*", nil, 0},
		{"format gone", "marker.format-version.*", nil, 0},
		{"both pointers gone", "marker.*", nil, 0},
		{"options rubbish", "OPTIONS-*", rubbish, 0},
		{"all but tables and logs gone", "[^0-9]*", nil, 0},
		{"a table gone", table, nil, len(s.content)},
		{"a table empty", table, empty, len(s.content)},
		{"a table cut", table, cut, len(s.content)},
		{"a table is rubbish", table, rubbish, len(s.content)},
		{"all tables gone", "*.sst", nil, len(s.content)},
		{"everything is rubbish", "[0-9MO]*", rubbish, len(s.content)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := s.copy(t)
			for _, path := range glob(t, dir, tt.pattern) {
				if tt.change != nil {
					overwrite(t, path, tt.change)
				} else if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			lost, stats := s.served(t, dir)
			if len(stats.DatabasesSetAside) != 1 {
				t.Errorf("set aside: %v, want one", stats.DatabasesSetAside)
			}
			if lost > tt.lost {
				t.Errorf("%d records are lost, want at most %d", lost, tt.lost)
			}
		})
	}
}

// A table becomes damaged while the store is in use. The scan that meets the damage reports it,
// and the next commit repairs what can be repaired.
func TestDamageWhileOpen(t *testing.T) {
	sample := newSample(t)
	dir := sample.copy(t)
	s := open(t, dir, Options{memTable: testMemTable})
	commit(t, s, put("key000", "kept"))
	if err := s.engine.db.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, path := range glob(t, dir, "*.sst") {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := range fileSize(t, path) / 1000 {
			if _, err := f.WriteAt([]byte("damage"), at*1000); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Scan([]byte("key1"), nil, func(_, _ []byte) bool { return true })
	if !errors.Is(err, ErrDamaged) {
		t.Fatalf("Scan: err = %v, want ErrDamaged", err)
	}
	if s.Stats().Healthy {
		t.Error("a damaged store is healthy")
	}
	commit(t, s, put("later", "x"))
	if stats := s.Stats(); len(stats.DatabasesSetAside) != 1 || !stats.Healthy {
		t.Errorf("stats: %+v", stats)
	}
	if got := content(t, s, []byte("later"), nil); len(got) != 1 {
		t.Errorf("content: %v", got)
	}
}

// A batch that writes and deletes a key is taken as a whole from a log that is salvaged.
func TestSalvageKeepsTheOrderInABatch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, Options{})
	commit(t, s, put("gone", "1"), put("back", "1"))
	commit(t, s, put("gone", "2"), del("gone"), del("back"), put("back", "2"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range glob(t, dir, "MANIFEST-*") {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, Options{})
	if n := len(s.Stats().DatabasesSetAside); n != 1 {
		t.Errorf("%d databases were set aside, want 1", n)
	}
	wantContent(t, s, "back=2")
}

// A commit that the power cut in two is gone, those before it are whole, and that is no damage.
func TestTornTail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, Options{})
	for _, k := range "abc" {
		commit(t, s, put(string(k), strings.Repeat("1", 50)))
	}
	// It is not closed: the copy has what a power cut leaves.
	torn := sample{dir: dir}
	logs := glob(t, dir, "*.log")
	name := filepath.Base(logs[len(logs)-1])
	whole := fileSize(t, filepath.Join(dir, databaseDir, name))
	before := whole + 1
	for size := whole; size >= 0; size -= 5 {
		copied := torn.copy(t)
		overwrite(t, filepath.Join(copied, databaseDir, name), func(b []byte) []byte { return b[:size] })
		c := open(t, copied, Options{})
		n := int64(len(content(t, c, nil, nil)))
		if n > before {
			t.Errorf("%d octets of the log: %d records, and %d with a shorter one", size, before, n)
		}
		before = n
		if stats := c.Stats(); !stats.Healthy || len(stats.DatabasesSetAside)+int(stats.RecordsSetAside) > 0 || int64(stats.CommitsLost) != 3-n {
			t.Errorf("%d octets of the log, %d of 3 commits: %+v", size, n, stats)
		}
		if want := map[int64]int64{whole: 3, 0: 0}; size == whole && n != want[whole] || size == 0 && n != want[0] {
			t.Errorf("%d octets of the log: %d records", size, n)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func overwrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	if err := os.WriteFile(path, change(read(t, path)), 0o600); err != nil {
		t.Fatal(err)
	}
}
