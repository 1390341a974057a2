package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink/bulk"
	"fairlead/internal/wire/linkaddr"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// open opens a Conn in a network namespace of the test, whose thread ends with the test.
func open(t *testing.T) *Conn {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("network namespace: %v (root is needed)", err)
	}
	c, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func run(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// until reads events until one is accepted, and returns it.
func until(t *testing.T, events <-chan Event, what string, pleases func(Event) bool) Event {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("%s: the watch ended", what)
			}
			if pleases(e) {
				return e
			}
		case <-late:
			t.Fatalf("%s: not heard of", what)
		}
	}
}

func link(name string, is func(l links.Link) bool) func(Event) bool {
	return func(e Event) bool { return e.Link != nil && e.Link.Name == name && is(*e.Link) }
}

func has(addr string) func(l links.Link) bool {
	return func(l links.Link) bool { return slices.Contains(l.Addrs, netip.MustParsePrefix(addr)) }
}

// Everything that happens to a link is told: it appears, goes down and up, gets addresses,
// another name, another index, and is gone.
func TestWatchLink(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set c0 address 02:00:00:00:00:01")
	run(t, "ip link set p0 up")
	ctx, cancel := context.WithCancel(t.Context())
	events, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first := until(t, events, "c0 as it is", link("c0", func(links.Link) bool { return true })).Link
	mac, _ := linkaddr.Parse("02:00:00:00:00:01")
	want := links.Link{Index: first.Index, Name: "c0", MTU: 1500, HardwareType: unix.ARPHRD_ETHER, LinkLayer: mac, Table: 254}
	if !equal(*first, want) {
		t.Errorf("c0:\ngot  %+v\nwant %+v", *first, want)
	}

	run(t, "ip link set c0 up")
	until(t, events, "c0 up", link("c0", func(l links.Link) bool { return l.Up && l.Running }))
	run(t, "ip link set p0 down")
	until(t, events, "carrier lost", link("c0", func(l links.Link) bool { return l.Up && !l.Running }))
	run(t, "ip link set p0 up")
	run(t, "ip addr add 2001:db8:1::1/64 dev c0 nodad")
	run(t, "ip addr add 2001:db8:2::1/64 dev c0 nodad")
	e := until(t, events, "both addresses", link("c0", func(l links.Link) bool {
		return has("2001:db8:1::1/64")(l) && has("2001:db8:2::1/64")(l)
	}))
	snapshot, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(snapshot, func(l links.Link) bool { return l.Name == "c0" })
	globals := func(l links.Link) (g []netip.Prefix) {
		return slices.DeleteFunc(slices.Clone(l.Addrs), func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
	}
	if got, want := globals(*e.Link), globals(snapshot[i]); !slices.Equal(got, want) || len(got) != 2 {
		t.Errorf("order of addresses: event %v, snapshot %v", got, want)
	}
	run(t, "ip addr del 2001:db8:1::1/64 dev c0")
	until(t, events, "address gone", link("c0", func(l links.Link) bool { return !has("2001:db8:1::1/64")(l) }))

	run(t, "ip link set c0 down")
	run(t, "ip link set c0 name c9")
	// The event for the new name comes with the interface that has it.
	e = until(t, events, "new name", func(e Event) bool { return e.Removed != "" || e.Link != nil && e.Link.Name == "c9" })
	if e.Link == nil || e.Link.Index != first.Index {
		t.Errorf("renamed: %+v, want c9 with index %d", e, first.Index)
	}
	run(t, "ip link del c9")
	until(t, events, "c9 gone", func(e Event) bool { return e.Removed == "c9" })
	run(t, "ip link add c0 type veth peer name p0")
	until(t, events, "c0 anew", link("c0", func(l links.Link) bool { return l.Index != first.Index }))

	cancel()
	for range events { //nolint:revive // until it is closed
	}
}

// RFC 4862 section 5.4: an address counts when it is known to be unique. An address that another
// host has does not count at all.
func TestWatchLeavesDoubtfulAddressesOut(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set p0 up")
	run(t, "ip addr add 2001:db8:1::66/64 dev p0 nodad")
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, "ip link set c0 up")
	run(t, "ip addr add 2001:db8:1::66/64 dev c0")
	run(t, "ip addr add 2001:db8:1::1/64 dev c0")
	e := until(t, events, "the good address", link("c0", has("2001:db8:1::1/64")))
	if has("2001:db8:1::66/64")(*e.Link) {
		t.Errorf("addresses %v, with one that is taken", e.Link.Addrs)
	}
	run(t, "ip addr add 2001:db8:1::2/64 dev c0 nodad")
	e = until(t, events, "another address", link("c0", has("2001:db8:1::2/64")))
	if has("2001:db8:1::66/64")(*e.Link) {
		t.Errorf("addresses %v, with one that is taken", e.Link.Addrs)
	}
}

