package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveMany fills vec with what is queued on fd. It does not wait.
func receiveMany(fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	return messages(unix.SYS_RECVMMSG, fd, vec)
}

// sendMany sends from vec until one message fails. The error is returned only if that is the
// first.
func sendMany(fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	return messages(unix.SYS_SENDMMSG, fd, vec)
}

// pollNow returns the sockets that have something to read, and does not wait. It returns a
// negative number after an error.
func pollNow(poll uintptr, events []unix.EpollEvent) int {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, poll, uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
		default:
			return -1
		}
	}
}

// messages, like pollNow, does not tell the Go scheduler of the call, which never waits.
// Otherwise the scheduler would look at it every 20 microseconds and run something else
// meanwhile, which costs more than it gains.
func messages(call uintptr, fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(len(vec)),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
