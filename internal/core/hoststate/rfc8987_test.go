package hoststate

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/links"
	"fairlead/internal/wire/linkaddr"

	"github.com/google/go-cmp/cmp"
)

var (
	mac1     = linkaddr.From([]byte{2, 0, 0, 0, 0, 1})
	eth      = links.Link{Index: 5, Name: "c0", Up: true, Running: true, Table: 254, Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::1/64")}}
	ppp      = links.Link{Index: 6, Name: "ppp0", Up: true, Running: true, PointToPoint: true, Table: 254}
	filtered = Policy{Filter: FilterLink, Loop: LoopDrop}
	granted  = Delegation{Link: "c0", Prefix: netip.MustParsePrefix("2001:db8:100::/56"), NextHop: netip.MustParseAddr("fe80::1"), LinkLayer: mac1}
)

// with is a state with one link under a policy, and the kernel that follows it. The
// delegations are proved there.
func with(t *testing.T, l links.Link, p Policy, delegations ...Delegation) (*State, *kernel) {
	t.Helper()
	s, k := New(), newKernel()
	ops := s.SetPolicy(s.SetLink(nil, &l), l.Name, &p)
	for _, d := range delegations {
		d.Link, d.Line = l.Name, s.Line(l.Name)
		ops = s.Put(ops, d)
	}
	follow(t, k, ops)
	return s, k
}

func follow(t *testing.T, k *kernel, ops []Op) {
	t.Helper()
	if c := k.apply(ops); len(c) > 0 {
		t.Fatalf("operations: %q", c)
	}
}

func want(t *testing.T, k *kernel, lines ...string) {
	t.Helper()
	w := map[string]bool{}
	for _, l := range lines {
		w[l] = true
	}
	if diff := cmp.Diff(w, k.holds()); diff != "" {
		t.Errorf("kernel, -want +got:\n%s", diff)
	}
}

// RFC 8987 R-1: routes come with delegations, and go with them.
func TestR1RouteFollowsDelegation(t *testing.T) {
	s, k := with(t, ppp, Policy{}, granted)
	want(t, k, "route 2001:db8:100::/56 via fe80::1 dev 6 table 254 metric 1024")
	moved := granted
	moved.Link, moved.Line, moved.NextHop = "ppp0", s.Line("ppp0"), netip.MustParseAddr("fe80::2")
	follow(t, k, s.Put(nil, moved))
	want(t, k, "route 2001:db8:100::/56 via fe80::2 dev 6 table 254 metric 1024")
	follow(t, k, s.Delete(nil, "ppp0", granted.Prefix))
	want(t, k)
}

// RFC 8987: route and filter have the length of the delegation, also
// where delegations of other lengths lie beside it or inside it.
func TestR2R3ExactLength(t *testing.T) {
	var delegations []Delegation
	for _, p := range []string{"2001:db8:100::/56", "2001:db8:200::/60", "2001:db8:210::/64", "2001:db8:220::/63"} {
		delegations = append(delegations, Delegation{Prefix: netip.MustParsePrefix(p), NextHop: granted.NextHop})
	}
	_, k := with(t, ppp, Policy{Filter: FilterLink}, delegations...)
	want(
		t, k, "element checked ppp0",
		"route 2001:db8:100::/56 via fe80::1 dev 6 table 254 metric 1024", "element source-link ppp0 2001:db8:100::/56",
		"route 2001:db8:200::/60 via fe80::1 dev 6 table 254 metric 1024", "element source-link ppp0 2001:db8:200::/60",
		"route 2001:db8:210::/64 via fe80::1 dev 6 table 254 metric 1024", "element source-link ppp0 2001:db8:210::/64",
		"route 2001:db8:220::/63 via fe80::1 dev 6 table 254 metric 1024", "element source-link ppp0 2001:db8:220::/63",
	)
}

// RFC 8987 R-3: the filter follows the delegations; strict binds to the link-layer
// address, and does what it can where that is not known.
func TestR3FilterFollowsDelegation(t *testing.T) {
	p := Policy{Filter: FilterStrict, Permit: []netip.Prefix{netip.MustParsePrefix("2001:db8:5::/64")}}
	s, k := with(t, eth, p, granted)
	fixed := []string{
		"element checked c0", "element source-link c0 2001:db8:1::/64", "element source-link c0 2001:db8:5::/64",
		"route 2001:db8:100::/56 via fe80::1 dev 5 table 254 metric 1024",
	}
	want(t, k, append(
		fixed, "element source-strict c0 02:00:00:00:00:01 2001:db8:100::/56", "element source-known c0 2001:db8:100::/56",
	)...)
	unknown := granted
	unknown.LinkLayer = linkaddr.Addr{}
	follow(t, k, s.Put(nil, unknown))
	want(t, k, append(fixed, "element source-link c0 2001:db8:100::/56")...)
	follow(t, k, s.Delete(nil, "c0", granted.Prefix))
	want(t, k, fixed[:3]...)
}

// RFC 8987 R-5: point-to-point links tell a loop by the interface, multi-access
// links by the link-layer address as well; clients and destinations are exempt
// by policy.
func TestR5LoopElements(t *testing.T) {
	for _, c := range []struct {
		name       string
		link       links.Link
		policy     Policy
		delegation Delegation
		want       []string
	}{
		{"point to point", ppp, Policy{Loop: LoopDrop, Shared: true}, granted, []string{"element hairpin ppp0", "element loop-point ppp0 2001:db8:100::/56"}},
		{"one client", eth, Policy{Loop: LoopDrop}, granted, []string{"element hairpin c0", "element loop-point c0 2001:db8:100::/56"}},
		{"multi-access", eth, Policy{Loop: LoopDrop, Shared: true}, granted, []string{"element hairpin c0", "element loop-shared c0 02:00:00:00:00:01 2001:db8:100::/56"}},
		{"multi-access, address unknown", eth, Policy{Loop: LoopDrop, Shared: true}, Delegation{Prefix: granted.Prefix, NextHop: granted.NextHop}, []string{"element hairpin c0"}},
		{"client exempt", eth, Policy{Loop: LoopDrop}, Delegation{Prefix: granted.Prefix, NextHop: granted.NextHop, LoopExempt: true}, []string{"element hairpin c0"}},
		{"destination exempt", eth, Policy{Loop: LoopDrop, LoopExempt: []netip.Prefix{netip.MustParsePrefix("2001:db8:100:1::/64")}}, granted, []string{"element hairpin c0", "element loop-point c0 2001:db8:100::/56", "element loop-exempt c0 2001:db8:100:1::/64"}},
		{"answered", eth, Policy{Loop: LoopReject}, granted, []string{"element hairpin c0", "element rejecting c0", "element loop-point c0 2001:db8:100::/56"}},
		{"off", eth, Policy{Loop: LoopForward}, granted, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, k := with(t, c.link, c.policy, c.delegation)
			k.routes = map[string]Route{}
			want(t, k, c.want...)
		})
	}
}