// Only what other programs do to our routes passes the kernel's filter.
func TestWatchFilter(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set p0 up")
	run(t, "ip link set c0 up")
	nl, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	if err := c.subscribe(nl); err != nil {
		t.Fatal(err)
	}
	if err := nl.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	route := func(last byte) hoststate.Op {
		p := netip.MustParseAddr("2001:db8::").As16()
		p[7] = last
		return hoststate.Op{Route: &hoststate.Route{Table: 254, Metric: 1024, Prefix: netip.PrefixFrom(netip.AddrFrom16(p), 64)}}
	}
	none := func(_ int, err error) { t.Error(err) }
	again, gone := route(1), route(2)
	gone.Remove = true
	if err := c.Apply([]hoststate.Op{route(1), route(2), route(3), again, gone}, none); err != nil {
		t.Fatal(err)
	}
	run(t, "ip -6 route add 2001:db8:9::/64 dev c0 proto static")
	run(t, "ip -6 route del 2001:db8:9::/64")
	run(t, "ip -6 route del unreachable 2001:db8:0:3::/64")
	run(t, "ip -6 route replace unreachable 2001:db8:0:1::/64 proto static")
	run(t, fmt.Sprintf("ip -6 route add unreachable 2001:db8:0:4::/64 proto %d", c.protocol))

	var heard []string
	for len(heard) < 3 {
		ms, err := nl.Receive()
		if err != nil {
			t.Fatalf("after %v: %v", heard, err)
		}
		for _, m := range ms {
			if h, ok := parseRoute(m.Data); ok && (m.Header.Type == unix.RTM_NEWROUTE || m.Header.Type == unix.RTM_DELROUTE) {
				heard = append(heard, h.Prefix.String())
			}
		}
	}
	if want := []string{"2001:db8:0:3::/64", "2001:db8:0:1::/64", "2001:db8:0:4::/64"}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
}

