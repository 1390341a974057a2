package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
)

// plant writes pairs into the database past the framing.
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

// badFrames are values that do not fit, by key, and what is wrong with them.
func badFrames() (frames, reasons map[string]string) {
	good := string(appendFrame(nil, spaced(spaceRecord, []byte("bad3")), 7, []byte("value")))
	frames = map[string]string{
		"bad0": "",
		"bad1": good[:frameHeader-1],
		"bad2": "\x02" + good[1:],
		"bad4": good, // that of another key
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
	// The key is free again, and the record in quarantine stays there.
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

// More bad records than one pass moves, and more than the list holds.
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
	if got := len(s.Corrupt()); got != maxCorruptKept {
		t.Errorf("the list has %d, want %d", got, maxCorruptKept)
	}
	wantContent(t, s, "a=1", "z=2")
}

// sample is a closed store with tables, a log and a manifest, and its content.
type sample struct {
	dir     string
	content map[string]string
}

func newSample(t *testing.T) sample {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sample")
	s := open(t, dir, Options{memTable: testMemTable})
	content := make(map[string]string)
	for i := range 400 {
		k, v := fmt.Sprintf("key%03d", i*7%300), fmt.Sprintf("%d:%s", i, strings.Repeat("v", 180))
		commit(t, s, put(k, v))
		content[k] = v
	}
	for i := range 20 {
		k := fmt.Sprintf("key%03d", i*11)
		commit(t, s, del(k))
		delete(content, k)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return sample{dir, content}
}

// copy makes a store that may be damaged.
func (s sample) copy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// glob returns the files of a database, at least one.
func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, databaseDir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("files %s: %v, %v", pattern, paths, err)
	}
	return paths
}

// served opens a damaged store and returns how many of the records it serves.
// None may have a value that it never had, and what is served must not depend on
// luck: a second start serves the same.
func (s sample) served(t *testing.T, dir string) (n int, stats Stats) {
	t.Helper()
	for start := range 2 {
		st, err := Open(dir, Options{memTable: testMemTable})
		if err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
		found := 0
		err = st.Scan(nil, nil, func(k, v []byte) bool {
			found++
			if want, ok := s.content[string(k)]; ok && want != string(v) {
				t.Errorf("%s has a value that is not its last: %.10s, want %.10s", k, v, want)
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
		if start > 0 && found != n {
			t.Errorf("served %d records at first, %d at the second start", n, found)
		}
		n = found
	}
	return n, stats
}

// A disk that lies in one octet, anywhere in the database, never stops the start
// and never changes a record. It costs a block of a table or a commit at most,
// and what it costs is set aside and told.
func TestOneOctetFlipped(t *testing.T) {
	s := newSample(t)
	for _, path := range glob(t, s.dir, "*") {
		name := filepath.Base(path)
		size := fileSize(t, path)
		for at := int64(0); at < size; at += 1 + size/16 {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				dir := s.copy(t)
				damaged := filepath.Join(dir, databaseDir, name)
				overwrite(t, damaged, func(b []byte) []byte { b[at] ^= 0x10; return b })
				before := read(t, damaged)
				n, stats := s.served(t, dir)
				lost := len(s.content) - n
				switch {
				case len(stats.DatabasesSetAside) == 0 && lost > 0 && !strings.HasSuffix(name, ".log"):
					t.Errorf("%d records are lost in silence", lost)
				case lost > 12:
					t.Errorf("%d records are lost", lost)
				}
				for _, aside := range stats.DatabasesSetAside {
					if !bytes.Equal(before, read(t, filepath.Join(aside, name))) {
						t.Errorf("%s was not kept as it was", name)
					}
				}
			})
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
