package trouble_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

// quickComparison has the relay compare the kernel with what it wants all the time.
const quickComparison = "host:\n  compare: 1s\n"

// filter is the relay's table, as nft prints it, but for the counters.
func (r *network) filter() string {
	out, err := r.Relay.Node.Run("nft", "-s", "list", "table", "inet", "fairlead")
	if err != nil {
		return "" // not there
	}
	return out
}

var leftByPackets = regexp.MustCompile(`(?s)\tset (answers|noting|spoofing|spoofed-sources) \{.*?\n\t\}`)

// elements are the words of the relay's table: sets and their elements come in
// any order. What packets leave in sets is not among them.
func (r *network) elements() string {
	words := strings.FieldsFunc(leftByPackets.ReplaceAllString(r.filter(), ""), func(c rune) bool { return strings.ContainsRune(" \t\n,{}", c) })
	slices.Sort(words)
	return strings.Join(words, " ")
}

// TestOthersChangeOurState: what others take away of our routes and filters comes
// back soon, and the operator reads what it was. (Design, Host state.)
func TestOthersChangeOurState(t *testing.T) {
	r := start(t, plan{clients: 2, top: quickComparison + "log:\n  every: 1s\n"})
	var prefixes []netip.Prefix
	for link := 1; link <= 2; link++ {
		r.obtain(r.Play(link, rig.DUID(link)), 1, 2)
		for iaid := range uint32(2) {
			p := r.book.Prefix(rig.DUID(link), iaid+1)
			r.WantRoute(p, link)
			prefixes = append(prefixes, p)
		}
	}
	routes, elements := r.routes(), r.elements()
	for _, p := range prefixes {
		if !strings.Contains(elements, p.Addr().String()) {
			t.Fatalf("%s is not in the filter:\n%s", p, elements)
		}
	}
	whole := func() bool {
		now := r.routes()
		for p, way := range routes {
			if now[p] != way {
				return false
			}
		}
		return len(now) == len(routes) && r.elements() == elements
	}
	if !whole() {
		t.Fatal("the kernel changes by itself")
	}
	p := prefixes[0]
	for _, deed := range []struct {
		name   string
		args   string
		report []string
	}{
		{"one route", "ip -6 route del " + p.String(), []string{"missing route " + p.String()}},
		{"all routes", "ip -6 route flush proto 87", []string{"missing route " + prefixes[3].String()}},
		{"one more route", "ip -6 route add 2001:db8:dead::/48 dev d1 proto 87", []string{"left over route 2001:db8:dead::/48"}},
		{"the kind of a route", "ip -6 route replace unreachable " + p.String() + " metric 8700 proto 87", []string{"changed route " + p.String()}},
		{"the table", "nft delete table inet fairlead", []string{"filter rules were changed"}},
		{"the rules", "nft flush table inet fairlead", []string{"filter rules were changed"}},
	} {
		before := rig.Lines(r.Fairlead.Log(), append(deed.report, "level=WARN")...)
		r.Relay.Run(strings.Fields(deed.args)...)
		if deed.name == "one route" && r.routes()[p] != "" && rig.Lines(r.Fairlead.Log(), deed.report...) == before {
			t.Errorf("%s: nothing was changed", deed.name)
		}
		r.Until(deed.name+" is reported", func() bool { return rig.Lines(r.Fairlead.Log(), append(deed.report, "level=WARN")...) > before })
		r.Until(deed.name+" is mended", whole)
	}
	for _, set := range strings.Fields(r.sets()) {
		r.Relay.Run("nft", "flush", "set", "inet", "fairlead", set)
		r.Until("the set "+set+" is mended", whole)
	}
	if rig.Lines(r.Fairlead.Log(), "level=WARN", "missing element") == 0 {
		t.Error("elements were taken away, and the log does not say so")
	}
}

// TestFilterIsMadeAgain: what empties the machine's whole rule set, such as another
// firewall's reload, does not leave the filter open until the next comparison.
func TestFilterIsMadeAgain(t *testing.T) {
	r := start(t, plan{clients: 1, top: "host:\n  compare: 1d\n"})
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	r.WantRoute(r.book.Prefix(rig.DUID(1), 1), 1)
	elements := r.elements()
	for _, deed := range []string{"nft flush ruleset", "nft flush table inet fairlead", "nft flush ruleset"} {
		r.Relay.Run(strings.Fields(deed)...)
		r.Until("what "+deed+" took is there again", func() bool { return r.elements() == elements })
	}
}

