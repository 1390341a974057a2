package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// All links share the queues: the ring, and the two queues of each wildcard. The kernel
// drops whatever comes when a queue is full, so a link that floods would take the room of
// the others. So when much is waiting in a queue, the links that have a large part of it are
// set apart: the kernel puts what comes from them into queues of their own, and drops what
// is too much for those. All queues are read in turns. A link that fills one queue is set
// apart in all of them, whether it is one of SetLinks or not.
//
// In a VRF, a filter of a UDP socket does not see on which link a datagram came in, except
// in the default VRF. So a link there gets a socket of its own for unicast, bound to the
// link, which the kernel prefers to that of the VRF. For multicast that would not help: the
// socket of the VRF would still get a copy. So a link that fills the queue for multicast is
// muted: the kernel takes nothing that is sent to the group on this link, and the ring still
// gets what it can take.
const (
	crowd     = ringFrames / 4   // waiting frames above which links are set apart
	crowdOne  = ringFrames / 16  // waiting frames of one link above which it is set apart
	maxFloods = 64               // links that are apart at the same time
	floodFor  = 10 * time.Second // how long a link is apart before it is looked at
	calm      = ringFrames       // frames in that time below which the link comes back
	maxOwn    = 16               // links in VRFs that have a socket of their own at the same time
)

// floods are the links that are apart, and their queues.
type floods struct {
	// Queues for links that are apart. The sockets are made with the Conn, in its network
	// namespace. What costs something while nobody floods is made when it is first needed.
	// Conn.admin guards these fields.
	frames, multicast *socket
	own               []*socket // each for unicast of one link in a VRF, whose index is at.Index; the one that was used last is the last
	mapRing           func(fd int) ([]byte, error)
	period            time.Duration // floodFor

	// Conn.filters guards all following fields.
	links   []flooding
	changed bool        // the kernel's filters do not have the present links yet
	refused time.Time   // when the queues last could not be made, and a link flooded; zero: it is over
	timer   *time.Timer // calls rejoin for the link that has been apart longest
	over    bool        // the Conn is closed
}

// flooding is a link that is apart.
type flooding struct {
	link  int
	since time.Time // when it was set apart or last looked at; zero until the kernel knows

	inVRF bool // it needs a socket of its own for unicast
	mute  bool // it fills the queue for multicast in a VRF
	muted bool // the kernel has been told to mute it
}

// hear is called when so much of a link is waiting in the queue of a socket that the link has to
// be set apart. That needs a goroutine of its own, because the kernel takes long to make a ring.
// The caller holds Conn.mu for reading.
func (c *Conn) hear(link int, in *socket) {
	c.filters.Lock()
	defer c.filters.Unlock()
	f, now := &c.floods, time.Now()
	if !f.refused.IsZero() && now.Sub(f.refused) < f.period {
		f.refused = now // it is the same flood, for which they would be refused again
		return
	}
	l := flooding{link: link, inVRF: in.at.VRF != "", mute: in.at.VRF != "" && in.multicast}
	if served := c.links[link]; served != nil && served.VRF != "" {
		l.inVRF = true
	}
	at := slices.IndexFunc(f.links, func(l flooding) bool { return l.link == link })
	switch {
	case f.over:
		return
	case at >= 0:
		known := &f.links[at]
		if (known.inVRF || !l.inVRF) && (known.mute || !l.mute) {
			return
		}
		known.inVRF, known.mute = known.inVRF || l.inVRF, known.mute || l.mute
	case len(f.links) == maxFloods:
		return
	default:
		f.links = append(f.links, l)
	}
	if !f.changed {
		f.changed = true
		go c.part()
	}
}

// apart are the links of which the kernel has been told. The caller holds Conn.filters.
func (f *floods) apart() (links []int) {
	for _, l := range f.links {
		if !l.since.IsZero() {
			links = append(links, l.link)
		}
	}
	return links
}

// look sets apart the links that have a large part of what is waiting in the first ring.
func (r *reader) look() {
	if !r.conn.frames.ring.hasWaiting(crowd) {
		return
	}
	clear(r.crowd)
	r.conn.frames.ring.count(r.crowd)
	for link, n := range r.crowd {
		if n >= crowdOne {
			r.conn.hear(link, r.conn.frames)
		}
	}
}

