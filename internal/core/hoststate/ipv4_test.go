package hoststate

import (
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/core/links"
	"fairlead/internal/wire/linkaddr"
)

// In IPv4 a link with FilterStrict lets pass what is leased, and what is permitted: what is on
// the link itself is nobody's. A client that is on the link by its address needs no route; one
// that is not has one of its own, without a next hop.
func TestIPv4(t *testing.T) {
	mac := linkaddr.From([]byte{2, 0, 0, 0, 0, 1})
	numbered := &links.Link{Index: 3, Name: "c0", Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}
	lease := func(p string) Delegation {
		return Delegation{Link: "c0", Prefix: netip.MustParsePrefix(p), LinkLayer: mac, New: true}
	}
	s := NewIPv4()
	var ops []Op
	want := func(when string, all ...string) {
		t.Helper()
		var got []string
		for _, o := range ops {
			sign := "+ "
			if o.Remove {
				sign = "- "
			}
			if o.Route != nil {
				got = append(got, sign+o.Route.String())
			} else {
				got = append(got, sign+o.Element.String())
			}
		}
		if ops = nil; !slices.Equal(got, all) {
			t.Errorf("%s:\n%q, want\n%q", when, got, all)
		}
	}
	ops = s.SetLink(ops, numbered)
	ops = s.SetPolicy(ops, "c0", &Policy{Filter: FilterStrict, Permit: []netip.Prefix{netip.MustParsePrefix("192.0.2.64/28"), netip.MustParsePrefix("2001:db8::/64")}})
	want("strict", "+ source-link c0 192.0.2.64/28", "+ checked-ipv4 c0")
	ops = s.Put(ops, lease("192.0.2.7/32"))
	want("a lease on the link", "+ source-strict c0 02:00:00:00:00:01 192.0.2.7/32", "+ source-known c0 192.0.2.7/32")
	ops = s.Put(ops, lease("198.51.100.7/32"))
	const route = "198.51.100.7/32 dev 3 table 254 metric 1024"
	want("a lease elsewhere", "+ source-strict c0 02:00:00:00:00:01 198.51.100.7/32", "+ source-known c0 198.51.100.7/32", "+ "+route)
	ops = s.Put(ops, lease("2001:db8::/56"))
	want("a prefix of IPv6")
	if s.Counts().Delegations != 2 {
		t.Errorf("%+v, want 2 delegations", s.Counts())
	}

	// A State of IPv6 takes for wanted what is of its family, and nothing else.
	actual := Actual{
		Elements: []Element{
			{Set: CheckedIPv4, Link: "c0"},
			{Set: SourceLink, Link: "c0", Prefix: netip.MustParsePrefix("192.0.2.64/28")},
			{Set: SourceStrict, Link: "c0", LinkLayer: mac, Prefix: netip.MustParsePrefix("198.51.100.7/32")},
			{Set: SourceKnown, Link: "c0", Prefix: netip.MustParsePrefix("198.51.100.7/32")},
			{Set: SourceKnown, Link: "c0", Prefix: netip.MustParsePrefix("192.0.2.7/32")},
			{Set: SourceKnown, Link: "c0", Prefix: netip.MustParsePrefix("192.0.2.8/32")},
			{Set: Checked, Link: "c0"},
			{Set: SourceLink, Link: "c0", Prefix: netip.MustParsePrefix("2001:db8::/56")},
		},
		Routes: []Route{
			{Table: MainTable, Prefix: netip.MustParsePrefix("198.51.100.8/32"), Metric: DefaultMetric, Link: 3},
			{Table: MainTable, Prefix: netip.MustParsePrefix("2001:db8::/56"), Metric: DefaultMetric, Link: 3},
		},
	}
	six := New()
	six.SetPolicy(six.SetLink(nil, numbered), "c0", &Policy{Filter: FilterLink})
	var found []Finding
	r := Read(actual)
	for _, part := range []*State{s, six} {
		c := part.Compare()
		for done := false; !done; {
			var more []Finding
			ops, more, done = c.Next(ops, r, 100)
			found = append(found, more...)
		}
	}
	want("compared", "+ "+route, "+ source-strict c0 02:00:00:00:00:01 192.0.2.7/32")
	for left := range r.LeftOver(100) {
		ops = append(ops, left...)
	}
	want("left over", "- source-link c0 2001:db8::/56", "- source-known c0 192.0.2.8/32", "- 198.51.100.8/32 dev 3 table 254 metric 1024", "- 2001:db8::/56 dev 3 table 254 metric 1024")
	if len(found) != 2 {
		t.Errorf("found %v", found)
	}

	ops = s.SetPolicy(ops, "c0", &Policy{Filter: FilterLink, NoRoutes: true})
	want("link, without routes",
		"+ source-link c0 192.0.2.0/24",
		"- source-strict c0 02:00:00:00:00:01 192.0.2.7/32", "- source-known c0 192.0.2.7/32",
		"+ source-link c0 198.51.100.7/32", "- source-strict c0 02:00:00:00:00:01 198.51.100.7/32", "- source-known c0 198.51.100.7/32",
		"- "+route, "- source-link c0 192.0.2.64/28")
}
