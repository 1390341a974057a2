package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// maxFile bounds a file of keys or certificates, in octets.
const maxFile = 256 << 10

// File is the content of a file when it was read.
type File struct {
	Text    []byte
	Changed time.Time // when the content was last changed, by a time that others can set
	Edition string    // changes when the file is written or replaced; tells nothing of the content
}

// Secret reads a file that has a key. The file must belong to root or to us, and nobody else may
// read or write it.
func Secret(path string) (File, error) {
	return read(path, 0o077, "lets others than its owner in (chmod 600)")
}

// Public reads a file that has no secret, but decides who is believed. It must belong to root or
// to us, and nobody else may write it.
func Public(path string) (File, error) {
	return read(path, 0o022, "lets others than its owner write to it (chmod go-w)")
}

// read reads a regular file of ours that has none of the forbidden permissions.
func read(path string, forbidden fs.FileMode, why string) (File, error) {
	// Otherwise, opening a pipe would wait until somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return File{}, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return File{}, errors.New("not a regular file")
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return File{}, fmt.Errorf("belongs to user %d (it must be root's, or of the user that Fairlead runs as)", owner.Uid)
	}
	if mode := info.Mode().Perm(); mode&forbidden != 0 {
		return File{}, fmt.Errorf("mode %04o %s", mode, why)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return File{}, withoutPath(err)
	case len(text) > maxFile:
		return File{}, fmt.Errorf("more than %d KiB (a key file is smaller)", maxFile>>10)
	case len(text) == 0:
		return File{}, errors.New("empty")
	}
	return File{Text: text, Changed: info.ModTime(), Edition: edition(info)}, nil
}

// edition is made of what nobody can set: which file it is, and when the kernel last saw it
// change. A time of modification does not do, because it can be copied with a file.
func edition(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d.%09d", s.Dev, s.Ino, s.Ctim.Sec, s.Ctim.Nsec)
}

// withoutPath is the error without the path, which the caller knows.
func withoutPath(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
