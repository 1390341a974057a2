// Package storetest has disks for tests of what is kept: in memory, and with a hook before each write.
package storetest

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Disk is a disk in memory, of which a clone may be taken while others write to it. With vfs.MemFS alone
// that can wait for ever: its Link and ReuseForWrite take the read lock that keeps clones away twice, and a
// clone that begins to wait between the two stops the second.
type Disk struct {
	*vfs.MemFS
	mu sync.Mutex // is held by a clone, and by what takes the lock of MemFS twice
}

// Crashable is an empty disk whose CrashClone is what a power cut leaves of it. The folder /var is
// there, and durable.
func Crashable() (*Disk, error) {
	disk := &Disk{MemFS: vfs.NewCrashableMem()}
	if err := disk.MkdirAll("/var", 0o755); err != nil {
		return nil, err
	}
	root, err := disk.OpenDir("/")
	if err != nil {
		return nil, err
	}
	return disk, root.Sync()
}

// CrashClone is what a power cut leaves of the disk.
func (d *Disk) CrashClone(c vfs.CrashCloneCfg) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Disk{MemFS: d.MemFS.CrashClone(c)}
}

func (d *Disk) Link(oldname, newname string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.MemFS.Link(oldname, newname)
}

func (d *Disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.MemFS.ReuseForWrite(oldname, newname, category)
}

// Hooked is a disk that calls before ahead of each write. The write fails with the error that
// before returns. The calls come one at a time.
func Hooked(disk vfs.FS, before func(errorfs.Op) error) vfs.FS {
	var mu sync.Mutex
	return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFilePreallocate, errorfs.OpLock:
			return nil
		case errorfs.OpOpenDir:
		default:
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return before(op)
	}))
}
