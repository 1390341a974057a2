package netlink

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/linkaddr"

	"golang.org/x/sys/unix"
)

// ifInfo is an ifinfomsg: family, type, index, flags.
func ifInfo(family byte, hardware uint16, index int, flags uint32) []byte {
	return []byte{
		family, 0, byte(hardware), byte(hardware >> 8), byte(index), byte(index >> 8), 0, 0,
		byte(flags), byte(flags >> 8), byte(flags >> 16), byte(flags >> 24), 0, 0, 0, 0,
	}
}

func vrfLink(index int, name string, table uint32) []byte {
	b := bulk.AttrString(ifInfo(0, unix.ARPHRD_ETHER, index, unix.IFF_UP), unix.IFLA_IFNAME, name)
	b, info := bulk.Nest(b, unix.IFLA_LINKINFO)
	b = bulk.AttrString(b, unix.IFLA_INFO_KIND, "vrf")
	b, data := bulk.Nest(b, unix.IFLA_INFO_DATA)
	b = bulk.AttrUint32(b, iflaVRFTable, table)
	return bulk.EndNest(bulk.EndNest(b, data), info)
}

func slaveLink(index int, name string, master uint32) []byte {
	b := bulk.AttrString(ifInfo(0, unix.ARPHRD_ETHER, index, unix.IFF_UP|unix.IFF_LOWER_UP), unix.IFLA_IFNAME, name)
	b = bulk.AttrUint32(bulk.Attr(b, unix.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 1}), unix.IFLA_MTU, 1400)
	if master != 0 {
		b = bulk.AttrUint32(b, unix.IFLA_MASTER, master)
	}
	return b
}

// A link in a VRF has the name and table of the VRF, and so has the device of the VRF itself. A
// link in a bridge, or in nothing, has the main table.
func TestVRF(t *testing.T) {
	d := devices{}
	for _, b := range [][]byte{
		vrfLink(2, "red", 1000), slaveLink(3, "c0", 2), slaveLink(4, "c1", 0), slaveLink(5, "br0", 0), slaveLink(6, "c2", 5),
	} {
		dev, ok := parseLink(b)
		if !ok {
			t.Fatalf("not parsed: %x", b)
		}
		d[dev.Index] = dev
	}
	mac := linkaddr.From([]byte{2, 0, 0, 0, 0, 1})
	want := links.Link{Index: 3, Name: "c0", Up: true, Running: true, MTU: 1400, HardwareType: unix.ARPHRD_ETHER, LinkLayer: mac, VRF: "red", Table: 1000}
	if got := d.link(3); !equal(got, want) {
		t.Errorf("in a VRF:\ngot  %+v\nwant %+v", got, want)
	}
	if got := d.link(2); got.VRF != "red" || got.Table != 1000 {
		t.Errorf("the VRF device: VRF %q, table %d, want its own", got.VRF, got.Table)
	}
	for _, i := range []int{4, 6} {
		if got := d.link(i); got.VRF != "" || got.Table != 254 {
			t.Errorf("%s: VRF %q, table %d, want none and 254", got.Name, got.VRF, got.Table)
		}
	}
	// If a VRF goes, or changes its table, the links in it change.
	w := &watcher{ctx: t.Context(), out: make(chan Event, 9), devices: d, told: map[int]links.Link{2: d.link(2), 3: d.link(3), 4: d.link(4)}, born: map[int]uint32{}}
	other, _ := parseLink(vrfLink(2, "red", 1001))
	w.change(2, other, true)
	w.change(2, device{}, false)
	close(w.out)
	var got []uint32
	for e := range w.out {
		if e.Link != nil && e.Link.Name == "c0" {
			got = append(got, e.Link.Table)
		}
	}
	if !slices.Equal(got, []uint32{1001, 254}) {
		t.Errorf("tables of c0: %v, want 1001, then 254", got)
	}
}

// A message of a bridge about one of its ports is not about the port itself.
func TestBridgeMessageIsNoLink(t *testing.T) {
	b := slaveLink(3, "c0", 2)
	b[0] = unix.AF_BRIDGE
	if d, ok := parseLink(b); ok {
		t.Errorf("parsed as %+v", d)
	}
}

// An address with a peer gives the link no on-link prefix of ours.
func TestPeerAddress(t *testing.T) {
	local, peer := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8:9::2")
	b := []byte{unix.AF_INET6, 64, 0, 0, 7, 0, 0, 0}
	b = bulk.Attr(bulk.Attr(b, unix.IFA_ADDRESS, peer.AsSlice()), unix.IFA_LOCAL, local.AsSlice())
	index, a, ok := parseAddr(b)
	if !ok || index != 7 || a.prefix != netip.PrefixFrom(local, 128) || a.peer != peer {
		t.Errorf("got %d, %+v, %v, want 7, %v/128 and %v", index, a, ok, local, peer)
	}
}

