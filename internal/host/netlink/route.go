package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// appendRoute appends a request about r. Flags 0 mean a removal, which names the protocol so that
// it cannot remove a foreign route. Without answer, the kernel answers only if it refuses.
func appendRoute(b []byte, r *hoststate.Route, protocol uint8, flags uint16, answer bool) []byte {
	kind := uint16(unix.RTM_NEWROUTE)
	if flags == 0 {
		kind = unix.RTM_DELROUTE
	}
	form := uint8(unix.RTN_UNICAST)
	switch {
	case flags == 0:
	case r.Link == 0:
		form = unix.RTN_UNREACHABLE
	case r.Link == hoststate.Throw:
		form = unix.RTN_THROW
	}
	table := uint8(unix.RT_TABLE_UNSPEC)
	if r.Table < 256 {
		table = uint8(r.Table)
	}
	family, scope := uint8(unix.AF_INET6), uint8(unix.RT_SCOPE_UNIVERSE)
	if r.Prefix.Addr().Is4() {
		family = unix.AF_INET
		switch {
		case flags == 0:
			scope = unix.RT_SCOPE_NOWHERE // whatever scope it has
		case r.Link > 0 && !r.Gateway.IsValid():
			scope = unix.RT_SCOPE_LINK
		}
	}
	ask := flags
	if answer {
		ask |= unix.NLM_F_ACK
	}
	b, start := bulk.Begin(b, kind, ask,
		family, uint8(r.Prefix.Bits()), 0, 0, table, protocol, scope, form, 0, 0, 0, 0)
	dst := r.Prefix.Addr().As16()
	b = bulk.Attr(b, unix.RTA_DST, dst[16-r.Prefix.Addr().BitLen()/8:])
	b = bulk.AttrUint32(b, unix.RTA_TABLE, r.Table)
	b = bulk.AttrUint32(b, unix.RTA_PRIORITY, r.Metric)
	if flags != 0 && r.Link > 0 {
		b = bulk.AttrUint32(b, unix.RTA_OIF, uint32(r.Link))
		if r.Gateway.IsValid() {
			via := r.Gateway.As16()
			b = bulk.Attr(b, unix.RTA_GATEWAY, via[16-r.Gateway.BitLen()/8:])
		}
	}
	return bulk.End(b, start)
}

// rtaNextHopID is RTA_NH_ID, which golang.org/x/sys does not name.
const rtaNextHopID = 30

// heard is a route as the kernel tells of it.
type heard struct {
	hoststate.Route
	protocol uint8
	form     uint8 // RTN_*
	unicast  bool
	oif      int
}

// parseRoute reads the body of a route message of either family. ok is false for a message that
// is not one, and for a clone, which the kernel makes for one destination.
func parseRoute(b []byte) (h heard, ok bool) {
	if len(b) < unix.SizeofRtMsg {
		return h, false
	}
	var dst netip.Addr
	switch b[0] {
	case unix.AF_INET6:
		dst = netip.IPv6Unspecified()
	case unix.AF_INET:
		dst = netip.IPv4Unspecified()
	default:
		return h, false
	}
	if int(b[1]) > dst.BitLen() {
		return h, false
	}
	size := dst.BitLen() / 8
	if binary.NativeEndian.Uint32(b[8:])&unix.RTM_F_CLONED != 0 {
		return h, false
	}
	several := false
	h.Table, h.protocol, h.form, h.unicast = uint32(b[4]), b[5], b[7], b[7] == unix.RTN_UNICAST
	bulk.Attrs(b[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		switch {
		case kind == unix.RTA_DST && len(v) == size:
			dst, _ = netip.AddrFromSlice(v)
		case kind == unix.RTA_TABLE && len(v) == 4:
			h.Table = binary.NativeEndian.Uint32(v)
		case kind == unix.RTA_PRIORITY && len(v) == 4:
			h.Metric = binary.NativeEndian.Uint32(v)
		case kind == unix.RTA_OIF && len(v) == 4:
			h.oif = int(binary.NativeEndian.Uint32(v))
		case kind == unix.RTA_GATEWAY && len(v) == size:
			h.Gateway, _ = netip.AddrFromSlice(v)
		case kind == unix.RTA_MULTIPATH, kind == rtaNextHopID, kind == unix.RTA_ENCAP:
			several = true
		}
	})
	h.Prefix = netip.PrefixFrom(dst, int(b[1]))
	switch {
	case h.unicast && !several:
		h.Link = h.oif
	case b[7] == unix.RTN_UNREACHABLE:
		h.Link, h.Gateway = 0, netip.Addr{}
	case b[7] == unix.RTN_THROW:
		h.Link, h.Gateway = hoststate.Throw, netip.Addr{}
	default:
		h.Link, h.Gateway = hoststate.OtherKind, netip.Addr{}
	}
	return h, true
}

// Routes reads back every route of our protocol, of both families, in all tables.
func (c *Conn) Routes() ([]hoststate.Route, error) {
	removals := c.owned.removed()
	routes, err := c.routes(0)
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	c.owned.replace(routes, removals)
	return routes, nil
}

// routes reads our routes in one table, or in all (0).
func (c *Conn) routes(table uint32) ([]hoststate.Route, error) {
	var routes []hoststate.Route
	for _, family := range []byte{unix.AF_INET6, unix.AF_INET} {
		b, start := bulk.Begin(nil, unix.RTM_GETROUTE, unix.NLM_F_DUMP,
			family, 0, 0, 0, 0, c.protocol, 0, 0, 0, 0, 0, 0)
		if table != 0 {
			b = bulk.AttrUint32(b, unix.RTA_TABLE, table)
		}
		b = bulk.End(b, start)
		before := len(routes)
		err := c.queries.Dump(b, bulk.Tries, func() { routes = routes[:before] }, func(kind uint16, body []byte) {
			if kind != unix.RTM_NEWROUTE {
				return
			}
			if h, ok := parseRoute(body); ok && h.protocol == c.protocol && (table == 0 || h.Table == table) {
				routes = append(routes, h.Route)
			}
		})
		if err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: this family has no such table
			return nil, err
		}
	}
	return routes, nil
}
