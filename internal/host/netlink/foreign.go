package netlink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// Foreign is a route of somebody else that takes packets away from a unicast route of
// ours: one for the same prefix with the same metric or a lower one, or one for a part
// of it that leads to another link.
type Foreign struct {
	hoststate.Route
	Protocol uint8
	Form     uint8 // RTN_*
	Device   int   // interface index; 0: none, or several
	Ours     netip.Prefix
	Link     int // interface index of ours
}

// ForeignRoutes finds foreign routes, and what routes of others lead to interfaces. Word
// of the kernel, and new routes of ours, have it read the routing tables; nothing is
// read while nothing changes that matters.
type ForeignRoutes struct {
	conn  *Conn
	heard *bulk.Listener
	dump  *bulk.Conn
	due   chan struct{}

	mu    sync.Mutex // guards all following fields
	found []Foreign
	more  int // that there was no room for

	tables map[int]uint32 // of the interfaces that Routed tells of, by index
	anew   bool           // they are others than Run has told of
	routed map[int]Routed
	places map[place]struct{} // of routed
}

const (
	// maxForeign bounds what is remembered; more are only counted.
	maxForeign = 256
	// The tables may be those of the whole Internet. To read them takes a hundredth of a
	// processor's time at most. How long it takes does not count: where others have the
	// processors, a short reading may take seconds.
	readingShare = 100
	// While foreign routes are known, it is looked whether they are there: not every
	// end is told, such as that of a next-hop object.
	foreignAgain = time.Minute
)

var protocolNames = map[uint8]string{
	unix.RTPROT_REDIRECT: "redirect", unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot", unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra",
	unix.RTPROT_ZEBRA: "zebra", unix.RTPROT_BIRD: "bird", unix.RTPROT_DHCP: "dhcp", unix.RTPROT_BABEL: "babel",
	unix.RTPROT_BGP: "bgp", unix.RTPROT_ISIS: "isis", unix.RTPROT_OSPF: "ospf", unix.RTPROT_RIP: "rip", unix.RTPROT_EIGRP: "eigrp",
}

// ProtocolName is how ip calls a routing protocol.
func ProtocolName(p uint8) string {
	if name := protocolNames[p]; name != "" {
		return name
	}
	return strconv.Itoa(int(p))
}

// FormName is how ip calls a kind of routes.
func FormName(form uint8) string {
	switch form {
	case unix.RTN_UNICAST:
		return "unicast"
	case unix.RTN_UNREACHABLE:
		return "unreachable"
	case unix.RTN_BLACKHOLE:
		return "blackhole"
	case unix.RTN_PROHIBIT:
		return "prohibit"
	}
	return strconv.Itoa(int(form))
}

// WatchForeign begins to listen, in the network namespace of the calling thread, which
// must be the Conn's. There is one at a time.
func (c *Conn) WatchForeign() (*ForeignRoutes, error) {
	heard, err := bulk.Listen(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("foreign routes: %w", err)
	}
	w := &ForeignRoutes{conn: c, heard: heard, due: make(chan struct{}, 1)}
	if err := heard.Ignore(c.requests.Port()); err != nil {
		return nil, errors.Join(fmt.Errorf("foreign routes: %w", err), heard.Close())
	}
	if w.dump, err = bulk.Open(unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("foreign routes: %w", err), heard.Close())
	}
	c.owned.tell(w.soon)
	w.soon()
	return w, nil
}

// Close ends what WatchForeign began.
func (w *ForeignRoutes) Close() error {
	w.conn.owned.tell(nil)
	return errors.Join(w.heard.Close(), w.dump.Close())
}

// soon has the tables read; it never waits.
func (w *ForeignRoutes) soon() {
	select {
	case w.due <- struct{}{}:
	default:
	}
}

// Run looks until ctx ends, and calls told when something else is found than before.
func (w *ForeignRoutes) Run(ctx context.Context, told func()) error {
	var hearing sync.WaitGroup
	hearing.Go(func() { w.hear(ctx) })
	defer hearing.Wait()
	for {
		var again <-chan time.Time
		if found, more := w.Found(); len(found)+more+len(w.Routed()) > 0 {
			again = time.After(foreignAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.due:
		case <-again:
		}
		var changed bool
		var err error
		spent := processorTime(func() { changed, err = w.read() })
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("foreign routes: %w", err)
		}
		if changed {
			told()
		}
		select { // many changes are one
		case <-ctx.Done():
			return nil
		case <-time.After(max(gatherFor, readingShare*spent)):
		}
	}
}

// processorTime is for how long a processor works on what do does, in the kernel as well.
func processorTime(do func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var begin, end unix.Timespec // the thread's clock is always there
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begin)
	do()
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &end)
	return time.Duration(end.Nano() - begin.Nano())
}

