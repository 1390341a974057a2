package relay4_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
)

// place is where a route is.
type place struct {
	prefix netip.Prefix
	table  uint32
}

// kernel has what was installed.
type kernel struct {
	elements map[hoststate.Element]bool
	routes   map[place]hoststate.Route
}

func (k *kernel) install(ops []hoststate.Op) {
	for _, op := range ops {
		switch {
		case op.Element != nil && op.Remove:
			delete(k.elements, *op.Element)
		case op.Element != nil:
			k.elements[*op.Element] = true
		case op.Remove:
			delete(k.routes, place{op.Route.Prefix, op.Route.Table})
		default:
			k.routes[place{op.Route.Prefix, op.Route.Table}] = *op.Route
		}
	}
}

func (k *kernel) actual() (a hoststate.Actual) {
	return hoststate.Actual{Elements: slices.Collect(maps.Keys(k.elements)), Routes: slices.Collect(maps.Values(k.routes))}
}

// strict has the kernel take from clients what is leased, and route it.
func strict(w *world) {
	w.kernel = &kernel{map[hoststate.Element]bool{}, map[place]hoststate.Route{}}
	for i := range w.cfg.Links {
		r := &w.cfg.Links[i]
		r.ServerIDOverride, r.HostRoutes, r.Host = true, true, hoststate.Policy{Filter: hoststate.FilterStrict, Metric: 8700}
	}
}

