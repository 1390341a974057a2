package protected

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// marked is how tcpdump begins the line of a mark; the number of the mark follows.
const marked = "Loopback, skipCount 0, Reply, receipt number "

// written is how long a recorder may take to write what has passed.
const written = 3 * time.Minute

// mark puts a frame with the number of the last mark on the recorded link. When the mark is in
// the recording, everything that passed before it is too: a recorder that has to wait for a
// processor may be late. No other program notices the frame: it is a reply of Ethernet's
// Configuration Testing Protocol, which hosts do not use, between addresses that nobody has.
func (x *Wire) mark() error {
	link, err := x.host.Node.Interface(x.link)
	if err != nil {
		return err
	}
	frame := []byte{2, 0, 0, 0, 0x90, 1, 2, 0, 0, 0, 0x90, 2, 0x90, 0}
	frame = append(frame, 0, 0, 1, 0) // nothing to skip, a reply
	frame = binary.LittleEndian.AppendUint16(frame, x.marks)
	return x.host.Node.Do(func() error {
		// The socket is closed at once: a guard on this host would report us as a program that
		// reads frames.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index, Protocol: 0x0090})
	})
}
