// Package clock reads the two clocks that the cores are driven by, and says
// whether the wall clock can be believed (RFC 8987 O-3).
//
// Lifetimes run on CLOCK_BOOTTIME, which goes on during suspend and is never
// stepped; what is kept on disk is dated by the wall clock together with the
// boot's id. The package only reads: it never sets a clock, starts no
// goroutine and no timer. All functions may be called from any goroutine.
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
	Synced bool          // the kernel's view of Wall, at most a second old
}

// Now reads both clocks. It costs two system calls at most and cannot fail on
// a Linux that has CLOCK_BOOTTIME (2.6.39).
func Now() Reading { return system.now() }

// system is the clock of the process.
var system = source{kernel: unix.Adjtimex}

// source is a clock over a kernel; tests put another kernel under it.
type source struct {
	kernel func(*unix.Timex) (state int, err error)

	mu      sync.Mutex // guards all following fields
	asked   bool
	askedAt time.Duration // on CLOCK_BOOTTIME
	synced  bool
}

// refreshAfter is how long an answer of adjtimex is believed.
const refreshAfter = time.Second

func (s *source) now() Reading {
	boot := read(unix.CLOCK_BOOTTIME)
	return Reading{
		Boot:   boot,
		Wall:   time.Now().Round(0), // without a system call, unlike CLOCK_BOOTTIME
		Synced: s.isSynced(boot),
	}
}

// isSynced asks the kernel at most once a second. A kernel that does not answer
// counts as not synchronised.
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
	// The scheduler is not told of a call that never waits: it is made for every few messages.
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		// Only an unknown clock or a bad pointer can fail, and neither
		// depends on anything outside this file.
		panic(fmt.Sprintf("clock: clock_gettime %d: %v", id, errno))
	}
	return time.Duration(ts.Nano())
}

// bootIDPath is where the kernel shows the random id of the boot.
const bootIDPath = "/proc/sys/kernel/random/boot_id"

// BootID returns the id that the kernel chose at this boot: readings of
// CLOCK_BOOTTIME can be compared only where the ids are equal.
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
