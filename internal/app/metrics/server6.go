package metrics

import (
	"slices"

	"fairlead/internal/app/api"
)

// server6Metrics are all that the DHCPv6 server has of its own; testdata/server6-metrics.txt
// lists them.
var server6Metrics = slices.Concat(tagged[api.Server6](), eachOf("link", server6Links, []metric[api.Server6Link]{
	{
		"server6_link_up", "1 if a link of the DHCPv6 server is up.", gauge, nil,
		func(l *api.Server6Link, emit emit) { emit(truth(l.Up)) },
	},
	{
		"server6_link_leases", "Leases of the DHCPv6 server, by link and kind.", gauge,
		[]string{"kind"},
		func(l *api.Server6Link, emit emit) {
			emit(float64(l.Prefixes), "prefix")
			emit(float64(l.Addresses), "address")
		},
	},
	{
		"server6_link_messages_total", "Messages that the DHCPv6 server has received and sent, by link.", counter,
		[]string{"direction", "type"},
		func(l *api.Server6Link, emit emit) {
			spread(l.Received, emit, "received")
			spread(l.Sent, emit, "sent")
		},
	},
	{
		"server6_link_drops_total", "Messages that the DHCPv6 server has discarded, by link.", counter,
		[]string{"reason"},
		func(l *api.Server6Link, emit emit) { spread(l.Drops, emit) },
	},
}), eachOf("pool", server6Pools, []metric[api.Server6Pool]{
	{
		"server6_pool_size", "How many of its smallest parts a pool of the DHCPv6 server has.", gauge, nil,
		func(p *api.Server6Pool, emit emit) { emit(float64(p.Size)) },
	},
	{
		"server6_pool_taken", "How many of its smallest parts are taken in a pool of the DHCPv6 server.", gauge, nil,
		func(p *api.Server6Pool, emit emit) { emit(float64(p.Taken)) },
	},
	{
		"server6_pool_nearly_full", "1 if 90 % of a pool of the DHCPv6 server are taken, until less than 80 % are.", gauge, nil,
		func(p *api.Server6Pool, emit emit) { emit(truth(p.NearlyFull)) },
	},
}))

func server6Links(s *api.Server6, do func(string, *api.Server6Link)) {
	for i := range s.Links {
		do(s.Links[i].Name, &s.Links[i])
	}
}

func server6Pools(s *api.Server6, do func(string, *api.Server6Pool)) {
	for i := range s.Pools {
		do(s.Pools[i].Name(), &s.Pools[i])
	}
}