// TestOthersChangesAreToldByTheKernel: one element, a whole set and a route with our
// protocol are mended because the kernel tells of them, and not by the next comparison on
// the slow timer, which does not come here.
func TestOthersChangesAreToldByTheKernel(t *testing.T) {
	r := start(t, plan{clients: 1, top: "host:\n  compare: 1d\nlog:\n  every: 1s\n"})
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	p := r.book.Prefix(rig.DUID(1), 1)
	r.WantRoute(p, 1)
	elements := r.elements()
	set := fmt.Sprintf("source-link-%d", p.Bits())
	for _, deed := range []struct{ name, words string }{
		{"one element", fmt.Sprintf("nft delete element inet fairlead %s { \"d1\" . %s }", set, p.Addr())},
		{"a whole set", "nft flush set inet fairlead " + set},
		{"a route with our protocol", "ip -6 route add unreachable 2001:db8:dead::/48 proto 87"},
	} {
		r.Relay.Run(strings.Fields(deed.words)...)
		r.Until(deed.name+" is mended", func() bool {
			return r.elements() == elements && r.routes()[netip.MustParsePrefix("2001:db8:dead::/48")] == ""
		})
	}
	if rig.Lines(r.Fairlead.Log(), "level=WARN", "missing element") == 0 || rig.Lines(r.Fairlead.Log(), "level=WARN", "left over route unreachable 2001:db8:dead::/48") == 0 {
		t.Error("the log does not say what was mended")
	}
}

// sets are the names of the relay's sets.
func (r *network) sets() string {
	var names []string
	for line := range strings.Lines(r.filter()) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "set "); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	return strings.Join(names, " ")
}

// TestRoutesOfOthers: a route of somebody else with the same prefix and metric is
// neither overwritten nor removed, whatever happens to ours, and the operator
// reads of it; purge takes away what is ours and nothing else.
func TestRoutesOfOthers(t *testing.T) {
	r := build(t, plan{clients: 2, top: quickComparison})
	c := r.Play(1, rig.DUID(1))
	taken := r.book.Prefix(rig.DUID(1), 1)
	r.Relay.Batch(
		"route add "+taken.String()+" via 2001:db8:fe::2 dev u0 metric 8700 proto static",
		"route add 2001:db8:bead::/48 via 2001:db8:fe::2 dev u0 metric 8700 proto 88",
		"route add unreachable 2001:db8:beef::/48 metric 8700 proto bird table 77",
	)
	for _, args := range []string{
		"nft add table inet other", "nft add set inet other mine { type ipv6_addr ; }",
		"nft add element inet other mine { 2001:db8::1 }", "nft add table ip6 fairlead",
	} {
		r.Relay.Run(strings.Fields(args)...)
	}
	foreign := r.foreign()
	r.Fairlead.Start()
	unhurt := func(when string) {
		t.Helper()
		if got := r.foreign(); got != foreign {
			t.Fatalf("%s: of others is there\n%s\nwant\n%s", when, got, foreign)
		}
	}
	unhurt("start")

	// What the kernel does not do must not be promised to the client.
	c.Send(request(c, 1))
	r.Until("the server has answered", func() bool { return len(r.Played.Received()) > 0 })
	other := r.Play(2, rig.DUID(2))
	r.obtain(other, 1)
	if p, err := c.Client.Receive(quiet); err == nil {
		t.Errorf("%s is another's, and the client was told %x", taken, p.Data)
	}
	unhurt("grant")
	ours := r.book.Prefix(rig.DUID(2), 1)
	r.WantRoute(ours, 2)
	if got := r.routes()[taken]; got != "" {
		t.Errorf("%s is routed %s beside another's route", taken, got)
	}
	r.Fairlead.Logged("level=WARN", taken.String())

	// Somebody takes one of ours over, and gives it back.
	r.Relay.IP("-6 route replace %s via 2001:db8:fe::2 dev u0 metric 8700 proto static", ours)
	own := foreign
	foreign = r.foreign()
	if foreign == own || r.routes()[ours] != "" {
		t.Fatalf("%s was not taken over", ours)
	}
	r.comparisons(2)
	unhurt("comparison")
	r.Fairlead.Logged("level=WARN", "missing route "+ours.String())
	r.Relay.IP("-6 route del %s proto static", ours)
	foreign = own
	r.WantRoute(ours, 2)
	unhurt("return")
	r.Fairlead.Restart()
	unhurt("restart")
	r.Fairlead.Stop()
	if len(r.routes()) == 0 || r.elements() == "" {
		t.Fatal("a relay that stops takes its routes away")
	}
	r.Fairlead.Purge()
	if got := r.routes(); len(got) != 0 || r.elements() != "" {
		t.Errorf("purge leaves %v and %s", got, r.elements())
	}
	unhurt("purge")
}

