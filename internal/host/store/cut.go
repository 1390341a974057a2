package store

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// cutFS is the disk as one engine sees it. At the first write that fails it cuts
// the engine off: that write and all later ones go nowhere and succeed.
//
// Pebble ends the process when a write to its log or manifest fails, and waits
// for ever for a flush that cannot be. Neither is an answer for a relay. With
// the cut, Pebble never learns of the failure: what is on disk is what a power
// cut at the failed write would have left, which it can recover from, and the
// engine goes on in a dream until it is closed in an orderly way. Nothing that
// was decided in the dream is believed: whoever waits for a write asks cause
// afterwards.
type cutFS struct {
	vfs.FS
	onCut func()

	mu  sync.RWMutex // guards why
	why error
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

// try runs a write and reports whether it took place. That a file is missing or
// there already is an answer, not a failure.
func (c *cutFS) try(what, name string, write func() error) (took bool, err error) {
	if c.cause() != nil {
		return false, nil
	}
	err = write()
	if err == nil || oserror.IsNotExist(err) || oserror.IsExist(err) {
		return true, err
	}
	c.cut(classify(fmt.Errorf("%s %s: %w", what, name, err)))
	return false, nil
}

func (c *cutFS) tryFile(what, name string, open func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	took, err := c.try(what, name, func() (err error) { f, err = open(); return err })
	switch {
	case err != nil:
		return nil, err
	case !took:
		return dreamFile{}, nil
	}
	return &cutFile{File: f, fs: c, name: name}, nil
}

func (c *cutFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.tryFile("create", name, func() (vfs.File, error) { return c.FS.Create(name, category) })
}

func (c *cutFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.tryFile("open", name, func() (vfs.File, error) { return c.FS.OpenReadWrite(name, category, opts...) })
}

func (c *cutFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.tryFile("reuse", newname, func() (vfs.File, error) { return c.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir opens a directory for syncing.
func (c *cutFS) OpenDir(name string) (vfs.File, error) {
	return c.tryFile("open", name, func() (vfs.File, error) { return c.FS.OpenDir(name) })
}

func (c *cutFS) Link(oldname, newname string) error {
	_, err := c.try("link", newname, func() error { return c.FS.Link(oldname, newname) })
	return err
}

func (c *cutFS) Remove(name string) error {
	_, err := c.try("remove", name, func() error { return c.FS.Remove(name) })
	return err
}

func (c *cutFS) RemoveAll(name string) error {
	_, err := c.try("remove", name, func() error { return c.FS.RemoveAll(name) })
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

// Lock does nothing: the store holds a lock of its own over all its engines, so
// that one which never ends cannot keep the next from starting.
func (c *cutFS) Lock(string) (io.Closer, error) { return noLock{}, nil }

// Unwrap returns the disk beneath.
func (c *cutFS) Unwrap() vfs.FS { return c.FS }

type noLock struct{}

func (noLock) Close() error { return nil }

// cutFile is a file or directory open for writing or syncing.
type cutFile struct {
	vfs.File
	fs   *cutFS
	name string
}

func (f *cutFile) Write(p []byte) (int, error) {
	_, err := f.fs.try("write", f.name, func() error {
		_, err := f.File.Write(p)
		return err
	})
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
	_, err := f.fs.try("sync", f.name, f.File.Sync)
	return err
}

func (f *cutFile) SyncData() error {
	_, err := f.fs.try("sync", f.name, f.File.SyncData)
	return err
}

// SyncTo claims a full sync in the dream, as nothing more can be done there.
func (f *cutFile) SyncTo(length int64) (bool, error) {
	full := true
	took, err := f.fs.try("sync", f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full || !took, err
}

// Close closes the file on disk in the dream as well: descriptors are real.
func (f *cutFile) Close() error {
	err := f.File.Close()
	if err != nil {
		f.fs.cut(classify(fmt.Errorf("close %s: %w", f.name, err)))
	}
	return nil
}

// dreamFile is a file made after the cut: all that is written to it is lost.
type dreamFile struct{}

var errDream = fmt.Errorf("written after the cut: %w", ErrBroken)

func (dreamFile) Write(p []byte) (int, error)            { return len(p), nil }
func (dreamFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (dreamFile) Read([]byte) (int, error)               { return 0, errDream }
func (dreamFile) ReadAt([]byte, int64) (int, error)      { return 0, errDream }
func (dreamFile) Stat() (vfs.FileInfo, error)            { return nil, errDream }
func (dreamFile) Close() error                           { return nil }
func (dreamFile) Sync() error                            { return nil }
func (dreamFile) SyncData() error                        { return nil }
func (dreamFile) SyncTo(int64) (bool, error)             { return true, nil }
func (dreamFile) Preallocate(int64, int64) error         { return nil }
func (dreamFile) Prefetch(int64, int64) error            { return nil }
func (dreamFile) Fd() uintptr                            { return vfs.InvalidFd }
