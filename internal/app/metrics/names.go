package metrics

import (
	"runtime"
	"slices"

	"fairlead/internal/app/api"
)

// relayMetric is a metric of the relay.
type relayMetric = metric[api.Counters]

// relayMetrics are all metrics of the relay. Their names and labels are an interface:
// testdata/metrics.txt lists them, and a change there is a change for operators.
var relayMetrics = slices.Concat(tagged[api.Counters](), processMetrics, trafficMetrics,
	eachOf("link", clientLinks, append(tagged[api.Link](), linkUp)), eachOf("peer", peers, append(tagged[api.Peer](), peerSilent)), relayProtection)

var processMetrics = []relayMetric{
	{
		"build_info", "The version that runs; always 1.", gauge,
		[]string{"version", "go"},
		func(c *api.Counters, emit emit) { emit(1, c.Version, runtime.Version()) },
	},
	{
		"relay_id_info", "The relay-id in use by family (dhcp4, dhcp6), in hexadecimal with colons; always 1.", gauge,
		[]string{"family", "relay_id"},
		func(c *api.Counters, emit emit) {
			if c.RelayIDv4 != "" {
				emit(1, "dhcp4", c.RelayIDv4.String())
			}
			if c.RelayID != "" {
				emit(1, "dhcp6", c.RelayID.String())
			}
		},
	},
	{
		"clock_offset_seconds", "What the kernel still has to correct of its wall clock.", gauge, nil,
		func(c *api.Counters, emit emit) { emit(float64(c.Clock.OffsetNanos) / 1e9) },
	},
	{
		"clock_max_error_seconds", "The kernel's upper bound for the error of its wall clock.", gauge, nil,
		func(c *api.Counters, emit emit) { emit(float64(c.Clock.MaxErrorMicros) / 1e6) },
	},
	{
		"config_last_reload_successful", "1 unless the last reload of the configuration was refused.", gauge, nil,
		func(c *api.Counters, emit emit) { emit(truth(c.Config.LastError == "")) },
	},
}

// trafficMetrics are the metrics of all links, uplinks included.
var trafficMetrics = []relayMetric{
	{
		"link_messages_total", "Messages received from clients and relays below, and delivered to them, by link.", counter,
		[]string{"link", "direction", "type"},
		func(c *api.Counters, emit emit) {
			for i := range c.Links {
				l := &c.Links[i]
				spread(l.Counters.Received, emit, l.Name, "received")
				spread(l.Counters.Delivered, emit, l.Name, "delivered")
			}
		},
	},
	{
		"link_drops_total", "Discarded datagrams by link, uplinks included; the link is empty for those of interfaces that are not known.", counter,
		[]string{"link", "reason"},
		func(c *api.Counters, emit emit) {
			for i := range c.Links {
				spread(c.Links[i].Counters.Drops, emit, c.Links[i].Name)
			}
			spread(c.Unknown, emit, "")
		},
	},
}

func clientLinks(c *api.Counters, do func(string, *api.Link)) {
	for i := range c.Links {
		if l := &c.Links[i]; l.ClientFacing {
			do(l.Name, l)
		}
	}
}

var linkUp = metric[api.Link]{
	"link_up", "1 if a client-facing link is up and has a carrier.", gauge, nil,
	func(l *api.Link, emit emit) { emit(truth(l.Up && l.Running)) },
}

func peers(c *api.Counters, do func(string, *api.Peer)) {
	for i := range c.Peers {
		do(c.Peers[i].Name, &c.Peers[i])
	}
}

var peerSilent = metric[api.Peer]{
	"peer_silent", "1 if nothing comes from a server although it owes answers.", gauge, nil,
	func(p *api.Peer, emit emit) { emit(truth(!p.SilentSince.IsZero())) },
}
