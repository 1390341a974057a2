package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"fairlead/internal/core/links"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Event is one thing that happened to the host. Exactly one field is set.
type Event struct {
	Link         *links.Link // an interface that appeared or changed; its index now belongs to its name
	Removed      string      // the name of an interface that is gone
	RouteChanged bool        // another program added, changed or removed routes with our protocol: a comparison is needed
	Resync       bool        // notices of the kernel were lost; all links have been told again, and a comparison is needed
}

// gatherFor is how long changes to routes are gathered into one event.
const gatherFor = 250 * time.Millisecond

// watchBuffer is room for a burst of notices, in octets: if an interface with many routes goes
// down, there is one notice for each route.
const watchBuffer = 8 << 20

// Watch first tells of every interface that is there, and then of changes, until ctx ends, which
// closes the channel. Each change of something in links.Link is one event. A slow reader loses
// nothing for good: when the kernel's queue overflows, everything is read again, and Resync
// follows.
func (c *Conn) Watch(ctx context.Context) (<-chan Event, error) {
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	// As much as we may; if it is too little, the reader gets Resync.
	_ = nl.SetReadBuffer(c.watchBuffer)
	if err := c.subscribe(nl); err != nil {
		return nil, errors.Join(err, nl.Close())
	}
	w := &watcher{conn: c, ctx: ctx, out: make(chan Event, 64), routes: make(chan struct{}, 1), told: map[int]links.Link{}, born: map[int]uint32{}}
	if w.devices, err = c.devices(); err != nil {
		return nil, errors.Join(err, nl.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = nl.Close() })
	var gather sync.WaitGroup
	gather.Go(w.gather)
	go func() {
		defer close(w.out)
		defer gather.Wait()
		defer close(w.routes)
		defer func() {
			if stop() {
				_ = nl.Close()
			}
		}()
		w.tellAll()
		w.read(nl)
	}()
	return w.out, nil
}

func (c *Conn) subscribe(nl *netlink.Conn) error {
	program, err := bpf.Assemble(c.filter())
	if err != nil {
		return fmt.Errorf("watch: filter: %w", err)
	}
	if err := nl.SetBPF(program); err != nil {
		return fmt.Errorf("watch: filter: %w", err)
	}
	for _, g := range []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_ROUTE} {
		if err := nl.JoinGroup(g); err != nil {
			return fmt.Errorf("watch: group %d: %w", g, err)
		}
	}
	return nil
}

// filter keeps the kernel from queueing notices that do not matter. Of the notices about routes,
// only those with our protocol and replacements pass, and neither if we asked for the change,
// which the sender's port shows. So the full routing table of another program, or our own
// restore, costs nothing here.
func (c *Conn) filter() []bpf.Instruction {
	half := func(v uint16) uint32 {
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, v)))
	}
	port := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, c.requests.Port()))
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2}, // nlmsg_type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: half(unix.RTM_DELROUTE), SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: half(unix.RTM_NEWROUTE), SkipTrue: 6},
		bpf.LoadAbsolute{Off: 6, Size: 2}, // nlmsg_flags
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: half(unix.NLM_F_REPLACE | unix.NLM_F_APPEND), SkipTrue: 2},
		bpf.LoadAbsolute{Off: unix.SizeofNlMsghdr + 5, Size: 1}, // rtm_protocol
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(c.protocol), SkipTrue: 3},
		bpf.LoadAbsolute{Off: 12, Size: 4}, // nlmsg_pid
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: port, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	}
}

// watcher turns netlink messages into events. One goroutine owns it, except for gather.
type watcher struct {
	conn    *Conn
	ctx     context.Context //nolint:containedctx // lives exactly as long as the goroutine
	out     chan Event
	routes  chan struct{} // our routes were changed
	devices devices
	told    map[int]links.Link
	born    map[int]uint32 // when the link-local addresses were made of the links that were told of
}

func (w *watcher) send(e Event) {
	select {
	case w.out <- e:
	case <-w.ctx.Done():
	}
}

func (w *watcher) read(nl *netlink.Conn) {
	for w.ctx.Err() == nil {
		messages, err := nl.Receive()
		if err != nil {
			if w.ctx.Err() != nil || !drain(nl) || !w.resync(err) {
				return
			}
			continue
		}
		for _, m := range messages {
			if err := w.hear(m); err != nil && !w.resync(err) {
				return
			}
		}
	}
}

