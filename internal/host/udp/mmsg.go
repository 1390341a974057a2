package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveMany fills vec with what is queued on fd and does not wait.
func receiveMany(fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	return messages(unix.SYS_RECVMMSG, fd, vec)
}

// sendMany sends from vec until one fails; the error is told only when that is
// the first.
func sendMany(fd int, vec []unix.Mmsghdr) (int, unix.Errno) {
	return messages(unix.SYS_SENDMMSG, fd, vec)
}

// pollNow asks which sockets have something, and does not wait; negative after an error.
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

// messages, as pollNow, does not tell the scheduler of the call, which never waits: it
// would look after it every 20 microseconds, and run something else meanwhile, which
// costs more than it gains.
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
