package netlink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/linkaddr"

	"golang.org/x/sys/unix"
)

// device is one network interface, as the kernel tells of it.
type device struct {
	links.Link
	master int    // index of the device that it is enslaved to; 0: none
	vrf    uint32 // table of a VRF device
	born   uint32 // when its newest link-local address was made, in hundredths of a second; 0: it has none
}

// addresses are the usable addresses of one interface, in the order of the kernel.
type addresses struct {
	all   []netip.Prefix
	peers []netip.Addr
	born  uint32

	deprecated, temporary []netip.Addr

	ipv4 []netip.Prefix
}

func (a *addresses) add(got *address) {
	if got.prefix.Addr().Is4() {
		a.ipv4 = append(a.ipv4, got.prefix)
		return
	}
	a.all = append(a.all, got.prefix)
	if got.peer.IsValid() {
		a.peers = append(a.peers, got.peer)
	}
	if got.prefix.Addr().IsLinkLocalUnicast() {
		a.born = max(a.born, got.born)
	}
	if got.flags&unix.IFA_F_DEPRECATED != 0 {
		a.deprecated = append(a.deprecated, got.prefix.Addr())
	}
	if got.flags&unix.IFA_F_TEMPORARY != 0 {
		a.temporary = append(a.temporary, got.prefix.Addr())
	}
}

func (d *device) addresses() addresses {
	return addresses{d.Addrs, d.Peers, d.born, d.Deprecated, d.Temporary, d.IPv4}
}

func (d *device) take(a addresses) {
	d.Addrs, d.Peers, d.born, d.Deprecated, d.Temporary, d.IPv4 = a.all, a.peers, a.born, a.deprecated, a.temporary, a.ipv4
}

const (
	iflaVRFTable = 1 // IFLA_VRF_TABLE
	kindVRF      = "vrf"
	kindDummy    = "dummy"
)

// parseLink reads the body of a link message. ok is false for a message that is not about the
// interface itself, such as a bridge's message about one of its ports.
func parseLink(b []byte) (d device, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return d, false
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	d.HardwareType = binary.NativeEndian.Uint16(b[2:])
	d.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	d.Up = flags&unix.IFF_UP != 0
	d.Running = flags&unix.IFF_LOWER_UP != 0
	d.PointToPoint = flags&unix.IFF_POINTOPOINT != 0
	if d.PointToPoint { // its operational state tells more than its carrier
		d.Running = d.Running && flags&unix.IFF_RUNNING != 0
	}
	bulk.Attrs(b[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
		switch {
		case kind == unix.IFLA_IFNAME:
			d.Name = text(v)
		case kind == unix.IFLA_ADDRESS && (len(v) == 6 || len(v) == 8):
			d.LinkLayer = linkaddr.From(v)
		case kind == unix.IFLA_MTU && len(v) == 4:
			d.MTU = int(binary.NativeEndian.Uint32(v))
		case kind == unix.IFLA_CARRIER_DOWN_COUNT && len(v) == 4 && d.PointToPoint:
			d.CarrierDowns = binary.NativeEndian.Uint32(v)
		case kind == unix.IFLA_MASTER && len(v) == 4:
			d.master = int(binary.NativeEndian.Uint32(v))
		case kind == unix.IFLA_LINKINFO:
			d.vrf, d.Dummy = parseVRF(v), kindOf(v) == kindDummy
		}
	})
	return d, d.Name != "" && d.Index > 0
}

// kindOf reads the kind of a device; most devices have none.
func kindOf(b []byte) (kind string) {
	bulk.Attrs(b, func(at uint16, v []byte) {
		if at == unix.IFLA_INFO_KIND {
			kind = text(v)
		}
	})
	return kind
}

// parseVRF reads the table of a VRF device; 0 for any other device.
func parseVRF(b []byte) (table uint32) {
	var data []byte
	bulk.Attrs(b, func(at uint16, v []byte) {
		if at == unix.IFLA_INFO_DATA {
			data = v
		}
	})
	if kindOf(b) != kindVRF {
		return 0
	}
	bulk.Attrs(data, func(kind uint16, v []byte) {
		if kind == iflaVRFTable && len(v) == 4 {
			table = binary.NativeEndian.Uint32(v)
		}
	})
	return table
}

func text(v []byte) string { return string(bytes.TrimRight(v, "\x00")) }

// address is one address of an interface.
type address struct {
	prefix netip.Prefix // with the on-link prefix's length
	peer   netip.Addr   // address at the other end of a point-to-point interface; invalid: not known
	born   uint32       // hundredths of a second since the boot
	flags  uint32       // IFA_F_*
}