// routes and filter are what the kernel has, in words.
func (w *world) routes() (all []string) {
	for _, r := range w.kernel.routes {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}

func (w *world) filter() (all []string) {
	for e := range w.kernel.elements {
		if e.Set != hoststate.SourceKnown { // beside each of source-strict
			all = append(all, e.String())
		}
	}
	slices.Sort(all)
	return all
}

// wantKernel wants this filter and these routes, and that a comparison finds no difference.
func (w *world) wantKernel(what string, filter, routes []string) {
	w.Helper()
	if got := w.filter(); !slices.Equal(got, filter) {
		w.Errorf("%s: the filter has\n got  %q\n want %q", what, got, filter)
	}
	if got := w.routes(); !slices.Equal(got, routes) {
		w.Errorf("%s: routes\n got  %q\n want %q", what, got, routes)
	}
	if found := w.compare(); len(found) != 0 {
		w.Errorf("%s: %v", what, found)
	}
}

// compare compares the kernel with what the core wants of it, and mends it.
func (w *world) compare() (found []hoststate.Finding) {
	c, reading := w.core.Kernel().Compare(), hoststate.Read(w.kernel.actual())
	for done := false; !done; {
		var more []hoststate.Finding
		more, done, _ = w.core.Kernel().ComparePart(c, reading, &w.eff)
		found = append(found, more...)
	}
	for left := range reading.LeftOver(100) {
		found = append(found, hoststate.LeftOvers(left)...)
		w.kernel.install(left)
	}
	w.carryOut()
	return found
}

// What the kernel has of alice and of others.
const (
	checked0, checked1 = "checked-ipv4 lan0", "checked-ipv4 lan1"

	aliceSource = "source-strict lan0 02:00:5e:00:53:0a 10.0.0.77/32"
	bobSource   = "source-strict lan0 02:00:5e:00:53:0b 10.0.0.77/32"
	carolSource = "source-strict lan1 02:00:5e:00:53:0c 10.0.1.77/32"
)

// A client's packets pass from the moment that it hears of its lease, which is kept by then,
// until the lease ends.
func TestFilterFollowsLeases(t *testing.T) {
	w := newWorld(t, strict)
	w.wantKernel("before any lease", []string{checked0, checked1}, nil)
	w.order = nil
	w.obtain(alice, "10.0.0.77", 600)
	if got := fmt.Sprint(w.order); got != "[send keep install send]" { // the request, then the lease
		t.Errorf("a lease: %s", got)
	}
	w.wantKernel("leased", []string{checked0, checked1, aliceSource}, nil)
	w.order = nil
	w.sleep(5 * time.Minute)
	w.delivers(lan0Index, answer(w.asks(alice, from(alice, ofType(typeRequest), using("10.0.0.77"), func(m *message) { m.xid++ })), typeACK, true, given("10.0.0.77", 600)))
	if got := fmt.Sprint(w.order); got != "[send keep send]" {
		t.Errorf("a renewal: %s", got)
	}
	w.sleep(10*time.Minute - 1)
	w.wantKernel("renewed, just before the end", []string{checked0, checked1, aliceSource}, nil)
	w.sleep(1)
	w.wantKernel("ended", []string{checked0, checked1}, nil)

	w.obtain(alice, "10.0.0.77", 600)
	w.sends(alice, "10.0.0.77", from(alice, ofType(typeRelease), using("10.0.0.77")))
	w.wantKernel("released", []string{checked0, checked1}, nil)

	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(bob, "10.0.0.77", 600)
	w.wantKernel("another client's by the server's word", []string{checked0, checked1, bobSource}, nil)
	w.obtain(carol, "10.0.1.77", 600)
	w.wantKernel("on another link", []string{checked0, checked1, bobSource, carolSource}, nil)
}

// A lease that cannot be kept is not given: its ACK does not leave, and the client is not let
// pass. A renewal is told although the store takes nothing, as nothing is lost by that.
func TestStrictLeaseThatIsNotKept(t *testing.T) {
	w := newWorld(t, strict)
	up := w.asks(alice, from(alice, ofType(typeRequest), wanting("10.0.0.77")))
	w.keepErr = errors.New("full")
	if got := w.serves(answer(up, typeACK, true, given("10.0.0.77", 600))); len(got) != 0 {
		t.Errorf("delivered %+v", got)
	}
	w.wantShown("not kept")
	w.wantKernel("not kept", []string{checked0, checked1}, nil)
	if n := w.core.Totals().Refusals["not-kept"]; n != 1 {
		t.Errorf("%d leases were refused because they were not kept, want 1", n)
	}
	w.keepErr = nil
	w.obtain(alice, "10.0.0.77", 600)
	w.keepErr = errors.New("full")
	up = w.asks(alice, from(alice, ofType(typeRequest), using("10.0.0.77"), func(m *message) { m.xid++ }))
	w.delivers(lan0Index, answer(up, typeACK, true, given("10.0.0.77", 900)))
	w.wantShown("renewed", alices+"15m0s")
	w.wantKernel("renewed", []string{checked0, checked1, aliceSource}, nil)
}

// Clients on an unnumbered link are reached by a route to each address. While the link is down
// or away an unreachable one stands for it.
func TestHostRoutes(t *testing.T) {
	w := newWorld(t, unnumbered, strict)
	const there, away = "10.0.0.77/32 dev 10 table 254 metric 8700", "unreachable 10.0.0.77/32 table 254 metric 8700"
	w.obtain(alice, "10.0.0.77", 600)
	w.wantKernel("leased", []string{checked0, checked1, aliceSource}, []string{there})
	w.setLink("lan0", func(l *links.Link) { l.Up = false })
	w.wantKernel("down", []string{checked0, checked1, aliceSource}, []string{away})
	w.setLink("lan0", func(l *links.Link) { l.Up = true })
	w.wantKernel("up", []string{checked0, checked1, aliceSource}, []string{there})
	gone := w.links["lan0"]
	w.removeLink("lan0")
	w.wantKernel("gone", []string{checked0, checked1, aliceSource}, []string{away})
	gone.Index = 20
	w.links["lan0"] = gone
	w.setLink("lan0", func(*links.Link) {})
	w.wantKernel("back", []string{checked0, checked1, aliceSource}, []string{"10.0.0.77/32 dev 20 table 254 metric 8700"})
	w.sleep(10 * time.Minute)
	w.wantKernel("ended", []string{checked0, checked1}, nil)
}

// A link with a subnet of its own needs no routes: the kernel's own leads there.
func TestNumberedLinkNeedsNoHostRoutes(t *testing.T) {
	w := newWorld(t, strict)
	w.obtain(alice, "10.0.0.77", 600)
	w.wantKernel("leased", []string{checked0, checked1, aliceSource}, nil)
}

// Another configuration holds at once for the leases that there are, also on a link that is gone.
func TestStrictIsTurnedOnAndOff(t *testing.T) {
	w := newWorld(t, strict)
	off := *w.cfg
	off.Links = slices.Clone(w.cfg.Links)
	off.Links[0].Host, off.Links[0].HostRoutes = hoststate.Policy{}, false
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(carol, "10.0.1.77", 600)
	w.removeLink("lan1")
	reload := func(cfg *relay4.Config) {
		w.core.Reconfigure(cfg, &w.eff)
		w.carryOut()
	}
	reload(&off)
	w.wantKernel("off", nil, nil)
	reload(w.cfg)
	w.wantKernel("on", []string{checked0, checked1, aliceSource, carolSource}, []string{"unreachable 10.0.1.77/32 table 254 metric 8700"})
	permit := off
	permit.Links = slices.Clone(w.cfg.Links)
	permit.Links[0].Host.Permit = []netip.Prefix{cidr("10.9.0.0/16")}
	reload(&permit)
	if !slices.Contains(w.filter(), "source-link lan0 10.9.0.0/16") {
		t.Errorf("permitted: %q", w.filter())
	}
}

// After a restart the kernel is brought to what was kept: a link that does not exist is checked
// before it comes, and what nobody wants goes.
func TestStrictAfterRestart(t *testing.T) {
	w := newWorld(t, strict)
	w.obtain(alice, "10.0.0.77", 600)
	w.obtain(carol, "10.0.1.77", 600)
	w.removeLink("lan1")
	w.kernel.elements = map[hoststate.Element]bool{{Set: hoststate.CheckedIPv4, Link: "left"}: true}
	w.kernel.routes = map[place]hoststate.Route{}
	w.restored("another boot")
	if found := w.compare(); len(found) == 0 {
		t.Error("a kernel without anything of ours does not differ")
	}
	w.wantKernel("restarted", []string{checked0, checked1, aliceSource, carolSource}, []string{"unreachable 10.0.1.77/32 table 254 metric 8700"})
}

// What is leased goes by the name of its link, and with it into another VRF, unless the address
// is another client's there.
func TestStrictLinkIsRenamedAndMoved(t *testing.T) {
	w := newWorld(t, unnumbered, strict)
	w.obtain(alice, "10.0.0.77", 600)
	w.setLink("lan0", func(l *links.Link) { l.Name = "lan7" })
	renamed := "source-strict lan7 02:00:5e:00:53:0a 10.0.0.77/32"
	w.wantKernel("renamed", []string{checked1, "checked-ipv4 lan7", renamed}, []string{"10.0.0.77/32 dev 10 table 254 metric 8700"})
	w.setLink("lan7", func(l *links.Link) { l.VRF, l.Table = "red", 10 })
	w.wantKernel("in a VRF", []string{checked1, "checked-ipv4 lan7", renamed}, []string{"10.0.0.77/32 dev 10 table 10 metric 8700"})
	w.setLink("lan1", func(l *links.Link) { l.VRF, l.Table = "blue", 11 })
	w.obtain(carol, "10.0.0.77", 600)
	w.setLink("lan7", func(l *links.Link) { l.VRF, l.Table = "blue", 11 })
	w.wantKernel("where the address is another's", []string{checked1, "checked-ipv4 lan7", "source-strict lan1 02:00:5e:00:53:0c 10.0.0.77/32"}, []string{"10.0.0.77/32 dev 11 table 11 metric 8700"})
	w.sleep(0) // the names are kept
	w.restored("another boot")
	w.compare()
	w.wantKernel("restarted", []string{checked1, "checked-ipv4 lan7", "source-strict lan1 02:00:5e:00:53:0c 10.0.0.77/32"}, []string{"10.0.0.77/32 dev 11 table 11 metric 8700"})
}

// A point-to-point interface says little about who is at its other end. What was leased there
// is let pass again once the server has renewed it for somebody who has asked since the line
// began; the answer to who was there before proves nothing.
func TestStrictOnPointToPointLinks(t *testing.T) {
	w := newWorld(t, unnumbered, strict, func(w *world) {
		l := w.links["lan0"]
		l.PointToPoint = true
		w.links["lan0"] = l
	})
	const there, away = "10.0.0.77/32 dev 10 table 254 metric 8700", "unreachable 10.0.0.77/32 table 254 metric 8700"
	source := []string{checked0, checked1, aliceSource}
	w.obtain(alice, "10.0.0.77", 600)
	w.wantKernel("leased", source, []string{there})
	late := w.asks(alice, from(alice, ofType(typeRequest), using("10.0.0.77"), func(m *message) { m.xid++ }))
	for _, up := range []bool{false, true} {
		w.setLink("lan0", func(l *links.Link) { l.Up = up })
	}
	w.wantKernel("somebody else may be there", []string{checked0, checked1}, []string{away})
	for b := range w.core.Leases {
		if !w.core.Unproved(&b) {
			t.Errorf("%v is not shown as unproved", b.Prefix)
		}
	}
	w.delivers(lan0Index, answer(late, typeACK, true, given("10.0.0.77", 600)))
	w.wantKernel("an answer to who was there", []string{checked0, checked1}, []string{away})
	w.obtain(alice, "10.0.0.77", 600)
	w.wantKernel("renewed", source, []string{there})
}
