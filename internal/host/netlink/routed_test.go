package netlink

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/lab/labtest"

	"golang.org/x/sys/unix"
)

// Routed tells of the prefixes that other programs' routes lead to the interfaces that were asked
// for, in their tables, until a route has gone, in whatever way. It does not tell of default
// routes, whole or in parts, of routes that the kernel learned from router advertisements or
// redirects or made for an address, nor of our own.
func TestRoutedPrefixes(t *testing.T) {
	c := open(t)
	for _, l := range []string{"c0", "c1"} {
		run(t, "ip link add "+l+" type veth peer name "+l+"p")
		run(t, "ip link set "+l+"p up")
		run(t, "ip link set "+l+" up")
	}
	run(t, "ip -6 addr add 2001:db8:5::1/64 dev c0 nodad")
	index := func(name string) int {
		i, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return i.Index
	}
	c0, c1 := index("c0"), index("c1")
	ours := hoststate.Route{Table: unix.RT_TABLE_MAIN, Prefix: netip.MustParsePrefix("2001:db8:100::/56"), Metric: 8700, Link: c0, Gateway: netip.MustParseAddr("fe80::1")}
	if err := c.Apply([]hoststate.Op{{Route: &ours}}, func(_ int, err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	w, err := c.WatchForeign()
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{}, 1000)
	end := labtest.Run(t, func(ctx context.Context) error { return w.Run(ctx, func() { told <- struct{}{} }) })
	defer func() {
		end()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	// leads waits until exactly these are told.
	leads := func(when string, want map[int][]string) {
		t.Helper()
		late := time.After(patience)
		for {
			got := map[int][]string{}
			for i, r := range w.Routed() {
				for _, p := range r.Prefixes {
					got[i] = append(got[i], p.String())
				}
			}
			if maps.EqualFunc(got, want, slices.Equal) {
				return
			}
			select {
			case <-told:
			case <-late:
				t.Fatalf("%s: %v, want %v", when, got, want)
			}
		}
	}
	const one, two = "2001:db8:77::/64", "2001:db8:78::7/128"
	for _, r := range []string{
		"default dev c0 proto static", "::/1 dev c0 proto static", "2000::/3 via fe80::2 dev c0 proto bird", "2001::/15 dev c0 proto static",
		"2001:db8:90::/64 via fe80::2 dev c0 proto ra", "2001:db8:91::/64 via fe80::2 dev c0 proto redirect", "unreachable 2001:db8:92::/64 proto static",
		"2001:db8:93::/64 dev c0 proto static table 77", "2001:db8:94::/64 proto static nexthop via fe80::2 dev c0 nexthop via fe80::2 dev c1", "fd00::/8 dev c1 proto static table 77",
		"fec0::/64 dev c1 proto static",
		one + " dev c0 proto static", one + " dev c0 proto static metric 5", two + " via fe80::2 dev c0 proto bird",
	} {
		run(t, "ip -6 route add "+r)
	}
	w.WatchRouted(map[int]uint32{c0: unix.RT_TABLE_MAIN}, false)
	leads("at the start", map[int][]string{c0: {one, two}})
	w.WatchRouted(map[int]uint32{c0: unix.RT_TABLE_MAIN, c1: unix.RT_TABLE_MAIN}, false)
	leads("another interface", map[int][]string{c0: {one, two}, c1: {"fec0::/64"}})
	w.WatchRouted(map[int]uint32{c0: 77}, false)
	leads("another table", map[int][]string{c0: {"2001:db8:93::/64"}})
	w.WatchRouted(map[int]uint32{c0: unix.RT_TABLE_MAIN}, false)
	leads("the first one again", map[int][]string{c0: {one, two}})

	run(t, "ip -6 route del "+one+" dev c0 metric 5")
	run(t, "ip -6 route add 2001:db8:79::/64 dev c0 proto static")
	leads("one more", map[int][]string{c0: {one, two, "2001:db8:79::/64"}})
	run(t, "ip -6 route replace "+one+" dev c1 proto static") // the notice does not name c0
	leads("another in its place", map[int][]string{c0: {two, "2001:db8:79::/64"}})
	run(t, "ip -6 route del "+two)
	leads("one is gone", map[int][]string{c0: {"2001:db8:79::/64"}})
	run(t, "ip link set c0 down")
	leads("it is down", map[int][]string{})
	run(t, "ip link set c0 up")

	// If WatchRouted is called with anew, Run tells even if nothing else is found.
	drain := func() {
		for len(told) > 0 {
			<-told
		}
	}
	drain()
	asked := map[int]uint32{c1: unix.RT_TABLE_MAIN, c0: unix.RT_TABLE_MAIN, 1 << 20: unix.RT_TABLE_MAIN}
	for _, anew := range []bool{false, true} {
		w.WatchRouted(asked, anew)
		select {
		case <-told:
		case <-time.After(patience):
			t.Fatalf("anew %v: not told of interfaces that were asked for", anew)
		}
	}

	// A great number of routes does not fill the memory, and is counted.
	var b strings.Builder
	for i := range MaxRouted + 44 {
		fmt.Fprintf(&b, "route add 2001:db8:80:%x::/64 dev c0 proto bird\n", i)
	}
	batch := exec.Command("ip", "-6", "-batch", "-")
	batch.Stdin = strings.NewReader(b.String())
	if out, err := batch.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	late := time.After(patience)
	for r := w.Routed()[c0]; len(r.Prefixes) != MaxRouted || r.More != 44; r = w.Routed()[c0] {
		select {
		case <-told:
		case <-late:
			t.Fatalf("%d taken and %d more, want %d and 44", len(r.Prefixes), r.More, MaxRouted)
		}
	}
}