// RFC 8987 S-2: routes are kept through loss of carrier, administrative down,
// deletion of the interface and a refusal of the kernel.
func TestS2RouteIsRetained(t *testing.T) {
	const (
		live    = "route 2001:db8:100::/56 via fe80::1 dev 5 table 254 metric 1024"
		standIn = "route unreachable 2001:db8:100::/56 table 254 metric 1024"
	)
	s, k := with(t, eth, Policy{}, granted)
	dark, down, again := eth, eth, eth
	dark.Running, down.Up, again.Index = false, false, 9

	if ops := s.SetLink(nil, &dark); len(ops) != 0 {
		t.Errorf("carrier lost: %d operations, want none", len(ops))
	}
	follow(t, k, s.SetLink(nil, &down))
	want(t, k, standIn)
	follow(t, k, s.SetLink(nil, &eth))
	want(t, k, live)
	follow(t, k, s.RemoveLink(nil, "c0"))
	want(t, k, standIn)
	follow(t, k, s.SetLink(nil, &again))
	want(t, k, "route 2001:db8:100::/56 via fe80::1 dev 9 table 254 metric 1024")
	refused := k.routes["254 2001:db8:100::/56 1024"]
	follow(t, k, s.Refused(nil, refused))
	want(t, k, standIn)
	if ops := s.Refused(nil, refused); len(ops) != 0 {
		t.Errorf("refused again: %d operations, want none", len(ops))
	}
	follow(t, k, s.SetLink(nil, &again))
	want(t, k, "route 2001:db8:100::/56 via fe80::1 dev 9 table 254 metric 1024")
}

