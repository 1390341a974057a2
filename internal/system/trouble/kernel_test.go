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
	"fairlead/internal/lab/labtest"
)

// quickAudit has the relay compare the kernel with what it wants all the time.
const quickAudit = "host:\n  audit: 1s\n"

// filter is the relay's table, as nft prints it, but for the counters.
func (r *rig) filter() string {
	out, err := r.Relay.Run("nft", "-s", "list", "table", "inet", "fairlead")
	if err != nil {
		return "" // not there
	}
	return out
}

var leftByPackets = regexp.MustCompile(`(?s)\tset (answers|noting|spoofing|spoofed-sources) \{.*?\n\t\}`)

// elements are the words of the relay's table: sets and their elements come in
// any order. What packets leave in sets is not among them.
func (r *rig) elements() string {
	words := strings.FieldsFunc(leftByPackets.ReplaceAllString(r.filter(), ""), func(c rune) bool { return strings.ContainsRune(" \t\n,{}", c) })
	slices.Sort(words)
	return strings.Join(words, " ")
}

// TestOthersChangeOurState: what others take away of our routes and filters comes
// back soon, and the operator reads what it was. (Design, Host state.)
func TestOthersChangeOurState(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 2, top: quickAudit + "log:\n  every: 1s\n"})
	var prefixes []netip.Prefix
	for link := 1; link <= 2; link++ {
		r.obtain(r.client(link, duid(link)), 1, 2)
		for iaid := range uint32(2) {
			p := r.book.prefix(duid(link), iaid+1)
			r.routed(p, link)
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
		before := r.lines(append(deed.report, "level=WARN")...)
		_, err := r.Relay.Run(strings.Fields(deed.args)...)
		need(t, err)
		if deed.name == "one route" && r.routes()[p] != "" && r.lines(deed.report...) == before {
			t.Errorf("%s: nothing was changed", deed.name)
		}
		until(t, deed.name+" is reported", func() bool { return r.lines(append(deed.report, "level=WARN")...) > before })
		until(t, deed.name+" is mended", whole)
	}
	for _, set := range strings.Fields(r.sets()) {
		_, err := r.Relay.Run("nft", "flush", "set", "inet", "fairlead", set)
		need(t, err)
		until(t, "the set "+set+" is mended", whole)
	}
	if r.lines("level=WARN", "missing element") == 0 {
		t.Error("elements were taken away, and the log does not say so")
	}
}

// TestFilterIsMadeAgain: what empties the machine's whole rule set, such as another
// firewall's reload, does not leave the filter open until the next audit.
func TestFilterIsMadeAgain(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 1, top: "host:\n  audit: 1d\n"})
	r.obtain(r.client(1, duid(1)), 1)
	r.routed(r.book.prefix(duid(1), 1), 1)
	elements := r.elements()
	for _, deed := range []string{"nft flush ruleset", "nft flush table inet fairlead", "nft flush ruleset"} {
		_, err := r.Relay.Run(strings.Fields(deed)...)
		need(t, err)
		until(t, "what "+deed+" took is there again", func() bool { return r.elements() == elements })
	}
}

// TestOthersChangesAreToldByTheKernel: one element, a whole set and a route with our
// protocol are mended because the kernel tells of them, and not by the next audit on
// the slow timer, which does not come here.
func TestOthersChangesAreToldByTheKernel(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 1, top: "host:\n  audit: 1d\nlog:\n  every: 1s\n"})
	r.obtain(r.client(1, duid(1)), 1)
	p := r.book.prefix(duid(1), 1)
	r.routed(p, 1)
	elements := r.elements()
	set := fmt.Sprintf("source-link-%d", p.Bits())
	for _, deed := range []struct{ name, words string }{
		{"one element", fmt.Sprintf("nft delete element inet fairlead %s { \"d1\" . %s }", set, p.Addr())},
		{"a whole set", "nft flush set inet fairlead " + set},
		{"a route with our protocol", "ip -6 route add unreachable 2001:db8:dead::/48 proto 87"},
	} {
		_, err := r.Relay.Run(strings.Fields(deed.words)...)
		need(t, err)
		until(t, deed.name+" is mended", func() bool {
			return r.elements() == elements && r.routes()[netip.MustParsePrefix("2001:db8:dead::/48")] == ""
		})
	}
	if r.lines("level=WARN", "missing element") == 0 || r.lines("level=WARN", "left over route unreachable 2001:db8:dead::/48") == 0 {
		t.Error("the log does not say what was mended")
	}
}

