package store

import (
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ahead reads tables in larger parts than blocks while they are walked through. Pebble
// only tells the kernel what it will read, and asks for each block by a system call: that
// is a third of the time in which all records are read at start.
type ahead struct {
	mu        sync.Mutex // guards all following fields, and those of aheadFile
	walks     int
	stretches []stretch // the one used last is last
}

// stretch is a part of a table.
type stretch struct {
	of    *aheadFile
	at    int64
	bytes []byte
}

const (
	stretchBytes = 32 << 10
	// A walk reads as many tables at once as there are in the first level, and one of
	// each other level.
	maxStretches = mergeAt + 8
)

// aheadFile is a table.
type aheadFile struct {
	vfs.File
	ahead *ahead
	next  int64 // where the last block ended that was read
}

// Open opens a file for reading.
func (c *cutFS) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := c.FS.Open(name, options...)
	if err != nil || !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	return &aheadFile{File: f, ahead: &c.ahead}, nil
}

// begin is called before a walk, and end after it.
func (a *ahead) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.walks++
}

func (a *ahead) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.walks--; a.walks == 0 {
		a.stretches = nil
	}
}

// ReadAt reads one block.
func (f *aheadFile) ReadAt(b []byte, at int64) (int, error) {
	if f.ahead.read(f, b, at) {
		return len(b), nil
	}
	return f.File.ReadAt(b, at)
}

// read reads a block that is in a stretch, or that follows the one that was read before. What
// it cannot read, for whatever reason, the file is asked for.
func (a *ahead) read(f *aheadFile, b []byte, at int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	follows := at == f.next
	f.next = at + int64(len(b))
	if a.walks == 0 || len(b) > stretchBytes {
		return false
	}
	i := slices.IndexFunc(a.stretches, func(p stretch) bool { return p.of == f })
	switch {
	case i >= 0 && a.stretches[i].copies(b, at):
		return true
	case !follows:
		return false
	case i >= 0:
	case len(a.stretches) < maxStretches:
		i = len(a.stretches)
		a.stretches = append(a.stretches, stretch{bytes: make([]byte, 0, stretchBytes)})
	default:
		i = 0
	}
	p := a.stretches[i]
	n, _ := f.File.ReadAt(p.bytes[:stretchBytes], at) // at the end of the file there is less
	p.of, p.at, p.bytes = f, at, p.bytes[:n]
	a.stretches = append(slices.Delete(a.stretches, i, i+1), p)
	return p.copies(b, at)
}

// copies fills b, if all of it is there.
func (p *stretch) copies(b []byte, at int64) bool {
	from := at - p.at
	if from < 0 || from+int64(len(b)) > int64(len(p.bytes)) {
		return false
	}
	copy(b, p.bytes[from:])
	return true
}