// Messages that are cut short are read as far as they go, or not at all.
func TestTruncated(t *testing.T) {
	route := []byte{unix.AF_INET6, 56, 0, 0, 254, 87, 0, unix.RTN_UNICAST, 0, 0, 0, 0}
	route = bulk.Attr(route, unix.RTA_DST, netip.MustParseAddr("2001:db8::").AsSlice())
	addr := bulk.Attr([]byte{unix.AF_INET6, 64, 0, 0, 7, 0, 0, 0}, unix.IFA_ADDRESS, netip.MustParseAddr("2001:db8::1").AsSlice())
	vrf := vrfLink(2, "red", 1000)
	for n := range vrf {
		if d, ok := parseLink(vrf[:n]); ok && (d.Name != "red" || d.vrf == 1000 && n < len(vrf)) {
			t.Errorf("link, first %d octets: %+v", n, d)
		}
	}
	for n := range route {
		if h, ok := parseRoute(route[:n]); ok != (n >= unix.SizeofRtMsg) || h.Prefix.Addr() == netip.MustParseAddr("2001:db8::") {
			t.Errorf("route, first %d octets: %v, %v", n, h, ok)
		}
	}
	for n := range addr {
		if _, p, ok := parseAddr(addr[:n]); ok {
			t.Errorf("address, first %d octets: %v", n, p)
		}
	}
}

// Where notices were lost, interfaces may have exchanged their names meanwhile. A reader is never
// told of a name that another interface has in the reader's view, nor that an interface is gone
// of which the reader does not know.
func TestNamesThatChangeHands(t *testing.T) {
	named := func(names map[int]string) devices {
		all := devices{}
		for i, n := range names {
			all[i] = device{Link: links.Link{Index: i, Name: n}}
		}
		return all
	}
	for what, step := range map[string]struct{ before, after map[int]string }{
		"swapped":                      {map[int]string{5: "a", 6: "b"}, map[int]string{5: "b", 6: "a"}},
		"passed on by one that went":   {map[int]string{4: "x", 5: "a"}, map[int]string{4: "a"}},
		"passed on to a new one":       {map[int]string{5: "a"}, map[int]string{5: "b", 9: "a"}},
		"passed on to a lower one":     {map[int]string{5: "a"}, map[int]string{5: "b", 3: "a"}},
		"in a ring":                    {map[int]string{1: "a", 2: "b", 3: "c"}, map[int]string{1: "b", 2: "c", 3: "a"}},
		"kept":                         {map[int]string{5: "a"}, map[int]string{5: "a"}},
		"made anew under its old name": {map[int]string{5: "a"}, map[int]string{7: "a"}},
	} {
		w := &watcher{ctx: t.Context(), out: make(chan Event, 64), devices: named(step.before), told: map[int]links.Link{}, born: map[int]uint32{}}
		w.tellAll()
		w.devices = named(step.after)
		w.tellAll()
		close(w.out)
		believed := map[string]int{} // the reader's view
		for e := range w.out {
			if e.Link == nil {
				if _, there := believed[e.Removed]; !there {
					t.Errorf("%s: %q is gone, and nobody had it", what, e.Removed)
				}
				delete(believed, e.Removed)
				continue
			}
			maps.DeleteFunc(believed, func(_ string, index int) bool { return index == e.Link.Index })
			if other, taken := believed[e.Link.Name]; taken {
				t.Errorf("%s: %q goes from %d to %d without being free", what, e.Link.Name, other, e.Link.Index)
			}
			believed[e.Link.Name] = e.Link.Index
		}
		want := map[string]int{}
		for i, n := range step.after {
			want[n] = i
		}
		if !maps.Equal(believed, want) {
			t.Errorf("%s: who listens believes %v, want %v", what, believed, want)
		}
	}
}

// Where notices were lost, a point-to-point interface that was down meanwhile is reported as gone
// and new: another client may be at its other end.
func TestLinesAfterALoss(t *testing.T) {
	ppp := device{Link: links.Link{Index: 5, Name: "ppp0", PointToPoint: true}, born: 700}
	eth := device{Link: links.Link{Index: 6, Name: "c0", LinkLayer: linkaddr.From([]byte{2, 0, 0, 0, 0, 1})}, born: 700}
	for what, c := range map[string]struct {
		before device
		change func(*device)
		want   []string
	}{
		"the same":             {ppp, func(*device) {}, nil},
		"another MTU":          {ppp, func(d *device) { d.MTU = 1400 }, []string{"ppp0"}},
		"its address was gone": {ppp, func(d *device) { d.born = 701 }, []string{"ppp0 gone", "ppp0"}},
		"no address":           {device{Link: ppp.Link}, func(*device) {}, []string{"ppp0 gone", "ppp0"}},
		"renamed":              {ppp, func(d *device) { d.Name = "ppp1" }, []string{"ppp0 gone", "ppp1"}},
		"Ethernet, address":    {eth, func(d *device) { d.born = 701 }, nil},
		"Ethernet, renamed":    {eth, func(d *device) { d.Name = "c1" }, []string{"c1"}},
		"Ethernet, another":    {eth, func(d *device) { d.Name, d.LinkLayer = "c1", linkaddr.Addr{} }, []string{"c0 gone", "c1"}},
	} {
		w := &watcher{ctx: t.Context(), out: make(chan Event, 8), devices: devices{c.before.Index: c.before}, told: map[int]links.Link{}, born: map[int]uint32{}}
		w.tellAll()
		<-w.out
		after := c.before
		c.change(&after)
		w.devices = devices{after.Index: after}
		w.tellAll()
		close(w.out)
		var got []string
		for e := range w.out {
			if e.Link != nil {
				got = append(got, e.Link.Name)
			} else {
				got = append(got, e.Removed+" gone")
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told %q, want %q", what, got, c.want)
		}
	}
}
