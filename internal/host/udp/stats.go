package udp

import "sync/atomic"

// Stats counts datagrams since Open.
type Stats struct {
	Traffic

	Fragments uint64 // seen by the frame path, which leaves them to the socket path; this is normal
	OtherPath uint64 // copies on one path of what the other path handles, which the kernel could not skip; this is normal

	Sockets       int // open descriptors that receive or send
	Memberships   int // links whose group is joined (IPv6)
	MemberSockets int // descriptors that hold memberships
}

// Traffic counts what passed and what was discarded. Every path and every Discard has an entry
// from the start. Operators read it as api.SocketCounters, which has the same fields.
type Traffic struct {
	Received map[string]uint64 // by Path
	Sent     map[string]uint64 // by Path
	Drops    map[string]uint64 // by Discard
}

// Discard is why a datagram was discarded.
type Discard uint8

// The reasons for which datagrams are discarded here.
const (
	SendFailed    Discard = iota // reported by Send's failed function
	BadChecksum                  // a frame's UDP or IPv4 checksum was wrong, or absent in IPv6
	Malformed                    // a frame's lengths contradict each other
	BadSource                    // a source that is not possible: multicast, loopback, unspecified (IPv6), broadcast (IPv4), or a link-layer group address
	NotClientLink                // multicast from an interface that is no client link
	OtherGroup                   // multicast to a group that is not ours
	Truncated                    // longer than Options.MaxDatagram
	QueueFull                    // dropped by the kernel because a socket's queue was full; not counted where the kernel counts what a filter refused as well: multicast and broadcast by the socket path, and IPv4 by a socket at no address
	FloodFull                    // the same for the queues of links that flood
	ReceiveError                 // an error that a socket reported and that was skipped, such as ENETDOWN
	discards
)

var discardNames = [discards]string{
	"send-failed", "bad-checksum", "malformed", "bad-source", "not-client-link", "other-group",
	"truncated", "queue-full", "flood-queue-full", "receive-error",
}

// String is the reason's name in metrics.
func (d Discard) String() string { return discardNames[d] }

type counters struct {
	received, sent                   [2]atomic.Uint64 // by Path
	drops                            [discards]atomic.Uint64
	fragments, otherPath             atomic.Uint64
	membershipsJoined, memberSockets atomic.Int64
}

func (c *counters) drop(why Discard) { c.drops[why].Add(1) }

// Stats returns the present counts.
func (c *Conn) Stats() Stats {
	n := &c.count
	s := Stats{
		Traffic:       Traffic{Received: byPath(&n.received), Sent: byPath(&n.sent), Drops: make(map[string]uint64)},
		Fragments:     n.fragments.Load(),
		OtherPath:     n.otherPath.Load(),
		Memberships:   int(n.membershipsJoined.Load()),
		MemberSockets: int(n.memberSockets.Load()),
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, sock := range c.byFD {
		lost := sock.queueFull()
		if sock.frames { // the kernel forgets the number for a packet socket once it has told it
			n.drops[sock.full()].Add(lost)
		} else {
			s.Drops[sock.full().String()] += lost
		}
	}
	for d := range discards {
		s.Drops[d.String()] += n.drops[d].Load()
	}
	s.Sockets = len(c.byFD)
	return s
}

func byPath(counts *[2]atomic.Uint64) map[string]uint64 {
	return map[string]uint64{PathFrame.String(): counts[PathFrame].Load(), PathSocket.String(): counts[PathSocket].Load()}
}

// full is the Discard by which a full queue of s is counted.
func (s *socket) full() Discard {
	if s.apart {
		return FloodFull
	}
	return QueueFull
}
