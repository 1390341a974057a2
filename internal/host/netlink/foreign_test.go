package netlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/lab/labtest"

	"golang.org/x/sys/unix"
)

// A route of another program that takes packets away from one of ours is found, whether it comes
// before ours or after, for the same prefix with the same metric or a lower one, and for a part
// of the prefix. It is forgotten when it has gone, in whatever way, or when ours has ended. A
// route that takes nothing away is not found: one with a higher metric, one that leads the same
// way, and one in another table.
func TestForeignRoutes(t *testing.T) {
	c := open(t)
	for _, l := range []string{"c0", "e0"} {
		run(t, "ip link add "+l+" type veth peer name "+l+"p")
		run(t, "ip link set "+l+"p up")
		run(t, "ip link set "+l+" up")
	}
	index := func(name string) int {
		i, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return i.Index
	}
	ours := func(prefix string) *hoststate.Route {
		return &hoststate.Route{Table: unix.RT_TABLE_MAIN, Prefix: netip.MustParsePrefix(prefix), Metric: 8700, Link: index("c0"), Gateway: netip.MustParseAddr("fe80::1")}
	}
	apply := func(op hoststate.Op) {
		t.Helper()
		if err := c.Apply([]hoststate.Op{op}, func(_ int, err error) {
			if !strings.Contains(err.Error(), ErrForeign.Error()) {
				t.Errorf("%v", err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	apply(hoststate.Op{Route: ours("2001:db8:100::/56")})
	apply(hoststate.Op{Route: &hoststate.Route{Table: unix.RT_TABLE_MAIN, Prefix: netip.MustParsePrefix("2001:db8::/32"), Metric: 4096}})
	run(t, "ip -6 route add 2001:db8:100::/56 dev e0 proto static metric 1024")

	w, err := c.WatchForeign()
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{}, 100)
	end := labtest.Run(t, func(ctx context.Context) error { return w.Run(ctx, func() { told <- struct{}{} }) })
	defer func() {
		end()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	// found waits until exactly these routes are known.
	found := func(when string, want ...string) {
		t.Helper()
		late := time.After(patience)
		for {
			var got []string
			all, more := w.Found()
			for _, f := range all {
				if f.Link != index("c0") {
					t.Errorf("%s: ours leads by interface %d", when, f.Link)
				}
				got = append(got, fmt.Sprintf("%s proto %d dev %d metric %d over %s", f.Prefix, f.Protocol, f.Device, f.Metric, f.Ours))
			}
			if fmt.Sprint(got) == fmt.Sprint(want) && more == 0 {
				return
			}
			select {
			case <-told:
			case <-late:
				t.Fatalf("%s: found %q, want %q", when, got, want)
			}
		}
	}
	same := fmt.Sprintf("2001:db8:100::/56 proto 4 dev %d metric 1024 over 2001:db8:100::/56", index("e0"))
	part := fmt.Sprintf("2001:db8:100:7::/64 proto 186 dev %d metric 9000 over 2001:db8:100::/56", index("e0"))
	found("at the start", same)
	for _, harmless := range []string{
		"2001:db8:100::/56 dev e0 proto static metric 9000",    // ours has the lower metric
		"2001:db8:100:8::/64 dev c0 proto static",              // it leads to the same link
		"2001:db8:100:9::/64 dev e0 proto static table 77",     // it is in another table
		"2001:db8:200::/56 dev e0 proto static",                // it is only inside an unreachable aggregate
		"2001:db8:100::/48 dev e0 proto static metric 1",       // our prefix is longer
		"unreachable 2001:db8:100:a::/64 proto 87 metric 1024", // it is ours
	} {
		run(t, "ip -6 route add "+harmless)
	}
	run(t, "ip -6 route add 2001:db8:100:7::/64 dev e0 proto 186 metric 9000")
	found("a part of it", same, part)
	run(t, "ip -6 route del 2001:db8:100::/56 dev e0 proto static metric 1024")
	found("one of them is gone", part)
	apply(hoststate.Op{Remove: true, Route: ours("2001:db8:100::/56")})
	found("ours has ended")
	apply(hoststate.Op{Route: ours("2001:db8:100::/56")})
	found("ours is there again", part)
	run(t, "ip link set e0 down")
	found("the device is down")

	// A foreign route in the place of ours keeps ours from being installed.
	run(t, "ip link set e0 up")
	run(t, "ip -6 route add 2001:db8:300::/56 dev e0 proto bird metric 8700")
	apply(hoststate.Op{Route: ours("2001:db8:300::/56")})
	apply(hoststate.Op{Remove: true, Route: ours("2001:db8:300::/56")})
	found("one in the place of ours", fmt.Sprintf("2001:db8:300::/56 proto 12 dev %d metric 8700 over 2001:db8:300::/56", index("e0")))
	run(t, "ip -6 route del 2001:db8:300::/56 proto bird")
	found("it is gone")

	// A great number of them does not fill the memory.
	var b strings.Builder
	for i := range maxForeign + 44 {
		fmt.Fprintf(&b, "route add 2001:db8:100:20:%x::/80 dev e0 proto static\n", i)
	}
	batch := exec.Command("ip", "-6", "-batch", "-")
	batch.Stdin = strings.NewReader(b.String())
	if out, err := batch.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	late := time.After(patience)
	for all, more := w.Found(); len(all) != maxForeign || more != 44; all, more = w.Found() {
		select {
		case <-told:
		case <-late:
			t.Fatalf("%d found and %d more, want %d and 44", len(all), more, maxForeign)
		}
	}
}

// Where a reading of the tables takes long because the machine is busy, the next one does not
// come later for that: the processor time of a reading counts.
func TestForeignRoutesAfterASlowReading(t *testing.T) {
	c := open(t)
	run(t, "ip link set lo up")
	ours := hoststate.Op{Route: &hoststate.Route{Table: unix.RT_TABLE_MAIN, Prefix: netip.MustParsePrefix("2001:db8:100::/56"), Metric: 8700, Link: 1}}
	if err := c.Apply([]hoststate.Op{ours}, func(_ int, err error) { t.Errorf("%v", err) }); err != nil {
		t.Fatal(err)
	}
	add := func(part string) { run(t, "ip -6 route add unreachable "+part+" proto static") }
	add("2001:db8:100:1::/64")
	w, err := c.WatchForeign()
	if err != nil {
		t.Fatal(err)
	}
	told, ended := make(chan struct{}, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		if err := errors.Join(<-ended, w.Close()); err != nil {
			t.Error(err)
		}
	}()
	found := func(want int) {
		t.Helper()
		for late := time.After(patience); ; {
			if all, _ := w.Found(); len(all) == want {
				return
			}
			select {
			case <-told:
			case <-late:
				t.Fatalf("not told within %v of %d foreign routes", patience, want)
			}
		}
	}

	c.owned.mu.Lock() // the first reading waits for this lock
	go func() { ended <- w.Run(ctx, func() { told <- struct{}{} }) }()
	<-time.After(2 * patience / readingShare)
	c.owned.mu.Unlock()
	found(1)
	add("2001:db8:100:2::/64")
	found(2)
}
