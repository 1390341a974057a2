package server6

import (
	"fmt"
	"net/netip"

	"fairlead/internal/app/api"
	"fairlead/internal/app/control"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/traffic"
	"fairlead/internal/wire/dhcp6"
)

// viewOf makes the status of the server, without its identity.
func viewOf(core *server6.Server) api.Server6 {
	t := core.Totals()
	v := api.Server6{
		Links: []api.Server6Link{}, Pools: []api.Server6Pool{},
		Server6Leases: api.Server6Leases{
			Prefixes: t.Prefixes, Addresses: t.Addresses, Declined: t.Declined, Untold: t.Untold, Pending: t.Pending, Unkept: t.Unkept, WaitForClock: t.WaitForClock,
			Events: t.Events, Ends: t.Ends, Refusals: t.Refusals,
		},
	}
	v.Agents, v.AgentsForgotten = core.Heard()
	v.Server6Counters = figuresOf(&core.Traffic().Counts, true)
	for _, l := range core.Links() {
		v.Links = append(v.Links, api.Server6Link{
			Name: l.Name, Up: l.Up, VRF: l.VRF, Network: l.Network, Prefixes: l.Prefixes, Addresses: l.Addresses, Server6Counters: figuresOf(&l.Counters, false),
		})
	}
	for _, p := range core.Pools() {
		v.Pools = append(v.Pools, api.Server6Pool(p))
	}
	return v
}

// agentsOf makes the list of the relay agents that were heard.
func agentsOf(core *server6.Server) (all []api.RelayAgent) {
	for _, x := range core.Agents() {
		all = append(all, api.RelayAgent{
			Peer: x.Peer, Nearest: x.Nearest, RelayID: api.Identifier(x.RelayID), Addresses: append([]netip.Addr{}, x.Addresses...), LinkAddresses: append([]netip.Addr{}, x.LinkAddresses...),
			Hops: x.Hops, First: x.First, Last: x.Last, Messages: x.Messages,
		})
	}
	return all
}

// totalsOf makes the server's totals for the status.
func totalsOf(core *server6.Server) *api.Server6Totals {
	t := core.Totals()
	totals := &api.Server6Totals{Prefixes: t.Prefixes, Addresses: t.Addresses}
	for _, l := range core.Links() {
		if core.Rule(l.Name) != nil {
			totals.Links++
		}
	}
	sum := core.Traffic()
	for i := range sum.Received {
		totals.Received += sum.Received[i]
		totals.Sent += sum.Sent[i]
	}
	for _, n := range sum.Drops {
		totals.Dropped += n
	}
	return totals
}

// figuresOf makes the counters that operators see. With all, it includes those that are 0.
func figuresOf(t *traffic.Counts, all bool) api.Server6Counters {
	c := api.Server6Counters{Received: typesOf(&t.Received, all), Sent: typesOf(&t.Sent, all), Drops: control.AllDrops(&t.Drops)}
	if !all {
		control.NonZero(c.Drops)
	}
	return c
}

// typesOf makes a map from the names of message types to their counts.
func typesOf(counts *[traffic.Types]uint64, all bool) map[string]uint64 {
	m := make(map[string]uint64)
	for t, n := range counts {
		if n > 0 || all && (t > 0 && t <= int(dhcp6.InformationRequest)) {
			m[dhcp6.MessageType(t).String()] = n
		}
	}
	return m
}

// wrong says in words what is wrong. Only the engine's loop calls it.
func wrong(core *server6.Server) (words []string) {
	t := core.Totals()
	if t.Unkept > 0 {
		words = append(words, fmt.Sprintf("store: %d DHCPv6 leases not kept yet", t.Unkept))
	}
	if t.Uninstalled > 0 {
		words = append(words, fmt.Sprintf("kernel: %d DHCPv6 leases without their route or filter element; the log says what the kernel did not take", t.Uninstalled))
	}
	for _, l := range core.Links() {
		if l.Up && l.Network == "" && core.Rule(l.Name) != nil {
			words = append(words, "link "+l.Name+": no subnet of server6 is for it: its clients get no answer")
		}
	}
	for _, p := range core.Pools() {
		if p.NearlyFull {
			one := api.Server6Pool(p)
			words = append(words, fmt.Sprintf("pool %s of subnet %s: %.0f %% taken", one.Name(), p.Subnet, 100*float64(p.Taken)/float64(p.Size)))
		}
	}
	return words
}