// A delegation that is kept in the store is routed to nowhere until its link appears.
func TestDelegationBeforeLink(t *testing.T) {
	s, k := New(), newKernel()
	follow(t, k, s.Put(s.SetPolicy(nil, "c0", &filtered), granted))
	want(
		t, k, "element checked c0", "element hairpin c0", "element source-link c0 2001:db8:100::/56",
		"element loop-point c0 2001:db8:100::/56", "route unreachable 2001:db8:100::/56 table 254 metric 1024",
	)
	vrf := eth
	vrf.Table, vrf.Addrs = 10, nil
	follow(t, k, s.SetLink(nil, &vrf))
	want(
		t, k, "element checked c0", "element hairpin c0", "element source-link c0 2001:db8:100::/56",
		"element loop-point c0 2001:db8:100::/56", "route 2001:db8:100::/56 via fe80::1 dev 5 table 10 metric 1024",
	)
	follow(t, k, s.SetPolicy(nil, "c0", nil))
	want(t, k)
}

// An address inside an on-link prefix needs nothing; one outside needs a route.
func TestAssignedAddress(t *testing.T) {
	inside, outside := granted, granted
	inside.Prefix = netip.MustParsePrefix("2001:db8:1::77/128")
	outside.Prefix = netip.MustParsePrefix("2001:db8:2::77/128")
	_, k := with(t, eth, Policy{}, inside, outside)
	want(t, k, "route 2001:db8:2::77/128 via fe80::1 dev 5 table 254 metric 1024")
}

// The same prefix on two links goes to the later, and back when that one ends.
func TestSamePrefixOnTwoLinks(t *testing.T) {
	s, k := with(t, eth, Policy{}, granted)
	other := granted
	other.Link = "ppp0"
	follow(t, k, s.SetPolicy(s.SetLink(nil, &ppp), "ppp0", &Policy{}))
	other.Line = s.Line("ppp0")
	follow(t, k, s.Put(nil, other))
	want(t, k, "route 2001:db8:100::/56 via fe80::1 dev 6 table 254 metric 1024")
	follow(t, k, s.Delete(nil, "ppp0", granted.Prefix))
	want(t, k, "route 2001:db8:100::/56 via fe80::1 dev 5 table 254 metric 1024")
	follow(t, k, s.Put(nil, other))
	follow(t, k, s.Delete(nil, "c0", granted.Prefix))
	want(t, k, "route 2001:db8:100::/56 via fe80::1 dev 6 table 254 metric 1024")
}

// A finding is a line for an operator.
func TestFindingString(t *testing.T) {
	s, _ := with(t, eth, filtered, granted)
	_, found := s.CompareAll(nil, Actual{
		Routes: []Route{{Table: 254, Prefix: granted.Prefix, Metric: 1024, Link: OtherKind}, {Table: 7, Prefix: granted.Prefix, Metric: 1}},
	})
	got := map[string]bool{}
	for _, f := range found {
		got[f.String()] = true
	}
	for _, line := range []string{
		"missing element checked c0", "missing element loop-point c0 2001:db8:100::/56",
		"changed route 2001:db8:100::/56 via fe80::1 dev 5 table 254 metric 1024",
		"left over route unreachable 2001:db8:100::/56 table 7 metric 1",
	} {
		if !got[line] {
			t.Errorf("no finding %q among %q", line, found)
		}
	}
}

// A change costs the same with many delegations as with few.
func BenchmarkPut(b *testing.B) {
	s := New()
	ops := s.SetPolicy(s.SetLink(nil, &eth), "c0", &filtered)
	a := netip.MustParseAddr("2001:db8::").As16()
	for i := range 100_000 {
		a[4], a[5], a[6] = byte(i>>16), byte(i>>8), byte(i)
		l := granted
		l.Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 56)
		ops = s.Put(ops[:0], l)
	}
	hops := [2]netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")}
	l := granted
	l.Prefix = netip.PrefixFrom(netip.AddrFrom16(a), 56)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.NextHop = hops[i%2]
		ops = s.Put(ops[:0], l)
	}
}
