package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// The modes of what the store makes. Only the owner may read who had which prefix, whatever the
// umask and the folder permit.
const (
	privateFile = 0o600
	privateDir  = 0o700
)

const lockFile = "lock"

// privateFS is a disk on which only the owner can read new files. Pebble would make them readable
// for all whom the umask permits.
type privateFS struct{ vfs.FS }

// made closes a new file to other users.
func made(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return f, err
	}
	if err := unix.Fchmod(int(f.Fd()), privateFile); err != nil {
		return nil, joinClose(err, f)
	}
	return f, nil
}

func joinClose(err error, f vfs.File) error {
	_ = f.Close() // nothing has been written to it
	return err
}

func (p privateFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return made(p.FS.Create(name, category))
}

func (p privateFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return made(p.FS.OpenReadWrite(name, category, opts...))
}

func (p privateFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return made(p.FS.ReuseForWrite(oldname, newname, category))
}

func (p privateFS) MkdirAll(name string, _ os.FileMode) error { return p.FS.MkdirAll(name, privateDir) }

// Unwrap returns the disk below.
func (p privateFS) Unwrap() vfs.FS { return p.FS }

// tighten closes to other users what an earlier version or another umask left open: the database,
// those that were set aside, and the lock. The folder may have other files, which are not the
// store's.
func tighten(dir string) error {
	var errs []error
	for _, pattern := range []string{databaseDir, salvagedDir, corruptDir + "*", lockFile} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		errs = append(errs, err)
		for _, path := range paths {
			errs = append(errs, filepath.WalkDir(path, tightenOne))
		}
	}
	return errors.Join(errs...)
}

func tightenOne(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	info, err := d.Info()
	switch {
	case err != nil:
		return err
	case info.Mode().Perm()&0o077 == 0 || !info.Mode().IsRegular() && !d.IsDir():
		return nil
	case d.IsDir():
		return os.Chmod(path, privateDir)
	}
	return os.Chmod(path, privateFile)
}
