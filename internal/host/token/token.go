// Package token reads a small file on a medium that may be pulled out at any time. The kernel may
// still have the file in its memory when the medium is gone, so each Read reads the medium.
package token

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Size is the longest file that is read, in octets.
const Size = 4096

// Read reads the file from its medium, by O_DIRECT. A file system that does not support O_DIRECT,
// such as one in memory, has no medium that can be pulled out; there the kernel is asked to
// forget the file first.
func Read(path string) ([]byte, error) {
	b, err := read(path, unix.O_DIRECT)
	if errors.Is(err, unix.EINVAL) {
		b, err = read(path, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if len(b) == Size {
		return nil, fmt.Errorf("token: %s: longer than %d octets", path, Size-1)
	}
	return b, nil
}

func read(path string, flag int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|flag, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a file")}
	}
	if flag == 0 {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // the file may be in memory alone
	}
	// For O_DIRECT, the buffer must begin and end at a block of the medium.
	room := make([]byte, 2*Size)
	b := room[Size-int(uintptr(unsafe.Pointer(&room[0]))%Size):][:Size]
	n, err := unix.Pread(int(f.Fd()), b, 0)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return b[:n], nil
}