// drain discards what is queued. When notices were lost, those that are left are older than the
// lost ones, and must not change what is read next.
func drain(nl *netlink.Conn) bool {
	raw, err := nl.SyscallConn()
	if err != nil {
		return false
	}
	b := make([]byte, 1)
	return raw.Control(func(fd uintptr) {
		for {
			_, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}) == nil
}

// resync reads everything again. It pauses first, unless the cause is only that notices were
// lost. It returns false when the watch ends.
func (w *watcher) resync(cause error) bool {
	for cause != nil {
		if !errors.Is(cause, unix.ENOBUFS) && !w.pause(time.Second) {
			return false
		}
		var fresh devices
		if fresh, cause = w.conn.devices(); cause == nil {
			w.devices = fresh
		}
	}
	w.tellAll()
	w.send(Event{Resync: true})
	return w.ctx.Err() == nil
}

// pause returns false when the watch ends meanwhile.
func (w *watcher) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// tellAll tells what differs from what was told before. It first tells which names are free,
// because another interface may have them now.
func (w *watcher) tellAll() {
	names := map[string]int{}
	for _, i := range slices.Sorted(maps.Keys(w.told)) {
		if w.isAnother(i) {
			w.remove(i)
		} else {
			names[w.told[i].Name] = i
		}
	}
	all := slices.Sorted(maps.Keys(w.devices))
	for _, i := range all {
		if had := names[w.devices[i].Name]; had != 0 && had != i {
			was := w.told[had]
			was.Name = nameless(had)
			w.told[had] = was
			w.send(Event{Link: &was})
		}
	}
	for _, i := range all {
		w.tell(i)
	}
}

// isAnother reports whether the interface that was told of with this index is gone, as far as can
// be known when notices were lost. A point-to-point interface that was down meanwhile may lead to
// another client now; then it has lost its addresses.
func (w *watcher) isAnother(index int) bool {
	was, is := w.told[index], w.devices[index]
	if was.PointToPoint || is.PointToPoint {
		return was.Name != is.Name || w.born[index] == 0 || is.born != w.born[index]
	}
	return is.Name == "" || was.HardwareType != is.HardwareType || was.Name != is.Name && was.LinkLayer != is.LinkLayer
}

// nameless stands for the name of an interface whose name another one has now, until its new name
// is told. The kernel does not allow such a name.
func nameless(index int) string { return "/" + strconv.Itoa(index) }

// remove tells that an interface is gone.
func (w *watcher) remove(index int) {
	was := w.told[index]
	delete(w.told, index)
	delete(w.born, index)
	w.send(Event{Removed: was.Name})
}

// tell tells of one interface if it differs from what was told before.
func (w *watcher) tell(index int) {
	was, known := w.told[index]
	_, there := w.devices[index]
	if !there {
		if known {
			w.remove(index)
		}
		return
	}
	w.born[index] = w.devices[index].born
	is := w.devices.link(index)
	if known && equal(was, is) {
		return
	}
	w.told[index] = is
	is.Addrs, is.Peers = slices.Clone(is.Addrs), slices.Clone(is.Peers)
	is.Deprecated, is.Temporary, is.IPv4 = slices.Clone(is.Deprecated), slices.Clone(is.Temporary), slices.Clone(is.IPv4)
	w.send(Event{Link: &is})
}

func equal(a, b links.Link) bool {
	same := slices.Equal(a.Addrs, b.Addrs) && slices.Equal(a.Peers, b.Peers) && a.CarrierDowns == b.CarrierDowns
	same = same && slices.Equal(a.Deprecated, b.Deprecated) && slices.Equal(a.Temporary, b.Temporary) && slices.Equal(a.IPv4, b.IPv4)
	return same && a.Index == b.Index && a.Name == b.Name && a.Up == b.Up && a.Running == b.Running &&
		a.PointToPoint == b.PointToPoint && a.MTU == b.MTU && a.HardwareType == b.HardwareType &&
		a.LinkLayer == b.LinkLayer && a.VRF == b.VRF && a.Table == b.Table
}

func (w *watcher) hear(m netlink.Message) error {
	switch m.Header.Type {
	case unix.RTM_NEWLINK:
		if d, ok := parseLink(m.Data); ok {
			was := w.devices[d.Index]
			d.take(was.addresses())
			w.change(d.Index, d, true)
		}
	case unix.RTM_DELLINK:
		if d, ok := parseLink(m.Data); ok {
			w.change(d.Index, device{}, false)
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return w.hearAddr(m.Data)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		w.hearRoute(m)
	}
	return nil
}

// change notes the present state of a device. A change of a VRF is told by the links in it.
func (w *watcher) change(index int, d device, there bool) {
	vrf := w.devices[index].vrf != 0 || d.vrf != 0
	if there {
		w.devices[index] = d
	} else {
		delete(w.devices, index)
	}
	w.tell(index)
	if !vrf {
		return
	}
	for _, i := range slices.Sorted(maps.Keys(w.devices)) {
		if w.devices[i].master == index {
			w.tell(i)
		}
	}
}

// hearAddr reads all addresses of the link again. That gives the order of the kernel, and costs
// little.
func (w *watcher) hearAddr(b []byte) error {
	if len(b) < unix.SizeofIfAddrmsg {
		return nil
	}
	index := int(binary.NativeEndian.Uint32(b[4:]))
	d, ok := w.devices[index]
	if !ok {
		return nil
	}
	addrs, err := w.conn.addrs(index)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	d.take(addrs[index])
	w.devices[index] = d
	w.tell(index)
	return nil
}

// hearRoute learns what other programs did to our routes. A route that goes with a device that is
// down or gone is no news: there is an event for the link.
func (w *watcher) hearRoute(m netlink.Message) {
	h, ok := parseRoute(m.Data)
	if !ok {
		return
	}
	switch {
	case m.Header.Type == unix.RTM_DELROUTE:
		w.conn.owned.gone(h)
		if h.unicast && !w.devices[h.oif].Up {
			return
		}
	case h.protocol != w.conn.protocol:
		k := keyOf(h.Route)
		if !w.conn.owned.has(k) {
			return
		}
		w.conn.owned.remove(k)
	}
	select {
	case w.routes <- struct{}{}:
	default:
	}
}

// gather makes one event of many changes.
func (w *watcher) gather() {
	for range w.routes {
		w.pause(gatherFor)
		select {
		case <-w.routes:
		default:
		}
		w.send(Event{RouteChanged: true})
	}
}
