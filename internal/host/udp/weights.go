package udp

import "golang.org/x/sys/unix"

// weights find links that fill the queue of a UDP socket. Unlike a ring, such a queue cannot be
// looked at. So while at least half of the queue is in use, what is read is weighed: a link that
// had a sixteenth of the queue before as much as the whole queue was read has to be set apart.
// The reader's lock guards them.
type weights struct {
	links   map[int]int // octets of the kernel's memory, approximately, since the queue became half full
	all     int
	room    int // size of the queue in octets
	crowded bool
}

// datagramRoom is less than the memory that the kernel takes for a datagram without its payload.
const datagramRoom = 512

func newWeights() *weights { return &weights{links: map[int]int{}} }

// look is called before a queue is read. Up to a quarter of the queue is counted by the kernel
// for datagrams that were read already.
func (w *weights) look(memory [unix.SK_MEMINFO_VARS]uint32) {
	w.room = int(memory[unix.SK_MEMINFO_RCVBUF])
	w.crowded = w.room > 0 && int(memory[unix.SK_MEMINFO_RMEM_ALLOC]) >= w.room/2
	if !w.crowded {
		w.begin()
	}
}

func (w *weights) begin() {
	if w.all > 0 {
		clear(w.links)
		w.all = 0
	}
}

// add weighs a datagram that was read, and reports whether its link has to be set apart.
func (w *weights) add(link, length int) bool {
	if !w.crowded {
		return false
	}
	if w.all >= w.room {
		w.begin()
	}
	size := datagramRoom + length
	w.all += size
	w.links[link] += size
	if w.links[link] < w.room/16 {
		return false
	}
	w.links[link] = 0
	return true
}
