package udp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A link that fills the ring which all links share would take the room of the others,
// since the kernel drops whatever comes when it is full. So when many frames wait
// there, links that have a large part of them are set apart: the kernel puts what
// comes from them into a second ring, and drops what is too much for that one. Both
// rings are read in turns. It does not matter whether such a link is one of SetLinks.
const (
	crowd     = ringFrames / 4   // frames that wait before anybody is set apart
	crowdOne  = ringFrames / 16  // those of one link among them
	maxFloods = 64               // links that are apart at a time
	floodFor  = 10 * time.Second // a link that is apart is looked at after so long
	calm      = ringFrames       // and comes back if it sent less than that meanwhile
)

// floods are the links that are apart.
type floods struct {
	second *socket // guarded by Conn.admin; its ring is made when it is needed first

	mu      sync.Mutex // guards all following fields
	links   []int
	changed bool        // links is not yet what the kernel's filters say
	timer   *time.Timer // looks at the links that are apart
	over    bool        // closed
}

// hear is called where so many frames of a link wait that it is to be set apart.
// Only a goroutine of its own can do that: to make a ring takes the kernel long.
func (f *floods) hear(link int, part func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || len(f.links) == maxFloods || slices.Contains(f.links, link) {
		return
	}
	f.links = append(f.links, link)
	if !f.changed {
		f.changed = true
		go part()
	}
}

// look sets links apart that have a large part of what waits in the first ring.
func (r *reader) look() {
	if !r.conn.frames.ring.holds(crowd) {
		return
	}
	clear(r.crowd)
	r.conn.frames.ring.count(r.crowd)
	for link, n := range r.crowd {
		if n >= crowdOne {
			r.conn.floods.hear(link, r.conn.part)
		}
	}
}

// part tells the kernel of links that were heard, and looks at them again later.
func (c *Conn) part() {
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return
	}
	if err := c.openSecond(); err != nil {
		c.options.Logger.Warn("no second queue for links that flood", "reason", err.Error())
		return // changed stays set: nobody tries again
	}
	c.floods.mu.Lock()
	defer c.floods.mu.Unlock()
	c.floods.changed = false
	// What comes between the two is lost rather than taken twice.
	c.setFilters(c.frames, c.floods.second)
	c.options.Logger.Warn("links flood: what comes from them waits apart from other links", "interfaces", c.floods.links)
	if c.floods.timer == nil {
		c.floods.timer = time.AfterFunc(floodFor, c.rejoin)
	}
}

// rejoin has links come back that have become calm.
func (c *Conn) rejoin() {
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.floods.mu.Lock()
	defer c.floods.mu.Unlock()
	c.floods.links = slices.DeleteFunc(c.floods.links, func(link int) bool { return c.in.apart[link] < calm })
	clear(c.in.apart)
	c.setFilters(c.floods.second, c.frames)
	c.floods.timer = nil
	if len(c.floods.links) > 0 {
		c.floods.timer = time.AfterFunc(floodFor, c.rejoin)
	}
}

// setFilters has each ring get what is for it. The caller holds floods.mu.
func (c *Conn) setFilters(order ...*socket) {
	for _, s := range order {
		filter := clientFilter(c.options.Port, c.floods.links, s == c.floods.second)
		if err := attach(s.fd, unix.SO_ATTACH_FILTER, filter); err != nil {
			c.options.Logger.Warn("filter of the packet socket not changed", "reason", err.Error())
		}
	}
}

// openSecond makes the second ring part of c, once. The caller holds admin.
func (c *Conn) openSecond() (err error) {
	s := c.floods.second
	if c.byFD[int32(s.fd)] != nil {
		return nil
	}
	// Nothing arrives while the filter refuses all.
	if err = attach(s.fd, unix.SO_ATTACH_FILTER, clientFilter(c.options.Port, nil, true)); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	if s.ring, err = openRing(s.fd); err != nil {
		return err
	}
	if err = bindFrames(s.fd); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byFD[int32(s.fd)] = s
	return c.watch(s.fd)
}

// Flooding are the links, by their index, whose frames wait in a queue of their own
// because they filled that of all.
func (c *Conn) Flooding() []int {
	c.floods.mu.Lock()
	defer c.floods.mu.Unlock()
	return slices.Clone(c.floods.links)
}

func (f *floods) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.timer != nil {
		f.timer.Stop()
	}
}

// holds reports whether n frames wait.
func (r *ring) holds(n int) bool {
	return r.waits((r.next + n - 1) % ringFrames)
}

// count adds the frames that wait to those of their links.
func (r *ring) count(of map[int]int) {
	for n := range ringFrames {
		at := (r.next + n) % ringFrames
		if !r.waits(at) {
			return
		}
		of[linkOf(r.memory[at*ringFrame+ringName:])]++
	}
}

// linkOf is the interface that a sockaddr_ll names.
func linkOf(name []byte) int { return int(binary.NativeEndian.Uint32(name[4:])) }
