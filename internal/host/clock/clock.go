// Package clock reads the two clocks that the cores depend on, and tells whether the wall clock
// can be believed (RFC 8987 O-3).
//
// Lifetimes run on CLOCK_BOOTTIME, which goes on during suspend and is never set. Times on disk
// are those of the wall clock, together with the id of the boot. The package only reads clocks,
// and never sets one. It starts no goroutine and no timer. Any goroutine may call its functions.
package clock

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reading is one look at both clocks.
type Reading struct {
	Boot   time.Duration // CLOCK_BOOTTIME: since the boot, suspends included
	Wall   time.Time     // CLOCK_REALTIME, without a monotonic part
	Synced bool          // the kernel says that Wall is synchronised; at most a second old
}

// Now reads both clocks. It costs two system calls at most and cannot fail on
// a Linux that has CLOCK_BOOTTIME (2.6.39).
func Now() Reading { return system.now() }

// system is the clock of the process.
var system = source{kernel: unix.Adjtimex}

// source is a clock that asks a kernel; tests give it another kernel.
type source struct {
	kernel func(*unix.Timex) (state int, err error)

	mu      sync.Mutex // guards all following fields
	asked   bool
	askedAt time.Duration // on CLOCK_BOOTTIME
	synced  bool
}

// refreshAfter is how long an answer of adjtimex is used.
const refreshAfter = time.Second

func (s *source) now() Reading {
	boot := read(unix.CLOCK_BOOTTIME)
	return Reading{
		Boot:   boot,
		Wall:   time.Now().Round(0), // without a system call, unlike CLOCK_BOOTTIME
		Synced: s.isSynced(boot),
	}
}

// isSynced asks the kernel at most once a second. If the kernel does not answer, the clock counts
// as not synchronised.
func (s *source) isSynced(boot time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked && boot-s.askedAt < refreshAfter {
		return s.synced
	}
	status, err := s.status()
	s.asked, s.askedAt, s.synced = true, boot, err == nil && status.Synchronised
	return s.synced
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	// The call is made for every few messages, and never waits: so the Go scheduler is not told
	// of it.
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		// It fails only for an unknown clock or a bad pointer, and this file has neither.
		panic(fmt.Sprintf("clock: clock_gettime %d: %v", id, errno))
	}
	return time.Duration(ts.Nano())
}

// bootIDPath is where the kernel shows the random id of the boot.
const bootIDPath = "/proc/sys/kernel/random/boot_id"

// BootID is the id that the kernel chose at this boot. Two readings of CLOCK_BOOTTIME can be
// compared only if they are of the same boot.
func BootID() (string, error) { return readBootID(bootIDPath) }

func readBootID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	id := strings.TrimSpace(string(b))
	if id == "" {
		return "", fmt.Errorf("boot id: %s is empty", path)
	}
	return id, nil
}
