package store

import (
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ahead reads tables in parts that are larger than blocks, while they are walked through. Pebble
// only tells the kernel what it is going to read, and asks for each block by a system call: that
// would be a third of the time that it takes to read all records at the start.
type ahead struct {
	mu        sync.Mutex // guards all following fields, and those of aheadFile
	walks     int
	stretches []stretch // the one that was used last is the last
}

// stretch is a part of a table.
type stretch struct {
	of    *aheadFile
	at    int64
	bytes []byte
}

const (
	stretchBytes = 32 << 10
	// A walk reads at once all tables of the first level, and one table of each other level.
	maxStretches = mergeAt + 8
)

// aheadFile is a table.
type aheadFile struct {
	vfs.File
	ahead *ahead
	next  int64 // end of the last block that was read
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

// read reads a block that is in a stretch, or that follows the block that was read before. If it
// cannot, for whatever reason, it returns false, and the block is read from the file.
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
	n, _ := f.File.ReadAt(p.bytes[:stretchBytes], at) // at the end of the file it reads less
	p.of, p.at, p.bytes = f, at, p.bytes[:n]
	a.stretches = append(slices.Delete(a.stretches, i, i+1), p)
	return p.copies(b, at)
}

// copies fills b if the stretch has all of it.
func (p *stretch) copies(b []byte, at int64) bool {
	from := at - p.at
	if from < 0 || from+int64(len(b)) > int64(len(p.bytes)) {
		return false
	}
	copy(b, p.bytes[from:])
	return true
}
