package nft

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/netlink/bulk"

	"golang.org/x/sys/unix"
)

// skipStatistics is RTEXT_FILTER_SKIP_STATS: counters would be most of what the kernel tells of a
// link.
const skipStatistics = 8

// Links are the interfaces by which frames to peers may leave this host, in the network namespace
// of the calling thread, in ascending order of their indexes. They do not include loopback, nor
// point-to-point interfaces, because programs with packet sockets write Ethernet, nor the devices
// of VRFs, from which a packet goes through the stack, and so through the guard, once more.
func Links() ([]hop.GuardLink, error) {
	c, err := bulk.Open(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("nft: links: %w", err)
	}
	links, err := listLinks(c)
	return links, errors.Join(err, c.Close())
}

func listLinks(c *bulk.Conn) (links []hop.GuardLink, err error) {
	b, start := bulk.Begin(nil, unix.RTM_GETLINK, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg)...)
	b = bulk.AttrUint32(b, unix.IFLA_EXT_MASK, skipStatistics)
	err = c.Dump(bulk.End(b, start), bulk.Tries, func() { links = nil }, func(kind uint16, body []byte) {
		if l, ok := parseLink(body); ok && kind == unix.RTM_NEWLINK {
			links = append(links, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("nft: links: %w", err)
	}
	slices.SortFunc(links, func(a, b hop.GuardLink) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

// parseLink reads the body of a link message. ok is false for a link that Links does not include.
func parseLink(b []byte) (l hop.GuardLink, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return l, false
	}
	l.Index = int(binary.NativeEndian.Uint32(b[4:]))
	flags := binary.NativeEndian.Uint32(b[8:])
	vrf := false
	bulk.Attrs(b[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = text(v)
		case unix.IFLA_LINKINFO:
			bulk.Attrs(v, within(unix.IFLA_INFO_KIND, func(kind []byte) { vrf = text(kind) == "vrf" }))
		}
	})
	return l, l.Name != "" && flags&(unix.IFF_LOOPBACK|unix.IFF_POINTOPOINT) == 0 && !vrf
}