// comparisons waits until the relay has compared the kernel with what it wants that
// often, from now on.
func (r *network) comparisons(times int) {
	r.T.Helper()
	for range times {
		last := r.status().Host.LastComparison
		r.Until("the relay looks at the kernel", func() bool { return r.status().Host.LastComparison.After(last) })
	}
}

// foreign is what others have in the relay's kernel.
func (r *network) foreign() string {
	r.T.Helper()
	out := r.Relay.IP("-N -6 route show table all")
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, " proto 87 ") {
			b.WriteString(line)
		}
	}
	tables := r.Relay.Run("nft", "list", "tables")
	for line := range strings.Lines(tables) {
		if !slices.Contains([]string{"table inet fairlead", "table inet fairlead-owner"}, strings.TrimSpace(line)) {
			b.WriteString(line)
		}
	}
	set := r.Relay.Run("nft", "list", "set", "inet", "other", "mine")
	b.WriteString(set)
	return b.String()
}

// TestAdoption: when a relay comes back to what it left in the kernel, no route
// and no element of it goes away for a moment: ip and nft are watching. (A route
// that is there may be written again in its place.) What it does not know of is
// removed.
func TestAdoption(t *testing.T) {
	r := start(t, plan{clients: 2})
	for link := 1; link <= 2; link++ {
		r.obtain(r.Play(link, rig.DUID(link)), 1, 2, 3)
		for iaid := range uint32(3) {
			r.WantRoute(r.book.Prefix(rig.DUID(link), iaid+1), link)
		}
	}
	routes, elements := r.routes(), r.elements()
	r.Fairlead.Kill()
	r.Relay.IP("-6 route add 2001:db8:11ff:ff00::/56 dev d1 metric 8700 proto 87") // the kill came between two steps

	watchRoutes := r.Relay.Start("watchroutes", "stdbuf", "-oL", "ip", "-6", "monitor", "route")
	watchFilter := r.Relay.Start("watchfilter", "stdbuf", "-oL", "nft", "monitor")
	r.seen(watchRoutes, watchFilter, "2001:db8:aaaa::/48", "before")
	r.Fairlead.Start()
	r.seen(watchRoutes, watchFilter, "2001:db8:bbbb::/48", "after")

	var deleted []string
	for line := range strings.Lines(between(watchRoutes.Log(), "2001:db8:aaaa::/48", "2001:db8:bbbb::/48")) {
		if gone, ok := strings.CutPrefix(line, "Deleted "); ok {
			deleted = append(deleted, strings.Fields(gone)[0])
		}
	}
	if want := []string{"2001:db8:11ff:ff00::/56"}; !slices.Equal(deleted, want) {
		t.Errorf("ip monitor has seen %v deleted, want %v", deleted, want)
	}
	for line := range strings.Lines(between(watchFilter.Log(), "before", "after")) {
		if strings.Contains(line, "element") {
			t.Errorf("nft monitor shows %s", line)
		}
	}
	now := r.routes()
	for p, way := range routes {
		if now[p] != way {
			t.Errorf("%s was routed %s, and is %s", p, way, now[p])
		}
	}
	if len(now) != len(routes) {
		t.Errorf("%d routes, want %d", len(now), len(routes))
	}
	if got := r.elements(); got != elements {
		t.Errorf("the filter is\n%s\nwant\n%s", got, elements)
	}
	if _, err := os.Stat(filepath.Join(r.Fairlead.State, "db")); err != nil {
		t.Error(err)
	}
}