// part tells the kernel of new links that flood, and has them looked at later.
func (c *Conn) part() {
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return
	}
	f := &c.floods
	c.filters.Lock()
	f.changed = false // a later change starts another run
	links, known := slices.Clone(f.links), f.apart()
	c.filters.Unlock()
	err := c.openQueues()
	if err == nil {
		c.partInVRFs(links, known)
	}
	c.filters.Lock()
	defer c.filters.Unlock()
	now := time.Now()
	if err != nil {
		// No link was apart before these: so there are no queues yet.
		f.links, f.refused = nil, now
		c.options.Logger.Warn("no second queue for links that flood: they take the room of other links", "reason", err.Error())
		return
	}
	var names []string
	for i, l := range links {
		if l.since.IsZero() {
			l.since = now
			names = append(names, linkName(f.frames.fd, l.link))
		}
		f.links[i].since, f.links[i].muted = l.since, l.muted
	}
	c.setFilters(c.shared(), c.apart())
	if len(names) > 0 {
		c.options.Logger.Warn("links flood: what comes from them waits apart from other links", "links", names)
	}
	c.lookLater(now)
}

// partInVRFs does for links in VRFs what filters cannot do. The caller holds admin.
func (c *Conn) partInVRFs(links []flooding, apart []int) {
	for i := range links {
		l := &links[i]
		var err error
		if l.inVRF {
			err = c.giveOwn(l.link, apart)
			apart = append(apart, l.link)
		}
		if l.mute && !l.muted {
			failed := c.groups.mute(l.link, true)
			l.muted = failed == nil
			err = errors.Join(err, failed)
		}
		if err != nil {
			c.options.Logger.Warn("a link that floods in a VRF takes the room of other links there", "link", linkName(c.floods.frames.fd, l.link), "reason", err.Error())
		}
	}
}

// createOwn makes the sockets for unicast of single links, in the namespace of this thread, when
// the first VRF is served. The caller holds admin.
func (c *Conn) createOwn(vrf string) error {
	for f := &c.floods; vrf != "" && len(f.own) < maxOwn; {
		s := &socket{at: c.wildcard(""), apart: true}
		if err := s.create(c.profile); err != nil {
			return err
		}
		f.own = append(f.own, s)
		if err := c.listen(s); err != nil {
			return err
		}
	}
	return nil
}

var errNoneLeft = errors.New("too many links in VRFs flood")

// giveOwn gives a link a socket of its own. The link keeps it when it is not apart any more,
// until another link that floods needs it: so nothing is lost that is waiting in it. Of the
// sockets that fit, the kernel prefers one that does not share its place.
func (c *Conn) giveOwn(link int, apart []int) error {
	f := &c.floods
	at := slices.IndexFunc(f.own, func(s *socket) bool { return s.at.Index == link })
	if at < 0 {
		at = slices.IndexFunc(f.own, func(s *socket) bool { return !slices.Contains(apart, s.at.Index) })
	}
	if at < 0 {
		return errNoneLeft
	}
	s := f.own[at]
	if s.at.Index == link {
		return nil
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, link); err != nil {
		return fmt.Errorf("bind to a link: %w", err)
	}
	s.at.Index = link
	f.own = append(slices.Delete(f.own, at, at+1), s)
	if s.bound {
		return nil
	}
	return s.prepare(&c.options)
}

