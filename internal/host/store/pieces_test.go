package store

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realLog is a log that Pebble wrote, with commits that are smaller and larger than a block.
func realLog(t testing.TB) (pieceLog, int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir, Options{})
	sizes := []int{10, 40 << 10, 500, 32 << 10, 100, 1, 70 << 10, 10, 10}
	for i, size := range sizes {
		commit(t, s, put(string(rune('a'+i)), strings.Repeat("v", size)))
	}
	var log pieceLog
	entries, err := os.ReadDir(filepath.Join(dir, databaseDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if l, err := s.readLog(e.Name()); err != nil {
			t.Fatal(err)
		} else if len(l.data) > len(log.data) {
			log = l
		}
	}
	return log, len(sizes)
}

func (l pieceLog) count() (batches, end int, lost []int) {
	end, lost = l.walk(func([]byte) { batches++ })
	return batches, end, lost
}

func TestPiecesTruncated(t *testing.T) {
	log, want := realLog(t)
	n, end, lost := log.count()
	if n != want || len(lost) > 0 || end == 0 {
		t.Fatalf("whole log: %d batches up to %d, lost at %v; want %d", n, end, lost, want)
	}
	for size := end; size >= 0; size -= 1 + size/200 {
		cut := log
		cut.data = log.data[:size]
		fewer, cutEnd, lost := cut.count()
		if fewer > n || cutEnd > size || len(lost) > 0 {
			t.Errorf("first %d octets: %d batches up to %d, lost at %v; before %d batches", size, fewer, cutEnd, lost, n)
		}
		n = fewer
	}
	if n != 0 {
		t.Errorf("no octets: %d batches", n)
	}
}

// A broken piece costs its batch, and is reported, unless it is in the last batch.
func TestPiecesBroken(t *testing.T) {
	log, want := realLog(t)
	_, end, _ := log.count()
	rng := rand.New(rand.NewPCG(8, 9))
	for range 500 {
		at := rng.IntN(end)
		broken := log
		broken.data = bytes.Clone(log.data)
		broken.data[at] ^= 1 << rng.IntN(8)
		n, brokenEnd, lost := broken.count()
		padding := n == want && brokenEnd == end // it is between two blocks
		last := n == want-1 && brokenEnd < end && len(lost) == 0
		middle := n < want && n >= want-2 && brokenEnd == end && len(lost) > 0
		if !padding && !last && !middle {
			t.Errorf("octet %d broken: %d of %d batches, up to %d of %d, lost at %v", at, n, want, brokenEnd, end, lost)
		}
	}
}

func FuzzPieces(f *testing.F) {
	log, _ := realLog(f)
	f.Add(log.data[:1000], uint32(log.number), false)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x05\x01\x00\x00\x00"), uint32(0), false)
	f.Add(bytes.Repeat([]byte{1}, 100), uint32(1), true)
	f.Fuzz(func(t *testing.T, data []byte, number uint32, manifest bool) {
		l := pieceLog{data: data, number: number, manifest: manifest}
		n, end, lost := l.count()
		if end > len(data) || n > len(data) || len(lost) > len(data) {
			t.Errorf("%d octets: %d batches up to %d, lost at %v", len(data), n, end, lost)
		}
	})
}