// hear asks for a look when the kernel tells of a route of somebody else that matters.
func (w *ForeignRoutes) hear(ctx context.Context) {
	for w.heard.Wait(ctx) == nil {
		matters := false
		lost := w.heard.Read(func(_ uint16, body []byte) {
			if h, ok := parseRoute(body); ok && h.protocol != w.conn.protocol && !matters {
				_, matters = w.conn.owned.behind(&h)
				matters = matters || w.concerns(&h)
			}
		})
		if lost || matters {
			w.soon()
		}
	}
}

// read reads all tables, and reports whether something else is found than before. Where
// they change all the time, what was seen counts, and they are read again.
func (w *ForeignRoutes) read() (changed bool, err error) {
	var found []Foreign
	more := 0
	w.mu.Lock()
	routed := gathered{tables: w.tables, routed: map[int]Routed{}}
	w.mu.Unlock()
	b, start := bulk.Begin(nil, unix.RTM_GETROUTE, unix.NLM_F_DUMP, unix.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	w.conn.owned.forgetDisplaced(time.Now())
	err = w.dump.Dump(bulk.End(b, start), bulk.Tries, func() { found, more = found[:0], 0; clear(routed.routed) }, func(_ uint16, body []byte) {
		h, ok := parseRoute(body)
		if !ok || h.protocol == w.conn.protocol {
			return
		}
		routed.add(&h)
		f, ok := w.conn.owned.behind(&h)
		switch {
		case !ok:
		case len(found) < maxForeign:
			found = append(found, f)
		default:
			more++
		}
	})
	if errors.Is(err, bulk.ErrInterrupted) {
		w.soon()
	} else if err != nil {
		return false, err
	}
	slices.SortFunc(found, func(a, b Foreign) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), cmp.Compare(a.Table, b.Table),
			cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Device, b.Device), a.Gateway.Compare(b.Gateway))
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	changed = more != w.more || !slices.Equal(found, w.found)
	changed = w.takeRouted(&routed) || changed
	w.found, w.more = found, more
	return changed, nil
}

// Found are the foreign routes that are there, and how many more there are. Those whose
// route of ours has ended meanwhile are left out.
func (w *ForeignRoutes) Found() (found []Foreign, more int) {
	w.mu.Lock()
	found, more = slices.Clone(w.found), w.more
	w.mu.Unlock()
	return slices.DeleteFunc(found, func(f Foreign) bool {
		_, still := w.conn.owned.behind(&heard{Route: f.Route, protocol: f.Protocol, form: f.Form, oif: f.Device})
		return !still
	}), more
}

// tell has a function called when a unicast route has become ours.
func (o *owned) tell(came func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.came = came
}

// behind is the route of ours that a foreign one takes packets away from, if there is
// one, with the foreign one.
func (o *owned) behind(h *heard) (f Foreign, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, ok = o.kinds.behind(h); !ok {
		f, ok = o.displaced.kinds.behind(h)
	}
	return f, ok
}

func (k kinds) behind(h *heard) (f Foreign, ok bool) {
	for at, w := range k {
		if at.table != h.Table {
			continue
		}
		for bits := h.Prefix.Bits(); bits > 0; bits-- {
			if w.lengths[bits] == 0 {
				continue
			}
			p, _ := h.Prefix.Addr().Prefix(bits)
			link := w.links[target{p.Addr().As16(), uint8(bits)}]
			same := bits == h.Prefix.Bits()
			if link == 0 || same && h.Metric > at.metric || !same && h.Link == int(link) {
				continue
			}
			f = Foreign{Route: h.Route, Protocol: h.protocol, Form: h.form, Ours: p, Link: int(link)}
			if h.unicast || h.Link > 0 {
				f.Device = h.oif
			}
			return f, true
		}
	}
	return f, false
}

// displaced are routes of ours that could not be installed because a foreign one has their
// place. Of each it is known for some time: whoever asked for it may give up at once,
// and the operator still has to read why.
type displaced struct {
	kinds kinds
	since map[routeKey]time.Time // when it was last tried
}

const (
	maxDisplaced = 256
	displacedFor = 10 * time.Minute
)

func newDisplaced() displaced { return displaced{kinds{}, make(map[routeKey]time.Time)} }

func (k *displaced) remove(at routeKey) {
	if len(k.since) > 0 {
		k.kinds.remove(at)
		delete(k.since, at)
	}
}

// noteDisplaced takes note that a foreign route has the place of one of ours.
func (o *owned) noteDisplaced(r hoststate.Route) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := &o.displaced
	at := keyOf(r)
	if _, known := k.since[at]; !known && len(k.since) == maxDisplaced {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(k.since)), func(a, b routeKey) int { return k.since[a].Compare(k.since[b]) })
		k.remove(oldest)
	}
	k.kinds.put(at, r.Link)
	k.since[at] = time.Now()
	if o.came != nil {
		o.came()
	}
}

// forgetDisplaced forgets what is too old.
func (o *owned) forgetDisplaced(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at, last := range o.displaced.since {
		if now.Sub(last) > displacedFor {
			o.displaced.remove(at)
		}
	}
}
