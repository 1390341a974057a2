package control

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unixCaller asks the kernel who connected. The answer is about the moment of the connect, and
// cannot be forged (unix(7), SO_PEERCRED and SO_PEERGROUPS).
func unixCaller(c *net.UnixConn) (*caller, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *unix.Ucred
	var groups []uint32
	var failed error
	err = raw.Control(func(fd uintptr) {
		if cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed == nil {
			groups, failed = peerGroups(int(fd))
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, fmt.Errorf("peer credentials: %w", err)
	}
	who := &caller{uid: cred.Uid, groups: append(groups, cred.Gid), pid: cred.Pid, process: processName(cred.Pid)}
	if u, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10)); err == nil {
		who.name = u.Username
	}
	return who, nil
}

// peerGroups are the supplementary groups of the process that connected.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 32)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return groups[:size/4], nil
		case unix.ERANGE:
			groups = make([]uint32, size/4) // at most NGROUPS_MAX, 65536
		case unix.ENODATA, unix.ENOPROTOOPT: // no groups, or a kernel before 4.13
			return nil, nil
		default:
			return nil, os.NewSyscallError("getsockopt SO_PEERGROUPS", errno)
		}
	}
}

// processName is the name that the process gives itself; the process may be gone already.
func processName(pid int32) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/comm")
	if err != nil {
		return "gone"
	}
	return strings.TrimSuffix(string(b), "\n")
}

// tlsCaller is the caller that the verified certificate names.
func tlsCaller(s *tls.ConnectionState) (*caller, error) {
	if len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return nil, fmt.Errorf("certificate: none that was verified")
	}
	cert := s.VerifiedChains[0][0]
	return &caller{cert: cert, name: cert.Subject.CommonName}, nil
}