// rejoin ends being apart for links that were calm for a whole period. The others are looked at
// again after another period.
func (c *Conn) rejoin(now time.Time) {
	c.admin.Lock()
	defer c.admin.Unlock()
	if c.closing.Load() {
		return
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.filters.Lock()
	defer c.filters.Unlock()
	f := &c.floods
	stay := f.links[:0]
	sent := map[int]int{}
	for _, l := range f.links {
		n := c.in.apart[l.link]
		switch {
		case l.since.IsZero():
		case now.Sub(l.since) < f.period:
			sent[l.link] = n
		case n < calm:
			if l.muted {
				if err := c.groups.mute(l.link, false); err != nil {
					c.options.Logger.Warn("a link that has flooded stays muted", "link", linkName(f.frames.fd, l.link), "reason", err.Error())
				}
			}
			continue
		default:
			l.since = now
		}
		stay = append(stay, l)
	}
	f.links, c.in.apart = stay, sent
	c.setFilters(c.apart(), c.shared())
	c.lookLater(now)
}

// lookLater has rejoin called when the next link has been apart for a whole period. The caller
// holds Conn.filters.
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

// shared and apart are the sockets for all links, and those for links that are apart. The caller
// holds admin.
func (c *Conn) shared() []*socket {
	wildcard := c.sockets[c.wildcard("")]
	return []*socket{c.frames, wildcard.twin, wildcard}
}

func (c *Conn) apart() []*socket { return []*socket{c.floods.frames, c.floods.multicast} }

// setFilters tells the kernel what each queue gets. Queues that get less come first: if a packet
// comes meanwhile from a link that changes over, it is lost rather than taken twice. All sockets
// that share the wildcard's unicast have one program, so that no unicast is lost. The caller
// holds Conn.filters.
func (c *Conn) setFilters(less, more []*socket) {
	for _, s := range slices.Concat(less, more) {
		c.filter(s)
	}
}

// filter tells the kernel what a socket gets. The caller holds Conn.filters.
func (c *Conn) filter(s *socket) {
	apart := c.floods.apart()
	var err error
	switch {
	case s.frames:
		err = attach(s.fd, unix.SO_ATTACH_FILTER, c.profile.clientFilter(c.options.Port, apart, s.apart))
	case s.at.VRF != "":
		err = s.attach(c.profile, nil, !c.copies.seen)
	default:
		err = s.attach(c.profile, apart, !c.copies.seen)
	}
	if err != nil {
		c.options.Logger.Warn("filter of a socket not changed", "socket", s.String(), "reason", err.Error())
	}
}

// openApart makes the sockets for links that are apart. Only the socket for unicast receives at
// once: it must be bound together with those that it shares the wildcard with.
func (c *Conn) openApart() error {
	at := c.wildcard("")
	frames, err := packetSocket()
	if err != nil {
		return err
	}
	frames.apart = true
	multicast := &socket{at: at, shared: true, apart: true, multicast: true}
	c.floods.frames, c.floods.multicast = frames, multicast
	if err := c.listen(frames); err != nil {
		return err
	}
	if err := multicast.create(c.profile); err != nil {
		return err
	}
	if err := c.listen(multicast); err != nil {
		return err
	}
	unicast := &socket{at: at, shared: true, apart: true}
	if err := unicast.open(&c.options); err != nil {
		return err
	}
	return c.listen(unicast)
}

// openQueues has the other sockets receive. Nothing arrives while their filters refuse
// everything. If something fails, it can be tried again. The caller holds admin.
func (c *Conn) openQueues() error {
	frames, multicast := c.floods.frames, c.floods.multicast
	if frames.ring == nil {
		ring, err := openRing(frames.fd, c.floods.mapRing)
		if err != nil {
			return err
		}
		c.mu.Lock()
		frames.ring = ring
		c.mu.Unlock()
	}
	if !frames.bound {
		if err := frames.prepareFrames(&c.options); err != nil {
			return err
		}
	}
	if !multicast.bound {
		return multicast.prepare(&c.options)
	}
	return nil
}

// listen has Receive look at s. c owns s from then on, even if listen fails.
func (c *Conn) listen(s *socket) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byFD[int32(s.fd)] = s
	if err := c.watch(s.fd); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

// Flooding are the indexes of the links that are apart because they filled a queue that all links
// share.
func (c *Conn) Flooding() []int {
	c.filters.Lock()
	defer c.filters.Unlock()
	return c.floods.apart()
}

// close stops the timer. The caller holds Conn.filters.
func (f *floods) close() {
	f.over = true
	if f.timer != nil {
		f.timer.Stop()
	}
}

// hasWaiting reports whether n frames are waiting.
func (r *ring) hasWaiting(n int) bool {
	return r.waits((r.next + n - 1) % ringFrames)
}

// count adds the waiting frames to those of their links.
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

// linkName is the name of a link, for the log. It asks in the namespace of a socket.
func linkName(fd, index int) string {
	if req, err := unix.NewIfreq(""); err == nil {
		req.SetUint32(uint32(index))
		if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, req) == nil {
			return req.Name()
		}
	}
	return fmt.Sprint("with index ", index) // the link has just gone
}
