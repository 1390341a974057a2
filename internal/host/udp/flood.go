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
	second *socket       // guarded by Conn.admin; its ring is made when it is needed first
	period time.Duration // floodFor

	mu      sync.Mutex // guards all following fields
	links   []flooding
	changed bool        // links is not yet what the kernel's filters say
	refused time.Time   // the second ring could not be had, and something flooded then or since
	timer   *time.Timer // looks at the link that is apart for longest
	over    bool        // closed
}

// flooding is a link that is apart.
type flooding struct {
	link  int
	since time.Time // it is apart, or was looked at; zero until the kernel knows
}

// hear is called where so many frames of a link wait that it is to be set apart.
// Only a goroutine of its own can do that: to make a ring takes the kernel long.
func (f *floods) hear(now time.Time, link int, part func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.refused.IsZero() && now.Sub(f.refused) < f.period {
		f.refused = now // it is the same flood: it would be refused again
		return
	}
	same := func(l flooding) bool { return l.link == link }
	if f.over || len(f.links) == maxFloods || slices.ContainsFunc(f.links, same) {
		return
	}
	f.links = append(f.links, flooding{link: link})
	if !f.changed {
		f.changed = true
		go part()
	}
}

// apart are the links that the kernel was told of. The caller holds mu.
func (f *floods) apart() (links []int) {
	for _, l := range f.links {
		if !l.since.IsZero() {
			links = append(links, l.link)
		}
	}
	return links
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
			r.conn.floods.hear(time.Now(), link, r.conn.part)
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
	err := c.openSecond()
	f := &c.floods
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = false
	now := time.Now()
	if err != nil {
		// None was apart before: it takes the second ring.
		f.links, f.refused = nil, now
		c.options.Logger.Warn("no second queue for links that flood: they take the room of other links", "reason", err.Error())
		return
	}
	var names []string
	for i := range f.links {
		if l := &f.links[i]; l.since.IsZero() {
			l.since = now
			names = append(names, linkName(f.second.fd, l.link))
		}
	}
	// What comes between the two is lost rather than taken twice.
	c.setFilters(c.frames, f.second)
	c.options.Logger.Warn("links flood: what comes from them waits apart from other links", "links", names)
	c.lookLater(now)
}

// rejoin has links come back that were calm for a whole period. The others are
// looked at anew after another one.
func (c *Conn) rejoin(now time.Time) {
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	f := &c.floods
	f.mu.Lock()
	defer f.mu.Unlock()
	stay := f.links[:0]
	sent := map[int]int{}
	for _, l := range f.links {
		n := c.in.apart[l.link]
		switch {
		case l.since.IsZero():
		case now.Sub(l.since) < f.period:
			sent[l.link] = n
		case n < calm:
			continue
		default:
			l.since = now
		}
		stay = append(stay, l)
	}
	f.links, c.in.apart = stay, sent
	c.setFilters(f.second, c.frames)
	c.lookLater(now)
}

// lookLater has rejoin called when the next link was apart for a whole period. The
// caller holds floods.mu.
func (c *Conn) lookLater(now time.Time) {
	f := &c.floods
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	var next time.Time
	for _, l := range f.links {
		if !l.since.IsZero() && (next.IsZero() || l.since.Before(next)) {
			next = l.since
		}
	}
	if !next.IsZero() {
		f.timer = time.AfterFunc(next.Add(f.period).Sub(now), func() { c.rejoin(time.Now()) })
	}
}

// setFilters has each ring get what is for it. The caller holds floods.mu.
func (c *Conn) setFilters(order ...*socket) {
	apart := c.floods.apart()
	for _, s := range order {
		filter := clientFilter(c.options.Port, apart, s == c.floods.second)
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
	if s.ring == nil {
		if s.ring, err = openRing(s.fd); err != nil {
			return err
		}
	}
	if err = bindFrames(s.fd); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err = c.watch(s.fd); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	c.byFD[int32(s.fd)] = s
	return nil
}

// Flooding are the links, by their index, whose frames wait in a queue of their own
// because they filled that of all.
func (c *Conn) Flooding() []int {
	c.floods.mu.Lock()
	defer c.floods.mu.Unlock()
	return c.floods.apart()
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

// linkName is for the log. It asks in the namespace of a socket.
func linkName(fd, index int) string {
	if req, err := unix.NewIfreq(""); err == nil {
		req.SetUint32(uint32(index))
		if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, req) == nil {
			return req.Name()
		}
	}
	return fmt.Sprint("with index ", index) // it has just gone
}
