// Package storetest has disks for tests of what is kept: in memory, and with a hook before each write.
package storetest

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Crashable is an empty disk whose CrashClone is what a power cut leaves of it. The folder /var is
// there, and durable.
func Crashable() (*vfs.MemFS, error) {
	disk := vfs.NewCrashableMem()
	if err := disk.MkdirAll("/var", 0o755); err != nil {
		return nil, err
	}
	root, err := disk.OpenDir("/")
	if err != nil {
		return nil, err
	}
	return disk, root.Sync()
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
