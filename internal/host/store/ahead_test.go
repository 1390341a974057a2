package store

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// countingFS counts how often tables are read.
type countingFS struct {
	vfs.FS
	reads atomic.Int64
}

type countedFile struct {
	vfs.File
	reads *atomic.Int64
}

func (c *countingFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := c.FS.Open(name, options...)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	return countedFile{f, &c.reads}, nil
}

func (f countedFile) ReadAt(b []byte, at int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(b, at)
}

// A scan of many records reads many blocks at once, also of tables that it reads side by side. It
// frees the memory for them.
func TestScanReadsAhead(t *testing.T) {
	const records, octets = 20_000, 200
	dir, disk := t.TempDir(), &countingFS{FS: vfs.Default}
	s := open(t, dir, Options{})
	var ops []Op
	for i := range records { // in an order that spreads the records over all tables
		ops = append(ops, put(fmt.Sprintf("%08x", uint32(i)*2654435761), strings.Repeat("v", octets)))
		if len(ops) == 500 {
			commit(t, s, ops...)
			ops = ops[:0]
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{FS: disk})
	before, n, last := disk.reads.Load(), 0, ""
	if err := s.Scan(nil, nil, func(k, v []byte) bool {
		if string(k) <= last || string(v) != strings.Repeat("v", octets) {
			t.Fatalf("%q with %d octets after %q", k, len(v), last)
		}
		n, last = n+1, string(k)
		return true
	}); err != nil || n != records {
		t.Fatalf("%d records, %v, want %d", n, err, records)
	}
	const blocks = records * octets / tableBlockBytes
	if reads := disk.reads.Load() - before; reads > blocks/8 {
		t.Errorf("%d reads of at least %d blocks, want an eighth at most", reads, blocks)
	}
	if stretches := s.engine.fs.ahead.stretches; len(stretches) > 0 {
		t.Errorf("%d stretches are kept after the scan", len(stretches))
	}
}
