package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cutFS is the disk as one engine sees it. At the first write that fails it cuts the engine off:
// that write and all later ones write nothing, and succeed.
//
// Pebble ends the process when a write to its log or manifest fails, and waits for ever for a
// flush that cannot succeed. A relay can use neither. With the cut, Pebble never learns of the
// failure: the disk has what a power cut at the failed write would have left, and Pebble can
// recover from that. From then on, until it is closed, the engine writes nothing and believes
// that its writes succeed. None of its results from that time is trusted: whoever waits for a
// write asks cause afterwards.
type cutFS struct {
	vfs.FS
	readOnly bool // nothing is written at all, and that is not a failure
	onCut    func()
	ahead    ahead

	mu       sync.RWMutex // guards all following fields
	why      error
	manifest reach
}

// manifestReach returns how far the present manifest is durable.
func (c *cutFS) manifestReach() reach {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.manifest
}

// durable notes how far a manifest is durable. At the first time it makes the name durable too:
// Pebble does that only together with the pointer to it, and a disk may keep the one and lose the
// other.
func (c *cutFS) durable(name string, size uint64) {
	base := c.PathBase(name)
	if known := c.manifestReach(); known.name != base {
		dir := c.PathDir(name)
		_, _ = c.try("sync", dir, func() error { return syncDir(c.FS, dir) })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manifest = reach{base, size}
}

// cause returns why the engine was cut off, or nil.
func (c *cutFS) cause() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.why
}

// cut cuts the engine off. Only the first cause counts.
func (c *cutFS) cut(why error) {
	c.mu.Lock()
	first := c.why == nil
	if first {
		c.why = why
	}
	c.mu.Unlock()
	if first {
		c.onCut()
	}
}

// try runs a write, and reports whether it was made. The error is nil, or one of the errors that
// Pebble expects.
func (c *cutFS) try(what, name string, write func() error, answers ...error) (took bool, err error) {
	if c.readOnly || c.cause() != nil {
		return false, nil
	}
	err = write()
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return true, err
		}
	}
	if err != nil {
		c.cut(classify(fmt.Errorf("%s %s: %w", what, name, err)))
	}
	return err == nil, nil
}

// tryFile opens a file for writing. After the cut it returns a file that keeps nothing.
func (c *cutFS) tryFile(what, name string, open func() (vfs.File, error)) vfs.File {
	var f vfs.File
	took, _ := c.try(what, name, func() (err error) { f, err = open(); return err })
	if !took {
		return newDiscardFile()
	}
	return &cutFile{File: f, fs: c, name: name}
}

func (c *cutFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.tryFile("create", name, func() (vfs.File, error) { return c.FS.Create(name, category) }), nil
}

func (c *cutFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.tryFile("open", name, func() (vfs.File, error) { return c.FS.OpenReadWrite(name, category, opts...) }), nil
}

func (c *cutFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.tryFile("reuse", newname, func() (vfs.File, error) { return c.FS.ReuseForWrite(oldname, newname, category) }), nil
}

// OpenDir opens a directory for syncing.
func (c *cutFS) OpenDir(name string) (vfs.File, error) {
	return c.tryFile("open", name, func() (vfs.File, error) { return c.FS.OpenDir(name) }), nil
}

func (c *cutFS) Link(oldname, newname string) error {
	_, err := c.try("link", newname, func() error { return c.FS.Link(oldname, newname) }, os.ErrExist)
	return err
}

func (c *cutFS) Remove(name string) error {
	_, err := c.try("remove", name, func() error { return c.FS.Remove(name) }, os.ErrNotExist)
	return err
}

func (c *cutFS) RemoveAll(name string) error {
	_, err := c.try("remove", name, func() error { return c.FS.RemoveAll(name) }, os.ErrNotExist)
	return err
}

func (c *cutFS) Rename(oldname, newname string) error {
	_, err := c.try("rename", newname, func() error { return c.FS.Rename(oldname, newname) })
	return err
}

func (c *cutFS) MkdirAll(name string, perm os.FileMode) error {
	_, err := c.try("make", name, func() error { return c.FS.MkdirAll(name, perm) })
	return err
}

// Lock does nothing: the store has one lock for all its engines, so that an engine that never
// ends does not prevent the next from starting.
func (c *cutFS) Lock(string) (io.Closer, error) { return noLock{}, nil }

// Unwrap returns the disk below.
func (c *cutFS) Unwrap() vfs.FS { return c.FS }

type noLock struct{}

func (noLock) Close() error { return nil }

// cutFile is a file or directory that is open for writing or syncing.
type cutFile struct {
	vfs.File
	fs   *cutFS
	name string
	size atomic.Uint64 // octets written so far
}

func (f *cutFile) Write(p []byte) (int, error) {
	_, err := f.fs.try("write", f.name, func() error {
		_, err := f.File.Write(p)
		return err
	})
	f.size.Add(uint64(len(p)))
	return len(p), err
}

func (f *cutFile) WriteAt(p []byte, off int64) (int, error) {
	_, err := f.fs.try("write", f.name, func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
	return len(p), err
}

func (f *cutFile) Sync() error {
	size := f.size.Load()
	took, err := f.fs.try("sync", f.name, f.File.Sync)
	if took && strings.HasPrefix(f.fs.PathBase(f.name), manifestPrefix) {
		f.fs.durable(f.name, size)
	}
	return err
}

func (f *cutFile) SyncData() error {
	_, err := f.fs.try("sync", f.name, f.File.SyncData)
	return err
}

// SyncTo reports a full sync after the cut, because nothing more can be done then.
func (f *cutFile) SyncTo(length int64) (bool, error) {
	full := true
	took, err := f.fs.try("sync", f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full || !took, err
}

// Stat never fails: Pebble ends the process if a log that it has just made cannot tell its size.
func (f *cutFile) Stat() (vfs.FileInfo, error) {
	info, err := f.File.Stat()
	if err != nil {
		f.fs.cut(classify(fmt.Errorf("stat %s: %w", f.name, err)))
		return newDiscardFile().Stat()
	}
	return info, nil
}

// Close closes the file on the disk after the cut too: the descriptor is in use.
func (f *cutFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.fs.cut(classify(fmt.Errorf("close %s: %w", f.name, err)))
	}
	return nil
}

// discardFile is a file that was made after the cut: it is empty, accepts everything that is
// written to it, and keeps nothing.
type discardFile struct{ vfs.File }

func newDiscardFile() vfs.File { return discardFile{vfs.NewMemFile(nil)} }

func (discardFile) Write(p []byte) (int, error)            { return len(p), nil }
func (discardFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
