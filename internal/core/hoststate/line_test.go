package hoststate

import (
	"net/netip"
	"testing"

	"fairlead/internal/core/links"
)

// RFC 8987 R-3 and S-2, on point-to-point interfaces: what was granted on one line
// is neither routed to the next line of the same name nor a good source there,
// until it is proved there.
func TestPointToPointNameIsUsedAgain(t *testing.T) {
	const (
		checked, hairpin = "element checked ppp0", "element hairpin ppp0"
		source, loop     = "element source-link ppp0 2001:db8:100::/56", "element loop-point ppp0 2001:db8:100::/56"
		live             = "route 2001:db8:100::/56 via fe80::1 dev 6 table 254 metric 1024"
		standIn          = "route unreachable 2001:db8:100::/56 table 254 metric 1024"
	)
	change := func(by func(*links.Link)) links.Link {
		l := ppp
		by(&l)
		return l
	}
	down := change(func(l *links.Link) { l.Up, l.Running = false, false })
	dark := change(func(l *links.Link) { l.Running = false })
	for name, between := range map[string]func(s *State, k *kernel) links.Link{
		"made anew": func(s *State, k *kernel) links.Link {
			follow(t, k, s.RemoveLink(nil, "ppp0"))
			return change(func(l *links.Link) { l.Index = 9 })
		},
		"made anew, the same index": func(s *State, k *kernel) links.Link { follow(t, k, s.RemoveLink(nil, "ppp0")); return ppp },
		"another index at once":     func(*State, *kernel) links.Link { return change(func(l *links.Link) { l.Index = 9 }) },
		"down and up":               func(s *State, k *kernel) links.Link { follow(t, k, s.SetLink(nil, &down)); return ppp },
		"carrier lost":              func(s *State, k *kernel) links.Link { follow(t, k, s.SetLink(nil, &dark)); return ppp },
		"carrier lost meanwhile":    func(*State, *kernel) links.Link { return change(func(l *links.Link) { l.CarrierDowns++ }) },
	} {
		t.Run(name, func(t *testing.T) {
			s, k := with(t, ppp, filtered, granted)
			want(t, k, checked, hairpin, source, loop, live)
			back := between(s, k)
			follow(t, k, s.SetLink(nil, &back))
			want(t, k, checked, hairpin, standIn)
			if got := s.Counts().Unproved; got != 1 {
				t.Errorf("%d delegations unproved, want 1", got)
			}
			again := granted
			again.Link = "ppp0"
			follow(t, k, s.Put(nil, again)) // a change without the server's word
			want(t, k, checked, hairpin, standIn)
			again.Line = s.Line("ppp0")
			follow(t, k, s.Put(nil, again))
			if got := s.Counts().Unproved; got != 0 || k.routes["254 2001:db8:100::/56 1024"].Link != back.Index {
				t.Errorf("%d delegations unproved, routes %v", got, k.routes)
			}
		})
	}
}

// What happened on a line that is down proves nothing on the next one.
func TestGrantWhileTheLineIsDown(t *testing.T) {
	s, k := with(t, ppp, filtered, granted)
	down := ppp
	down.Up, down.Running = false, false
	follow(t, k, s.SetLink(nil, &down))
	late := granted
	late.Link, late.Line = "ppp0", s.Line("ppp0")
	follow(t, k, s.Put(nil, late))
	follow(t, k, s.SetLink(nil, &ppp))
	want(t, k, "element checked ppp0", "element hairpin ppp0", "route unreachable 2001:db8:100::/56 table 254 metric 1024")
}

// Addresses that come and go, and the MTU, do not make another line.
func TestTheSameLine(t *testing.T) {
	s, _ := with(t, ppp, filtered, granted)
	other := ppp
	other.MTU, other.Addrs = 1400, []netip.Prefix{netip.MustParsePrefix("fe80::10/128")}
	if ops := s.SetLink(nil, &other); len(ops) != 0 || s.Counts().Unproved != 0 {
		t.Errorf("operations %v, %d delegations unproved", ops, s.Counts().Unproved)
	}
}

// The operator may say that a name is never another customer's, or that the
// customers' addresses are fixed: then the address of the peer is a proof.
func TestReuse(t *testing.T) {
	const live = "route 2001:db8:100::/56 via fe80::1 dev 6 table 254 metric 1024"
	const standIn = "route unreachable 2001:db8:100::/56 table 254 metric 1024"
	for _, c := range []struct {
		reuse Reuse
		peers []netip.Addr
		want  string
	}{
		{ReusePossible, []netip.Addr{granted.NextHop}, standIn},
		{ReuseFixedAddresses, nil, standIn},
		{ReuseFixedAddresses, []netip.Addr{netip.MustParseAddr("fe80::2")}, standIn},
		{ReuseFixedAddresses, []netip.Addr{granted.NextHop}, live},
		{ReuseNever, nil, live},
	} {
		s, k := with(t, ppp, Policy{Reuse: c.reuse}, granted)
		follow(t, k, s.RemoveLink(nil, "ppp0"))
		follow(t, k, s.SetLink(nil, &ppp)) // the addresses come after the interface
		back := ppp
		back.Peers = c.peers
		follow(t, k, s.SetLink(nil, &back))
		want(t, k, c.want)
	}
}

// A delegation that is kept in the store, on an interface that is not there yet, has no
// element if it may be on a point-to-point one.
func TestDelegationBeforePointToPointLink(t *testing.T) {
	s, k := New(), newKernel()
	delegation := granted
	delegation.Link, delegation.LinkLayer = "ppp0", ppp.LinkLayer
	follow(t, k, s.Put(s.SetPolicy(nil, "ppp0", &filtered), delegation))
	const standIn = "route unreachable 2001:db8:100::/56 table 254 metric 1024"
	want(t, k, "element checked ppp0", "element hairpin ppp0", standIn)
	follow(t, k, s.SetLink(nil, &ppp))
	want(t, k, "element checked ppp0", "element hairpin ppp0", standIn)
}
