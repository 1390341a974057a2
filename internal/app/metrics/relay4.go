package metrics

import (
	"slices"

	"fairlead/internal/app/api"
)

// relay4Metrics are all metrics that only the DHCPv4 relay has; testdata/relay4-metrics.txt lists
// them.
var relay4Metrics = slices.Concat(tagged[api.Relay4](), eachOf("link", relay4Links, []metric[api.Relay4Link]{
	{
		"relay4_link_up", "1 if a link with clients of DHCPv4 is up.", gauge, nil,
		func(l *api.Relay4Link, emit emit) { emit(truth(l.Up)) },
	},
	{
		"relay4_link_leases", "DHCPv4 leases on view, by link.", gauge, nil,
		func(l *api.Relay4Link, emit emit) { emit(float64(l.Leases)) },
	},
	{
		"relay4_link_messages_total", "DHCPv4 messages received from clients and relay agents below, and delivered to them, by link.", counter,
		[]string{"direction", "type"},
		func(l *api.Relay4Link, emit emit) {
			spread(l.Received, emit, "received")
			spread(l.Delivered, emit, "delivered")
		},
	},
	{
		"relay4_link_drops_total", "DHCPv4 messages that were discarded, by link.", counter,
		[]string{"reason"},
		func(l *api.Relay4Link, emit emit) { spread(l.Drops, emit) },
	},
	{
		"relay4_link_spoofed_packets_total", "Packets that the filter dropped for their source, of both families, by link.", counter, nil,
		func(l *api.Relay4Link, emit emit) { emit(float64(l.Spoofed)) },
	},
}))

func relay4Links(r *api.Relay4, do func(string, *api.Relay4Link)) {
	for i := range r.Links {
		do(r.Links[i].Name, &r.Links[i])
	}
}
