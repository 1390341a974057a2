// Package bypass finds the DHCP programs of this host that IPsec cannot protect. A program that
// reads frames by a packet socket sees a datagram before XFRM and the packet filter do. What it
// sends by such a socket does not pass XFRM; core/hop's FrameTable holds it back at the
// interface.
//
// Such a program has both a packet socket and a UDP socket at a port of DHCP servers and relay
// agents. ISC dhcpd and dhcrelay for DHCPv4 on Linux do, and Kea unless it is told
// dhcp-socket-type: udp. The package only reads the proc file system, and changes nothing.
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

// Program is a process that reads DHCP messages, and may send them, without IPsec.
type Program struct {
	PID  int
	Name string   // name of its executable, as the kernel has it
	Port []uint16 // the ports of its UDP sockets that were asked for, in ascending order
}

// ErrHidden says that the sockets of some processes could not be seen. Without CAP_SYS_PTRACE
// these are the processes of other users.
var ErrHidden = errors.New("bypass: the sockets of some processes are hidden")

// Programs finds the programs that have a packet socket and a UDP socket at one of the ports, in
// the network namespace of the calling thread. It leaves out this process, and others with the
// same executable. With ErrHidden the list has the programs that could be seen.
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
		if err != nil && !errors.Is(err, os.ErrNotExist) { // the file is missing in a kernel without IPv6
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

// inodes reads one of the kernel's lists of sockets, without its first line.
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

// withBoth are the processes that have a socket of each kind.
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
			continue // not a process
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
