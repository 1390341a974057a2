package ipsec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// errFrame says that what came does not have the form of VICI.
var errFrame = errors.New("not VICI")

// The types of VICI packets that charon sends.
const (
	packetConfirm = 5
	packetEvent   = 7
)

const (
	// maxFrame is the longest message that charon makes.
	maxFrame = 512 << 10
	// maxDepth bounds sections within sections; charon uses four.
	maxDepth = 16
	// maxUnread bounds the streamed events that nobody has taken yet. The library loses those
	// beyond 128 without a word.
	maxUnread = 64
)

// framed is a connection to charon. It checks the messages before the library sees them, because
// the library trusts lengths, has no bound, and loses events.
type framed struct {
	net.Conn
	rest      []byte // the rest of the message that is being read
	streaming bool   // answers come as events, which are taken one by one
	confirmed bool   // an event has been subscribed to
	unread    chan struct{}
	closed    chan struct{}
	once      sync.Once

	mu    sync.Mutex // guards what follows
	cause error      // why reading ended; the library does not always tell
}

func newFramed(conn net.Conn, streaming bool) *framed {
	return &framed{
		Conn: conn, streaming: streaming,
		unread: make(chan struct{}, maxUnread), closed: make(chan struct{}),
	}
}

// Read returns only octets of whole messages that are well formed.
func (f *framed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if err := f.next(); err != nil {
			f.mu.Lock()
			f.cause = err
			f.mu.Unlock()
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *framed) next() error {
	var head [4]byte
	if _, err := io.ReadFull(f.Conn, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxFrame {
		return fmt.Errorf("%w: message of %d octets", errFrame, n)
	}
	whole := make([]byte, 4+n)
	copy(whole, head[:])
	if _, err := io.ReadFull(f.Conn, whole[4:]); err != nil {
		return err
	}
	if err := checkPacket(whole[4:]); err != nil {
		return err
	}
	if err := f.admit(whole[4]); err != nil {
		return err
	}
	f.rest = whole
	return nil
}

// admit holds an event back until there is room for it. An event that comes before a subscription
// would lock the library up.
func (f *framed) admit(kind byte) error {
	switch kind {
	case packetConfirm:
		f.confirmed = true
	case packetEvent:
		if !f.confirmed {
			return fmt.Errorf("%w: event before its confirmation", errFrame)
		}
		if !f.streaming {
			return nil
		}
		select {
		case f.unread <- struct{}{}:
		case <-f.closed:
			return net.ErrClosed
		}
	}
	return nil
}

// broken is why reading has ended, or nil.
func (f *framed) broken() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

// taken makes room for another event.
func (f *framed) taken() {
	select {
	case <-f.unread:
	default:
	}
}

// Close closes the connection, and ends a Read that waits.
func (f *framed) Close() error {
	f.once.Do(func() { close(f.closed) })
	return f.Conn.Close()
}

// The elements of a VICI message.
const (
	elementSection = iota + 1
	elementSectionEnd
	elementValue
	elementList
	elementItem
	elementListEnd
)

// cursor reads a message from its start to its end.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) octet() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) skip(n int) {
	if n > len(c.b) {
		c.bad, n = true, len(c.b)
	}
	c.b = c.b[n:]
}

func (c *cursor) name()  { c.skip(int(c.octet())) }
func (c *cursor) value() { c.skip(int(c.octet())<<8 | int(c.octet())) }

// checkPacket accepts a packet that is well formed from its type to its last element.
func checkPacket(b []byte) error {
	c := &cursor{b: b}
	kind := c.octet()
	if kind > packetEvent {
		return fmt.Errorf("%w: packet of type %d", errFrame, kind)
	}
	if kind == packetEvent {
		c.name()
	}
	depth, list := 0, false
	for len(c.b) > 0 && !c.bad {
		element := c.octet()
		if list != (element == elementItem || element == elementListEnd) {
			return fmt.Errorf("%w: element %d is out of place", errFrame, element)
		}
		switch element {
		case elementSection:
			c.name()
			depth++
		case elementSectionEnd:
			depth--
		case elementValue:
			c.name()
			c.value()
		case elementList:
			c.name()
			list = true
		case elementItem:
			c.value()
		case elementListEnd:
			list = false
		default:
			return fmt.Errorf("%w: element of type %d", errFrame, element)
		}
		if depth < 0 || depth > maxDepth {
			return fmt.Errorf("%w: sections do not pair", errFrame)
		}
	}
	if c.bad || list || depth != 0 {
		return fmt.Errorf("%w: message ends within an element", errFrame)
	}
	return nil
}
