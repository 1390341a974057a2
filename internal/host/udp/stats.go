package udp

import "sync/atomic"

// Stats counts datagrams since Open. Every discard has its name here.
type Stats struct {
	FrameReceived  uint64 // delivered by the frame path
	SocketReceived uint64 // delivered by the socket path
	FrameSent      uint64
	SocketSent     uint64
	SendFailed     uint64 // reported through Send's failed function

	Fragments     uint64 // seen by the frame path, which leaves them to the socket path: normal
	BadChecksum   uint64 // a frame's UDP checksum was wrong or absent
	Malformed     uint64 // a frame's lengths contradict each other
	BadSource     uint64 // a source that cannot be answered: multicast, loopback, unspecified, or a group link-layer address
	NotClientLink uint64 // multicast from an interface that is no client link
	OtherPath     uint64 // the copy on one path of what the other path handles, where the kernel could not keep it back: normal
	OtherGroup    uint64 // multicast to a group that is not ours
	Truncated     uint64 // longer than Options.MaxDatagram
	QueueFull     uint64 // dropped by the kernel because a socket's queue was full; but not of multicast by the socket path
	FloodFull     uint64 // the same of the queues of links that flood
	ReceiveErrors uint64 // errors that a socket reported and that were passed over, such as ENETDOWN

	Sockets     int // open descriptors that receive or send
	Memberships int // links whose group is joined
	Holders     int // descriptors that hold memberships
}

type counters struct {
	frameReceived, socketReceived        atomic.Uint64
	frameSent, socketSent, sendFailed    atomic.Uint64
	fragments                            atomic.Uint64
	badChecksum, malformed, badSource    atomic.Uint64
	notClientLink, otherPath, otherGroup atomic.Uint64
	truncated, receiveErrors             atomic.Uint64
	queueFull, floodFull                 atomic.Uint64
	membershipsJoined, holderOpen        atomic.Int64
}

// Stats returns the counts of this moment.
func (c *Conn) Stats() Stats {
	n := &c.count
	s := Stats{
		FrameReceived:  n.frameReceived.Load(),
		SocketReceived: n.socketReceived.Load(),
		FrameSent:      n.frameSent.Load(),
		SocketSent:     n.socketSent.Load(),
		SendFailed:     n.sendFailed.Load(),
		Fragments:      n.fragments.Load(),
		BadChecksum:    n.badChecksum.Load(),
		Malformed:      n.malformed.Load(),
		BadSource:      n.badSource.Load(),
		NotClientLink:  n.notClientLink.Load(),
		OtherPath:      n.otherPath.Load(),
		OtherGroup:     n.otherGroup.Load(),
		Truncated:      n.truncated.Load(),
		ReceiveErrors:  n.receiveErrors.Load(),
		Memberships:    int(n.membershipsJoined.Load()),
		Holders:        int(n.holderOpen.Load()),
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, sock := range c.byFD {
		switch lost := sock.queueFull(); {
		case sock.frames: // the kernel forgets what it has told of a packet socket
			c.full(sock).Add(lost)
		case sock.apart:
			s.FloodFull += lost
		default:
			s.QueueFull += lost
		}
	}
	s.QueueFull += n.queueFull.Load()
	s.FloodFull += n.floodFull.Load()
	s.Sockets = len(c.byFD)
	return s
}

// full is where it is counted that the queue of s was full.
func (c *Conn) full(s *socket) *atomic.Uint64 {
	if s.apart {
		return &c.count.floodFull
	}
	return &c.count.queueFull
}