// sets are the names of the relay's sets.
func (r *rig) sets() string {
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
	parallel(t)
	r := build(t, plan{clients: 2, top: quickAudit})
	c := r.client(1, duid(1))
	taken := r.book.prefix(duid(1), 1)
	need(t, r.Relay.Batch(
		"route add "+taken.String()+" via 2001:db8:fe::2 dev u0 metric 8700 proto static",
		"route add 2001:db8:bead::/48 via 2001:db8:fe::2 dev u0 metric 8700 proto 88",
		"route add unreachable 2001:db8:beef::/48 metric 8700 proto bird table 77",
	))
	for _, args := range []string{
		"nft add table inet other", "nft add set inet other mine { type ipv6_addr ; }",
		"nft add element inet other mine { 2001:db8::1 }", "nft add table ip6 fairlead",
	} {
		_, err := r.Relay.Run(strings.Fields(args)...)
		need(t, err)
	}
	foreign := r.foreign()
	need(t, r.relay.Start())
	unhurt := func(when string) {
		t.Helper()
		if got := r.foreign(); got != foreign {
			t.Fatalf("%s: of others is there\n%s\nwant\n%s", when, got, foreign)
		}
	}
	unhurt("start")

	// What the kernel does not do must not be promised to the client.
	need(t, c.Send(request(c, 1)))
	until(t, "the server has answered", func() bool { return len(r.server.Received()) > 0 })
	other := r.client(2, duid(2))
	r.obtain(other, 1)
	if p, err := c.Receive(quiet); err == nil {
		t.Errorf("%s is another's, and the client was told %x", taken, p.Data)
	}
	unhurt("grant")
	ours := r.book.prefix(duid(2), 1)
	r.routed(ours, 2)
	if got := r.routes()[taken]; got != "" {
		t.Errorf("%s is routed %s beside another's route", taken, got)
	}
	r.logged("level=WARN", taken.String())

	// Somebody takes one of ours over, and gives it back.
	_, err := r.Relay.IP("-6 route replace %s via 2001:db8:fe::2 dev u0 metric 8700 proto static", ours)
	need(t, err)
	own := foreign
	foreign = r.foreign()
	if foreign == own || r.routes()[ours] != "" {
		t.Fatalf("%s was not taken over", ours)
	}
	r.audits(2)
	unhurt("audit")
	r.logged("level=WARN", "missing route "+ours.String())
	_, err = r.Relay.IP("-6 route del %s proto static", ours)
	need(t, err)
	foreign = own
	r.routed(ours, 2)
	unhurt("return")
	need(t, r.relay.Kill())
	need(t, r.relay.Start())
	unhurt("restart")
	need(t, r.relay.Stop())
	if len(r.routes()) == 0 || r.elements() == "" {
		t.Fatal("a relay that stops takes its routes away")
	}
	_, err = r.Relay.Run(labtest.Program(), "purge", "--config", r.relay.File)
	need(t, err)
	if got := r.routes(); len(got) != 0 || r.elements() != "" {
		t.Errorf("purge leaves %v and %s", got, r.elements())
	}
	unhurt("purge")
}

// audits waits until the relay has compared the kernel with what it wants that
// often, from now on.
func (r *rig) audits(times int) {
	r.t.Helper()
	for range times {
		last := r.status().Host.LastAudit
		until(r.t, "the relay looks at the kernel", func() bool { return r.status().Host.LastAudit.After(last) })
	}
}

// foreign is what others have in the relay's kernel.
func (r *rig) foreign() string {
	r.t.Helper()
	out, err := r.Relay.IP("-N -6 route show table all")
	need(r.t, err)
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, " proto 87 ") {
			b.WriteString(line)
		}
	}
	tables, err := r.Relay.Run("nft", "list", "tables")
	need(r.t, err)
	for line := range strings.Lines(tables) {
		if !slices.Contains([]string{"table inet fairlead", "table inet fairlead-owner"}, strings.TrimSpace(line)) {
			b.WriteString(line)
		}
	}
	set, err := r.Relay.Run("nft", "list", "set", "inet", "other", "mine")
	need(r.t, err)
	b.WriteString(set)
	return b.String()
}

