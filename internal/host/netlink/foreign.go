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

// Foreign is a route of another program that takes packets away from a unicast route of ours. It
// is for the same prefix, with the same metric or a lower one; or it is for a part of that prefix
// and leads to another link.
type Foreign struct {
	hoststate.Route
	Protocol uint8
	Form     uint8 // RTN_*
	Device   int   // interface index; 0: none, or several
	Ours     netip.Prefix
	Link     int // interface index of our route
}

// ForeignRoutes finds foreign routes, and the prefixes that routes of other programs lead to
// interfaces. It reads the routing tables when the kernel tells of a change that matters, and
// when there are new routes of ours.
type ForeignRoutes struct {
	conn  *Conn
	heard *bulk.Listener
	dump  *bulk.Conn
	due   chan struct{}

	mu    sync.Mutex // guards all following fields
	found []Foreign
	more  int // how many there was no room for

	tables map[int]uint32 // routing tables of the interfaces that Routed tells of, by interface index
	anew   bool           // Routed has changed since Run called told
	routed map[int]Routed
	places map[place]struct{} // the places of routed
}

const (
	// maxForeign bounds how many are remembered; more are only counted.
	maxForeign = 256
	// The tables may be those of the whole Internet. Reading them takes at most one hundredth of
	// a processor's time. It is the processor's time that counts: where other programs use the
	// processors, a short reading may last for seconds.
	readingShare = 100
	// While foreign routes are known, the tables are read again after this time: the kernel does
	// not tell of every end, such as that of a next-hop object.
	foreignAgain = time.Minute
)

var protocolNames = map[uint8]string{
	unix.RTPROT_REDIRECT: "redirect", unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot", unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra",
	unix.RTPROT_ZEBRA: "zebra", unix.RTPROT_BIRD: "bird", unix.RTPROT_DHCP: "dhcp", unix.RTPROT_BABEL: "babel",
	unix.RTPROT_BGP: "bgp", unix.RTPROT_ISIS: "isis", unix.RTPROT_OSPF: "ospf", unix.RTPROT_RIP: "rip", unix.RTPROT_EIGRP: "eigrp",
}

// ProtocolName is the name of a routing protocol, as ip prints it.
func ProtocolName(p uint8) string {
	if name := protocolNames[p]; name != "" {
		return name
	}
	return strconv.Itoa(int(p))
}

// FormName is the name of a kind of routes, as ip prints it.
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

// WatchForeign begins to listen, in the network namespace of the calling thread, which must be
// that of the Conn. There may be one ForeignRoutes at a time.
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

// Close closes the socket that WatchForeign opened.
func (w *ForeignRoutes) Close() error {
	w.conn.owned.tell(nil)
	return errors.Join(w.heard.Close(), w.dump.Close())
}

// soon asks for a reading of the tables; it never waits.
func (w *ForeignRoutes) soon() {
	select {
	case w.due <- struct{}{}:
	default:
	}
}

// Run looks until ctx ends. It calls told when it has found something else than before.
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
		select { // one reading for many changes
		case <-ctx.Done():
			return nil
		case <-time.After(max(gatherFor, readingShare*spent)):
		}
	}
}

// processorTime is how long a processor works for do, in the kernel included.
func processorTime(do func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var begin, end unix.Timespec // every thread has this clock
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begin)
	do()
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &end)
	return time.Duration(end.Nano() - begin.Nano())
}

// hear asks for a reading when the kernel tells of another program's route that matters.
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

// read reads all tables, and reports whether it has found something else than before. Where the
// tables change all the time, it uses what it has seen, and has them read again.
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

// Found are the foreign routes that are there, and how many more there are. It leaves out those
// whose route of ours has ended meanwhile.
func (w *ForeignRoutes) Found() (found []Foreign, more int) {
	w.mu.Lock()
	found, more = slices.Clone(w.found), w.more
	w.mu.Unlock()
	return slices.DeleteFunc(found, func(f Foreign) bool {
		_, still := w.conn.owned.behind(&heard{Route: f.Route, protocol: f.Protocol, form: f.Form, oif: f.Device})
		return !still
	}), more
}

// tell sets the function that is called when a new unicast route is ours.
func (o *owned) tell(came func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.came = came
}

// behind finds the route of ours that a foreign one takes packets away from, if there is one.
func (o *owned) behind(h *heard) (f Foreign, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, ok = o.kinds.behind(h); !ok {
		f, ok = o.displaced.kinds.behind(h)
	}
	return f, ok
}

func (k kinds) behind(h *heard) (f Foreign, ok bool) {
	for at, routes := range k {
		if at.table != h.Table {
			continue
		}
		for p, link := range routes.Supernets(h.Prefix) {
			same := p.Bits() == h.Prefix.Bits()
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

// displaced are routes of ours that could not be installed because a foreign route has their
// place. Each is remembered for some time: the role that asked for it may give up at once, and
// the operator must still be able to read why.
type displaced struct {
	kinds kinds
	since map[routeKey]time.Time // time of the last try
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

// noteDisplaced remembers that a foreign route has the place of one of ours.
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

// forgetDisplaced forgets entries that are too old.
func (o *owned) forgetDisplaced(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at, last := range o.displaced.since {
		if now.Sub(last) > displacedFor {
			o.displaced.remove(at)
		}
	}
}
