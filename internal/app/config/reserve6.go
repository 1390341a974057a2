package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"fairlead/internal/core/server6"
)

// Reserved6 is a reservation that an operator has made at run time.
type Reserved6 struct {
	Name   string       // in problems
	Subnet netip.Prefix // of the file
	Text   string       // a mapping, such as the reservations of the file are
}

// SubnetOf returns the subnet that an address lies in, or whose pd-pool a prefix lies in; invalid if
// there is none.
func (s *Server6) SubnetOf(p netip.Prefix) netip.Prefix {
	for _, n := range slices.Concat(s.Subnets, s.Shared) {
		for i := range n.Subnets {
			sn := &n.Subnets[i]
			if p.IsValid() && (sn.Prefix.Contains(p.Addr()) || slices.ContainsFunc(sn.PDPools, func(d server6.PrefixPool) bool { return d.Prefix.Contains(p.Addr()) })) {
				return sn.Prefix
			}
		}
	}
	return netip.Prefix{}
}

// Reserve returns the section with reservations that were made at run time, as if they stood in the
// file after all that it has. The checks are those of the file. refused says of each why it is left
// out; nil: it is not.
func (s *Server6) Reserve(all []Reserved6) (with *Server6, refused []error) {
	if len(all) == 0 {
		return s, nil
	}
	c := *s
	c.Subnets, c.Shared = withOwnReservations(s.Subnets), withOwnReservations(s.Shared)
	p := *s.plan
	p.clients = maps.Clone(p.clients)
	taken, pools := rasterOf(p.reserved), rasterOf(p.pools)
	refused = make([]error, len(all))
	for i := range all {
		r := &all[i]
		at := slices.IndexFunc(s.plan.subnets, func(x span) bool { return x.first == r.Subnet.Addr() && x.bits == r.Subnet.Bits() })
		if at < 0 {
			refused[i] = errors.New(r.Name + ": outside of every subnet (one of server6, and addresses of it)")
			continue
		}
		p.subnets, p.networks, p.reserved = s.plan.subnets[:at+1], s.plan.subnets[at].network, nil
		d := newDecoder(r.Name)
		d.spoken = true
		body, ok := d.document([]byte(r.Text))
		if !ok || body == nil {
			refused[i] = errors.New(r.Name + ": not a reservation")
			continue
		}
		got := p.reservation(Value{d: d, node: body, path: r.Name}, r.Subnet)
		taken = p.fit(taken, pools)
		if refused[i] = refusal(d); refused[i] == nil {
			sn := c.subnetOf(r.Subnet)
			sn.Reservations = append(sn.Reservations, got)
		}
	}
	return &c, refused
}

// fit checks the leases of the reservation that was read last, and adds them to what is reserved
// unless there is a problem.
func (p *plan6) fit(taken, pools raster) raster {
	if len(p.reserved) == 0 {
		return taken
	}
	d := p.reserved[0].at.d
	rasterOf(p.reserved).overlaps(reservedTwice)
	for _, x := range p.reserved {
		if other, in := taken.meeting(x); in {
			reservedTwice(other, x)
		}
		if pool, in := pools.meeting(x); in {
			x.checkPool(pool)
		}
	}
	if len(d.problems) > 0 {
		return taken
	}
	for _, x := range p.reserved {
		i, _ := slices.BinarySearchFunc(taken, x, func(a, b span) int { return a.first.Compare(b.first) })
		taken = slices.Insert(taken, i, x)
	}
	return taken
}

// refusal returns the problems of what an operator has said; nil if there is none.
func refusal(d *decoder) error {
	if len(d.problems) == 0 {
		return nil
	}
	var all []string
	for _, p := range d.problems {
		all = append(all, fmt.Sprintf("%s: %s", p.Path, p.Text))
	}
	return errors.New(strings.Join(all, "; "))
}

// withOwnReservations returns networks whose reservations can be added to.
func withOwnReservations(all []server6.Network) []server6.Network {
	all = slices.Clone(all)
	for i := range all {
		all[i].Subnets = slices.Clone(all[i].Subnets)
		for j := range all[i].Subnets {
			sn := &all[i].Subnets[j]
			sn.Reservations = slices.Clip(sn.Reservations)
		}
	}
	return all
}

// subnetOf returns the subnet with a prefix.
func (s *Server6) subnetOf(p netip.Prefix) *server6.Subnet {
	for _, some := range [][]server6.Network{s.Subnets, s.Shared} {
		for i := range some {
			for j := range some[i].Subnets {
				if sn := &some[i].Subnets[j]; sn.Prefix == p {
					return sn
				}
			}
		}
	}
	return nil
}