// seen makes a route and a table, again and again, until both watchers have seen
// them.
func (r *network) seen(routes, filter *lab.Proc, prefix, table string) {
	r.T.Helper()
	r.Until("ip and nft monitor show "+prefix+" and "+table, func() bool {
		if !strings.Contains(routes.Log(), prefix) {
			r.Relay.IP("-6 route replace unreachable %s", prefix)
		}
		if !strings.Contains(filter.Log(), table) {
			_, _ = r.Relay.Node.Run("nft", "delete", "table", "inet", table) // not there the first time
			r.Relay.Run("nft", "add", "table", "inet", table)
		}
		return strings.Contains(routes.Log(), prefix) && strings.Contains(filter.Log(), table)
	})
}

// between is the text after the last line with from and before the first with to.
func between(text, from, to string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.Contains(line, from):
			b.Reset()
		case strings.Contains(line, to):
			return b.String()
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestForeignRoutesAreNamed: a route of another program that takes a client's packets
// away is in status, with the client that is dark, and in the log; one for the same
// prefix and one for a part of it, before the grant and after it. It goes when the route
// goes. A route that wins nothing is of no interest.
func TestForeignRoutesAreNamed(t *testing.T) {
	r := build(t, plan{clients: 2, top: "log:\n  every: 1s\n"})
	first, second := r.book.Prefix(rig.DUID(1), 1), r.book.Prefix(rig.DUID(2), 1)
	r.Relay.IP("-6 route add %s via 2001:db8:fe::2 dev u0 proto bgp metric 20", first)
	r.Fairlead.Start()
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	r.WantRoute(first, 1)
	type route struct {
		Destination, Prefix            netip.Prefix
		Protocol, Device, Link, Client string
		Gateway                        netip.Addr
		Metric                         int
	}
	wants := func(when string, want ...route) {
		t.Helper()
		r.Until(when, func() bool {
			var s struct {
				Routes []route `json:"foreign_routes"`
			}
			r.Fairlead.Ask("/v1/status", &s)
			return slices.Equal(s.Routes, want)
		})
	}
	whole := route{first, first, "bgp", "u0", "d1", rig.DUID(1).String(), netip.MustParseAddr("2001:db8:fe::2"), 20}
	wants("a route that was there before is named", whole)
	r.Fairlead.Logged("level=WARN", "takes a client's packets away", "destination="+first.String(), rig.DUID(1).String(), "protocol=bgp")

	r.obtain(r.Play(2, rig.DUID(2)), 1)
	r.WantRoute(second, 2)
	inner := netip.PrefixFrom(second.Addr(), 64)
	r.Relay.IP("-6 route add %s via 2001:db8:fe::2 dev u0 proto static metric 9999", inner)
	part := route{inner, second, "static", "u0", "d2", rig.DUID(2).String(), netip.MustParseAddr("2001:db8:fe::2"), 9999}
	wants("a route for a part is named", whole, part)
	r.Relay.IP("-6 route add %s via 2001:db8:fe::2 dev u0 proto static metric 9999", second)

	out, err := r.Fairlead.Relay.CLI("status", "--check")
	if line := "link d2: the route " + inner.String() + " via 2001:db8:fe::2 dev u0 proto static metric 9999 of another program takes packets of " + second.String() + " away: client " + rig.DUID(2).String() + " is dark there"; err == nil || !strings.Contains(out+err.Error(), line) {
		t.Errorf("status --check ends with %v, and says\n%s\nwant %s", err, out, line)
	}
	r.Relay.IP("-6 route del %s proto bgp", first)
	wants("the route is gone", part)
	r.Fairlead.Logged("level=INFO", "no longer in a client's way", "destination="+first.String())
	r.Relay.IP("-6 route del %s proto static", inner)
	wants("both are gone")
}

// TestForwardingIsOff: where the kernel passes no packets of a link on, delegations there
// are of no use, and status says so until it does.
func TestForwardingIsOff(t *testing.T) {
	r := build(t, plan{clients: 1})
	r.Fairlead.Start()
	const line = "kernel: IPv6 forwarding is off on d1"
	says := func() bool {
		out, err := r.Fairlead.Relay.CLI("status", "--check")
		return err != nil && strings.Contains(out+err.Error(), line)
	}
	if says() {
		t.Errorf("status says %q while forwarding is on", line)
	}
	r.Relay.Run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0")
	r.Until("status says that forwarding is off", says)
	r.Relay.Run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
	r.Until("status says it no longer", func() bool { return !says() })
}
