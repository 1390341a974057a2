package server6

import (
	"context"
	"fmt"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/server6"
	"fairlead/internal/wire/dhcp6"
)

// why explains what the server decides on a client.
func (d *player) why(ctx context.Context, of api.WhyQuestion) ([]api.WhyLink, error) {
	q := server6.Question{Client: dhcp6.DUID(of.Client), Link: of.Link, LinkAddress: of.LinkAddress, Prefix: of.Prefix}
	if err := q.Client.Valid(); err != nil {
		return nil, fmt.Errorf("%w: client: %w", control.ErrInvalid, err)
	}
	if of.Class != "" {
		q.Classes = []string{of.Class}
	}
	var all []server6.Explanation
	var wrong error
	if err := d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { all, wrong = d.Engine.Core.Explain(q) }); err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, fmt.Errorf("%w: %w", control.ErrNotFound, wrong)
	}
	answer := make([]api.WhyLink, len(all))
	for i := range all {
		answer[i] = whyOf(&all[i])
	}
	return answer, nil
}

func whyOf(e *server6.Explanation) api.WhyLink {
	w := api.WhyLink{
		Link: e.Link, Network: e.Network, Subnet: e.Subnet, Leased: e.Leased, Classes: e.Classes, Excludes: e.Excludes, TakenToBeBehind: e.TakenToBeBehind,
		Registered: e.Registered, IAs: []api.WhyIA{}, Refused: e.Obstacle.String(),
	}
	if e.Reservation != nil {
		v := reservationOf(e.Reservation)
		w.Reservation = &v
	}
	for i := range e.IAs {
		x := &e.IAs[i]
		in := api.WhyIA{Kind: x.Kind.String(), IAID: api.IAID{ID: x.IAID, Known: true}, Limit: x.Limit.String(), Leases: []api.WhyLease{}, Pools: []api.WhyPool{}}
		for _, l := range x.Leases {
			one := api.WhyLease{Prefix: l.Prefix, Subnet: l.Subnet, By: l.By.String(), Refused: l.Obstacle.String()}
			if l.Pool != nil {
				one.Pool = (*api.Server6Pool)(l.Pool).Name()
			}
			in.Leases = append(in.Leases, one)
		}
		for _, p := range x.Pools {
			in.Pools = append(in.Pools, api.WhyPool{Server6Pool: api.Server6Pool(p.Pool), Class: p.Class, Gives: p.Gives, Refused: p.Obstacle.String()})
		}
		w.IAs = append(w.IAs, in)
	}
	return w
}

// reservationOf is a reservation as the control interface shows it.
func reservationOf(v *server6.Reservation) api.Reservation {
	r := api.Reservation{
		DUID: api.Identifier(v.DUID), LinkLayer: v.LinkLayer.String(), RelayID: api.Identifier(v.RelayID), InterfaceID: api.Identifier(v.InterfaceID),
		Addresses: v.Addresses, Prefixes: v.Prefixes,
	}
	if id, err := dhcp6.ParseRemoteID(v.RemoteID); err == nil {
		r.RemoteID = &api.RemoteID{Enterprise: id.EnterpriseNumber, ID: api.Identifier(id.ID)}
	}
	return r
}