// parseAddr reads the body of an address message. ok is false for an address that cannot be used:
// one that is neither IPv6 nor IPv4, or one that may not be unique (RFC 4862 section 5.4).
func parseAddr(b []byte) (index int, a address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg {
		return 0, a, false
	}
	size := 16
	if b[0] == unix.AF_INET {
		size = 4
	}
	if b[0] != unix.AF_INET && b[0] != unix.AF_INET6 || int(b[1]) > 8*size {
		return 0, a, false
	}
	flags := uint32(b[2])
	index = int(binary.NativeEndian.Uint32(b[4:]))
	var addr, local netip.Addr
	bulk.Attrs(b[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) {
		switch {
		case kind == unix.IFA_ADDRESS && len(v) == size:
			addr, _ = netip.AddrFromSlice(v)
		case kind == unix.IFA_LOCAL && len(v) == size:
			local, _ = netip.AddrFromSlice(v)
		case kind == unix.IFA_FLAGS && len(v) == 4:
			flags = binary.NativeEndian.Uint32(v)
		case kind == unix.IFA_CACHEINFO && len(v) >= 12: // preferred, valid, made
			a.born = binary.NativeEndian.Uint32(v[8:])
		}
	})
	if flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 {
		return index, a, false
	}
	bits := int(b[1])
	// Where there is a local address, the other address and its length are those of the peer.
	if local.IsValid() && local != addr {
		a.peer, addr, bits = addr, local, 8*size
	}
	a.prefix, a.flags = netip.PrefixFrom(addr, bits), flags
	return index, a, addr.IsValid()
}

// Snapshot reads every interface, ordered by index, and its addresses.
func (c *Conn) Snapshot() ([]links.Link, error) {
	devices, err := c.devices()
	if err != nil {
		return nil, err
	}
	all := make([]links.Link, 0, len(devices))
	for _, i := range slices.Sorted(maps.Keys(devices)) {
		all = append(all, devices.link(i))
	}
	return all, nil
}

// devices are all interfaces, by index.
type devices map[int]device

// link is a device together with its VRF.
func (d devices) link(index int) links.Link {
	l := d[index].Link
	l.Table = hoststate.MainTable
	if d[index].vrf != 0 { // a VRF device is in its own VRF, and so are its addresses
		l.VRF, l.Table = l.Name, d[index].vrf
	}
	if m, ok := d[d[index].master]; ok && m.vrf != 0 {
		l.VRF, l.Table = m.Name, m.vrf
	}
	return l
}

// devices lists all interfaces. Where so many come and go that the kernel interrupts every
// listing, it returns the interfaces that all these listings have shown together: Watch tells of
// the others, and of those that have gone.
func (c *Conn) devices() (devices, error) {
	all := devices{}
	b, start := bulk.Begin(nil, unix.RTM_GETLINK, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfInfomsg)...)
	err := c.queries.Dump(bulk.End(b, start), bulk.Tries, func() {}, func(kind uint16, body []byte) {
		if d, ok := parseLink(body); ok && kind == unix.RTM_NEWLINK {
			all[d.Index] = d
		}
	})
	if err != nil && !errors.Is(err, bulk.ErrInterrupted) {
		return nil, fmt.Errorf("links: %w", err)
	}
	addrs, err := c.addrs(0)
	switch {
	case errors.Is(err, bulk.ErrInterrupted):
		return all, c.addressEach(all)
	case err != nil:
		return nil, err
	}
	for i, d := range all {
		d.take(addrs[i])
		all[i] = d
	}
	return all, nil
}

// addressEach reads the addresses of one interface after another. A listing that short is whole,
// whatever changes elsewhere.
func (c *Conn) addressEach(all devices) error {
	for i, d := range all {
		addrs, err := c.addrs(i)
		if err != nil {
			return err
		}
		d.take(addrs[i])
		all[i] = d
	}
	return nil
}

// located is an address of an interface.
type located struct {
	index int
	address
}

// addrs reads the usable addresses of one interface, or of all (0), in the order of the kernel.
func (c *Conn) addrs(index int) (map[int]addresses, error) {
	var found []located
	for _, family := range [...]byte{unix.AF_INET6, unix.AF_INET} {
		fixed := make([]byte, unix.SizeofIfAddrmsg)
		fixed[0] = family
		binary.NativeEndian.PutUint32(fixed[4:], uint32(index))
		b, start := bulk.Begin(nil, unix.RTM_GETADDR, unix.NLM_F_DUMP, fixed...)
		before := len(found)
		err := c.queries.Dump(bulk.End(b, start), bulk.Tries, func() { found = found[:before] }, func(kind uint16, body []byte) {
			if i, one, ok := parseAddr(body); ok && kind == unix.RTM_NEWADDR {
				found = append(found, located{i, one})
			}
		})
		if err != nil {
			return nil, fmt.Errorf("addresses: %w", err)
		}
	}
	all := map[int]addresses{}
	for i := range found {
		a := all[found[i].index]
		a.add(&found[i].address)
		all[found[i].index] = a
	}
	return all, nil
}