// Changes of other programs to our routes are one event. A route that they have taken over is not
// ours any more.
func TestWatchForeignChange(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set p0 up")
	run(t, "ip link set c0 up")
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &hoststate.Route{Table: 254, Metric: 1024, Prefix: netip.MustParsePrefix("2001:db8:100::/56")}
	put := func() (failure error) {
		if err := c.Apply([]hoststate.Op{{Route: r}}, func(_ int, err error) { failure = err }); err != nil {
			t.Fatal(err)
		}
		return failure
	}
	changed := func(e Event) bool { return e.RouteChanged }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	run(t, "ip -6 route del unreachable 2001:db8:100::/56")
	until(t, events, "deletion", changed)
	if c.owned.has(keyOf(*r)) {
		t.Error("a route that was deleted counts as ours")
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	run(t, "ip -6 route replace unreachable 2001:db8:100::/56 proto static")
	until(t, events, "replacement", changed)
	if err := put(); !errors.Is(err, ErrForeign) {
		t.Errorf("route that was taken over: %v, want ErrForeign", err)
	}
	run(t, fmt.Sprintf("ip -6 route add unreachable 2001:db8:200::/56 proto %d", c.protocol))
	until(t, events, "a route that somebody made with our protocol", changed)
}

// When notices of the kernel are lost, everything is read again.
func TestWatchResync(t *testing.T) {
	c := open(t)
	c.watchBuffer = 1
	run(t, "ip link add c0 type veth peer name p0")
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := c.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(snapshot, func(l links.Link) bool { return l.Name == "c0" })
	// Nobody reads the events, so the queue of the kernel fills up.
	var b []byte
	for n := range uint32(1000) {
		fixed := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(fixed[4:], uint32(snapshot[i].Index))
		var start int
		b, start = bulk.Begin(b, unix.RTM_NEWLINK, unix.NLM_F_ACK, fixed...)
		b = bulk.End(bulk.AttrUint32(b, unix.IFLA_MTU, 1300+n%2), start)
	}
	if _, err := c.requests.Exchange(b, nil); err != nil {
		t.Fatal(err)
	}
	run(t, "ip link set c0 mtu 1400")
	run(t, "ip link add late type veth peer name latep")
	told := map[string]links.Link{}
	resync := false
	note := func(e Event) {
		if e.Link != nil {
			told[e.Link.Name] = *e.Link
		}
		resync = resync || e.Resync
	}
	until(t, events, "resync, and all that happened", func(e Event) bool {
		note(e)
		return resync && told["c0"].MTU == 1400 && told["late"].Index != 0
	})
	// No older event comes after that.
	run(t, "ip link set late mtu 1450")
	until(t, events, "what came after", func(e Event) bool {
		note(e)
		return told["late"].MTU == 1450
	})
	if told["c0"].MTU != 1400 {
		t.Errorf("c0 has MTU %d in the end, want 1400", told["c0"].MTU)
	}
}

// A watch ends with its context, and its channel is closed.
func TestWatchEnds(t *testing.T) {
	c := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := c.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-events:
			if !ok {
				return
			}
		case <-late:
			t.Fatal("the channel is still open")
		}
	}
}

// The watch tells too when the preferred lifetime of an address has ended, and whether an address
// is temporary.
func TestWatchAddressFlags(t *testing.T) {
	c := open(t)
	run(t, "ip link add c0 type veth peer name p0")
	run(t, "ip link set c0 up")
	run(t, "ip link set p0 up")
	events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lasting := netip.MustParseAddr("2001:db8:1::1")
	run(t, "ip addr add 2001:db8:1::1/64 dev c0 nodad")
	e := until(t, events, "the address", link("c0", has("2001:db8:1::1/64")))
	if len(e.Link.Deprecated)+len(e.Link.Temporary) != 0 {
		t.Errorf("deprecated %v, temporary %v; want none", e.Link.Deprecated, e.Link.Temporary)
	}
	run(t, "ip addr change 2001:db8:1::1/64 dev c0 preferred_lft 0 valid_lft forever")
	until(t, events, "that it is deprecated", link("c0", func(l links.Link) bool { return slices.Equal(l.Deprecated, []netip.Addr{lasting}) }))
	run(t, "ip addr change 2001:db8:1::1/64 dev c0 preferred_lft forever valid_lft forever")
	until(t, events, "that it is preferred again", link("c0", func(l links.Link) bool { return has("2001:db8:1::1/64")(l) && len(l.Deprecated) == 0 }))

	// The kernel makes a temporary address for an address with mngtmpaddr (RFC 8981).
	run(t, "sysctl -qw net.ipv6.conf.c0.use_tempaddr=2")
	run(t, "ip addr add 2001:db8:5::1/64 dev c0 nodad mngtmpaddr")
	e = until(t, events, "the temporary address", link("c0", func(l links.Link) bool { return len(l.Temporary) == 1 }))
	if a := e.Link.Temporary[0]; !netip.MustParsePrefix("2001:db8:5::/64").Contains(a) || a == netip.MustParseAddr("2001:db8:5::1") {
		t.Errorf("temporary: %v, want another address of 2001:db8:5::/64", a)
	}
}
