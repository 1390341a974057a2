package inject

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// longNap is the longest time for which a thread may sleep without telling the Go runtime.
const longNap = time.Millisecond

// Wait returns when there is something to receive, or after d.
func (p *Port) Wait(d time.Duration) { wait(p.receiver, d) }

func wait(fd int, d time.Duration) {
	t := unix.NsecToTimespec(int64(max(d, 0)))
	poll := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	// An interruption is as good as an end.
	if d < longNap {
		unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
		return
	}
	unix.Syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
}

// Nap returns after d, at most a millisecond, whatever there is to receive. To
// look now and then is cheaper than to be woken for each frame, for this process
// and for the one that sends them.
func Nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(min(max(d, 0), longNap)))
	// The runtime is not told, so that it does not give this thread's place away
	// and back thousands of times a second.
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// Punctual has the calling thread woken within a microsecond of when it asked
// to be, instead of fifty.
func Punctual() { unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) }
