// Package ports finds the programs of this host that have a UDP socket at a port of
// ours, and may get what is meant for us. It asks the kernel (sock_diag) for the
// sockets and the proc file system for their programs, and changes nothing.
package ports

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"fairlead/internal/host/bypass"
)

// Socket is a UDP socket.
type Socket struct {
	Addr  netip.Addr // where it is bound; unspecified: everywhere
	Index int        // interface that the socket is bound to; 0: all
	UID   uint32     // user who opened the socket
	Inode uint32

	// Of the program that holds the socket. They are 0 and empty where that cannot be seen:
	// without CAP_SYS_PTRACE the programs of other users are hidden.
	PID  int
	Name string
}

func (s Socket) String() string {
	who := fmt.Sprintf("a program of user %d, which cannot be looked at (socket %d),", s.UID, s.Inode)
	if s.PID != 0 {
		who = fmt.Sprintf("%s (process %d)", s.Name, s.PID)
	}
	where := s.Addr.String()
	if s.Index != 0 {
		where += "%" + strconv.Itoa(s.Index)
	}
	return who + " at " + where
}

// InTheWay are the sockets of other programs at a port that the kernel may prefer to ours: at the
// unspecified address, or at an address that a socket of this process is bound to. everywhere is
// the unspecified address of the family in question. The function looks in the network namespace
// of the calling thread.
func InTheWay(everywhere netip.Addr, port uint16) ([]Socket, error) {
	all, err := sockets(everywhere.Is4(), port)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	inodes, err := bypass.Sockets(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	own := make(map[string]bool, len(inodes))
	for _, inode := range inodes {
		own[inode] = true
	}
	at := map[netip.Addr]bool{everywhere: true}
	for _, s := range all {
		if own[inodeOf(s)] {
			at[s.Addr] = true
		}
	}
	var others []Socket
	for _, s := range all {
		if !own[inodeOf(s)] && at[s.Addr] {
			others = append(others, s)
		}
	}
	if len(others) > 0 {
		name(others)
	}
	return others, nil
}

func inodeOf(s Socket) string { return strconv.FormatUint(uint64(s.Inode), 10) }

// name finds the programs that hold the sockets.
func name(all []Socket) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue // not a process
		}
		inodes, err := bypass.Sockets(pid)
		if err != nil {
			continue // hidden, or it has ended meanwhile
		}
		for i := range all {
			for _, inode := range inodes {
				if inode != inodeOf(all[i]) {
					continue
				}
				if text, err := os.ReadFile("/proc/" + p.Name() + "/comm"); err == nil {
					all[i].PID, all[i].Name = pid, strings.TrimSpace(string(text))
				}
			}
		}
	}
}

// The kernel's structures, from linux/sock_diag.h and linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	requestLength    = unix.NLMSG_HDRLEN + 56 // struct inet_diag_req_v2
	answerLength     = 72                     // struct inet_diag_msg
)

// sockets lists the UDP sockets of a family at a port.
func sockets(ipv4 bool, port uint16) ([]Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	defer unix.Close(fd)
	request := make([]byte, requestLength)
	binary.NativeEndian.PutUint32(request, requestLength)
	binary.NativeEndian.PutUint16(request[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := request[unix.NLMSG_HDRLEN:]
	body[0], body[1] = unix.AF_INET6, unix.IPPROTO_UDP
	if ipv4 {
		body[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(body[4:], ^uint32(0)) // sockets in all states
	binary.BigEndian.PutUint16(body[8:], port)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	// The kernel answers at once. The limit is there so that nobody waits for ever.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	var all []Socket
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("ports: %w", err)
		}
		done, err := parse(&all, buffer[:n], port)
		if done || err != nil {
			return all, err
		}
	}
}

// parse reads one datagram of the kernel's answer.
func parse(all *[]Socket, b []byte, port uint16) (done bool, err error) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return true, fmt.Errorf("ports: a message of %d octets in %d", size, len(b))
		}
		m := b[unix.NLMSG_HDRLEN:size]
		switch {
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR && len(m) >= 4:
			return true, fmt.Errorf("ports: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(m))))
		case kind == sockDiagByFamily && len(m) >= answerLength && binary.BigEndian.Uint16(m[4:]) == port:
			address := netip.AddrFrom16([16]byte(m[8:24]))
			if m[0] == unix.AF_INET {
				address = netip.AddrFrom4([4]byte(m[8:12]))
			}
			*all = append(*all, Socket{
				Addr: address, Index: int(binary.NativeEndian.Uint32(m[40:])),
				UID: binary.NativeEndian.Uint32(m[64:]), Inode: binary.NativeEndian.Uint32(m[68:]),
			})
		}
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return false, nil
}