// TestAdoption: when a relay comes back to what it left in the kernel, no route
// and no element of it goes away for a moment: ip and nft are watching. (A route
// that is there may be written again in its place.) What it does not know of is
// removed.
func TestAdoption(t *testing.T) {
	parallel(t)
	r := start(t, plan{clients: 2})
	for link := 1; link <= 2; link++ {
		r.obtain(r.client(link, duid(link)), 1, 2, 3)
		for iaid := range uint32(3) {
			r.routed(r.book.prefix(duid(link), iaid+1), link)
		}
	}
	routes, elements := r.routes(), r.elements()
	need(t, r.relay.Kill())
	_, err := r.Relay.IP("-6 route add 2001:db8:11ff:ff00::/56 dev d1 metric 8700 proto 87") // the kill came between two steps
	need(t, err)

	watchRoutes, err := r.Relay.Start(lab.Command{Name: "watchroutes", Args: []string{"stdbuf", "-oL", "ip", "-6", "monitor", "route"}})
	need(t, err)
	watchFilter, err := r.Relay.Start(lab.Command{Name: "watchfilter", Args: []string{"stdbuf", "-oL", "nft", "monitor"}})
	need(t, err)
	r.seen(watchRoutes, watchFilter, "2001:db8:aaaa::/48", "before")
	need(t, r.relay.Start())
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
	if _, err := os.Stat(filepath.Join(r.relay.State, "db")); err != nil {
		t.Error(err)
	}
}

// seen makes a route and a table, again and again, until both watchers have seen
// them.
func (r *rig) seen(routes, filter *lab.Proc, prefix, table string) {
	r.t.Helper()
	until(r.t, "ip and nft monitor show "+prefix+" and "+table, func() bool {
		if !strings.Contains(routes.Log(), prefix) {
			_, err := r.Relay.IP("-6 route replace unreachable %s", prefix)
			need(r.t, err)
		}
		if !strings.Contains(filter.Log(), table) {
			_, _ = r.Relay.Run("nft", "delete", "table", "inet", table) // not there the first time
			_, err := r.Relay.Run("nft", "add", "table", "inet", table)
			need(r.t, err)
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
	parallel(t)
	r := build(t, plan{clients: 2, top: "log:\n  every: 1s\n"})
	first, second := r.book.prefix(duid(1), 1), r.book.prefix(duid(2), 1)
	_, err := r.Relay.IP("-6 route add %s via 2001:db8:fe::2 dev u0 proto bgp metric 20", first)
	need(t, err)
	need(t, r.relay.Start())
	r.obtain(r.client(1, duid(1)), 1)
	r.routed(first, 1)
	type route struct {
		Destination, Prefix            netip.Prefix
		Protocol, Device, Link, Client string
		Gateway                        netip.Addr
		Metric                         int
	}
	wants := func(when string, want ...route) {
		t.Helper()
		until(t, when, func() bool {
			var s struct {
				Routes []route `json:"foreign_routes"`
			}
			labtest.Ask(t, r.relay, "/v1/status", &s)
			return slices.Equal(s.Routes, want)
		})
	}
	whole := route{first, first, "bgp", "u0", "d1", duid(1).String(), netip.MustParseAddr("2001:db8:fe::2"), 20}
	wants("a route that was there before is named", whole)
	r.logged("level=WARN", "takes a client's packets away", "destination="+first.String(), duid(1).String(), "protocol=bgp")

	r.obtain(r.client(2, duid(2)), 1)
	r.routed(second, 2)
	inner := netip.PrefixFrom(second.Addr(), 64)
	_, err = r.Relay.IP("-6 route add %s via 2001:db8:fe::2 dev u0 proto static metric 9999", inner)
	need(t, err)
	part := route{inner, second, "static", "u0", "d2", duid(2).String(), netip.MustParseAddr("2001:db8:fe::2"), 9999}
	wants("a route for a part is named", whole, part)
	_, err = r.Relay.IP("-6 route add %s via 2001:db8:fe::2 dev u0 proto static metric 9999", second)
	need(t, err)

	out, err := r.relay.CLI("status", "--check")
	if line := "link d2: the route " + inner.String() + " via 2001:db8:fe::2 dev u0 proto static metric 9999 of another program takes packets of " + second.String() + " away: client " + duid(2).String() + " is dark there"; err == nil || !strings.Contains(out+err.Error(), line) {
		t.Errorf("status --check ends with %v, and says\n%s\nwant %s", err, out, line)
	}
	_, err = r.Relay.IP("-6 route del %s proto bgp", first)
	need(t, err)
	wants("the route is gone", part)
	r.logged("level=INFO", "no longer in a client's way", "destination="+first.String())
	_, err = r.Relay.IP("-6 route del %s proto static", inner)
	need(t, err)
	wants("both are gone")
}
