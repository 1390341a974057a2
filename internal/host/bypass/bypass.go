// Package bypass finds the DHCP programs of this host that IPsec cannot protect:
// those that read the wire by a packet socket see a datagram before XFRM and the
// packet filter do. What they send by one passes XFRM by; core/hop's FrameTable
// holds it back where it leaves.
//
// Such a program gives itself away by holding both a packet socket and a UDP
// socket at a port of DHCP servers and relay agents: ISC dhcpd and dhcrelay for
// DHCPv4 on Linux do, and Kea unless it is told dhcp-socket-type: udp. Reads the
// proc file system alone, and changes nothing.
package bypass

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Program is a process that reads DHCP, and may send it, past IPsec.
type Program struct {
	PID  int
	Name string   // of its executable, as the kernel has it
	Port []uint16 // the ports of its UDP sockets that matter, rising
}

// ErrHidden says that the sockets of some processes could not be looked at:
// without CAP_SYS_PTRACE, those of other users.
var ErrHidden = errors.New("bypass: the sockets of some processes are hidden")

// Programs finds the programs with a UDP socket at one of the ports and a packet
// socket, in the network namespace of the calling thread. This process and others
// of the same executable are left out. With ErrHidden the list is what could be
// seen.
func Programs(ports ...uint16) ([]Program, error) {
	packet, err := inodes("/proc/thread-self/net/packet", func(f []string) (string, uint16, bool) {
		return f[len(f)-1], 0, true
	})
	if err != nil || len(packet) == 0 {
		return nil, err
	}
	datagram := make(map[string]uint16)
	for _, file := range []string{"udp", "udp6"} {
		found, err := inodes("/proc/thread-self/net/"+file, func(f []string) (string, uint16, bool) {
			if len(f) < 10 {
				return "", 0, false
			}
			_, port, _ := strings.Cut(f[1], ":")
			n, err := strconv.ParseUint(port, 16, 16)
			return f[9], uint16(n), err == nil && slices.Contains(ports, uint16(n))
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return nil, err
		}
		for inode, port := range found {
			datagram[inode] = port
		}
	}
	if len(datagram) == 0 {
		return nil, nil
	}
	return withBoth(packet, datagram)
}

// inodes reads one of the kernel's lists of sockets, without its heading.
func inodes(file string, parse func(fields []string) (inode string, port uint16, wanted bool)) (map[string]uint16, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("bypass: %w", err)
	}
	defer f.Close()
	found := make(map[string]uint16)
	lines := bufio.NewScanner(f)
	for heading := true; lines.Scan(); heading = false {
		if fields := strings.Fields(lines.Text()); !heading && len(fields) > 1 {
			if inode, port, wanted := parse(fields); wanted {
				found[inode] = port
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("bypass: %s: %w", file, err)
	}
	return found, nil
}

// withBoth are the processes that hold a socket of both kinds.
func withBoth(packet, datagram map[string]uint16) (found []Program, err error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("bypass: %w", err)
	}
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("bypass: %w", err)
	}
	var hidden error
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue // no process
		}
		sockets, err := Sockets(pid)
		switch {
		case errors.Is(err, os.ErrPermission):
			hidden = ErrHidden
			continue
		case err != nil:
			continue // it has ended meanwhile
		}
		program := Program{PID: pid}
		frames := false
		for _, inode := range sockets {
			_, isPacket := packet[inode]
			frames = frames || isPacket
			if port, ok := datagram[inode]; ok && !slices.Contains(program.Port, port) {
				program.Port = append(program.Port, port)
			}
		}
		if !frames || len(program.Port) == 0 {
			continue
		}
		if exe, err := os.Readlink(filepath.Join("/proc", p.Name(), "exe")); err == nil && exe == own {
			continue
		}
		name, err := os.ReadFile(filepath.Join("/proc", p.Name(), "comm"))
		if err != nil {
			continue
		}
		program.Name = strings.TrimSpace(string(name))
		slices.Sort(program.Port)
		found = append(found, program)
	}
	return found, hidden
}

// Sockets are the inodes of a process's sockets.
func Sockets(pid int) (inodes []string, err error) {
	folder := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		target, err := os.Readlink(filepath.Join(folder, f.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	return inodes, nil
}
