package metrics

import (
	"runtime"
	"slices"
	"time"

	"fairlead/internal/app/api"
)

// relayMetric is a metric of the relay.
type relayMetric = metric[api.Counters]

// relayMetrics are all that the relay has. Names and labels are an interface:
// testdata/metrics.txt lists them, and a change there is a change for operators.
var relayMetrics = slices.Concat(processMetrics, linkMetrics, peerMetrics, relayProtection, stateMetrics, hostMetrics)

var processMetrics = []relayMetric{
	{
		"build_info", "The version that runs; always 1.", gauge,
		[]string{"version", "go"},
		func(c *api.Counters, emit emit) { emit(1, c.Version, runtime.Version()) },
	},
	{
		"relay_id_info", "The relay-id in use, in hexadecimal with colons; always 1.", gauge,
		[]string{"relay_id"},
		func(c *api.Counters, emit emit) { emit(1, c.RelayID.String()) },
	},
	{
		"start_time_seconds", "When the process started, in seconds since 1970.", gauge, nil,
		instant(func(c *api.Counters) time.Time { return c.Started }),
	},
	{
		"degraded_reasons", "How many things do not work as they should; fairlead status says which.", gauge, nil,
		one(func(c *api.Counters) int { return c.Degraded }),
	},
	{
		"clock_synchronised", "1 if the kernel says that its wall clock is synchronised (RFC 8987 O-3).", gauge, nil,
		flag(func(c *api.Counters) bool { return c.Clock.Synchronised }),
	},
	{
		"clock_offset_seconds", "What the kernel still has to correct of its wall clock.", gauge, nil,
		one(func(c *api.Counters) float64 { return float64(c.Clock.OffsetNanos) / 1e9 }),
	},
	{
		"clock_max_error_seconds", "The kernel's upper bound for the error of its wall clock.", gauge, nil,
		one(func(c *api.Counters) float64 { return float64(c.Clock.MaxErrorMicros) / 1e6 }),
	},
	{
		"config_reloads_total", "Reloads of the configuration: done, or refused because of its problems.", counter,
		[]string{"outcome"},
		func(c *api.Counters, emit emit) {
			emit(float64(c.Config.Reloads), "done")
			emit(float64(c.Config.ReloadsRefused), "refused")
		},
	},
	{
		"config_last_reload_successful", "1 unless the last reload of the configuration was refused.", gauge, nil,
		flag(func(c *api.Counters) bool { return !c.Config.LastRefused }),
	},
	{
		"config_last_reload_timestamp_seconds", "When a reload of the configuration was last tried; absent if never.", gauge, nil,
		instant(func(c *api.Counters) time.Time { return c.Config.LastReload }),
	},
	{
		"config_loaded_timestamp_seconds", "When the configuration that runs was read.", gauge, nil,
		instant(func(c *api.Counters) time.Time { return c.Config.Loaded }),
	},
	{
		"hook_runs_total", "Runs of the hook program.", counter,
		[]string{"outcome"},
		func(c *api.Counters, emit emit) {
			emit(float64(c.Hook.Succeeded), "succeeded")
			emit(float64(c.Hook.Failed), "failed")
		},
	},
	{
		"hook_events_dropped_total", "Events for which the queue of the hook program had no room.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Hook.Dropped }),
	},
	{
		"hook_events_waiting", "Events that wait for the hook program.", gauge, nil,
		one(func(c *api.Counters) int { return c.Hook.Waiting }),
	},
	{
		"panics_total", "Datagrams that cost a rebuild of the relay's state: each is a defect to report.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Panics }),
	},
	{
		"events_lost_total", "Events that readers of watch and trace were too slow for.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.EventsLost }),
	},
}

var linkMetrics = []relayMetric{
	{
		"delegations", "Live delegated prefixes and assigned addresses.", gauge,
		[]string{"link", "kind"},
		eachClientLink(func(l *api.LinkCounts, emit emit) {
			emit(float64(l.Prefixes), l.Link, "prefix")
			emit(float64(l.Addresses), l.Link, "address")
		}),
	},
	{
		"link_up", "1 if a client-facing link is up and has a carrier.", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(truth(l.Up), l.Link) }),
	},
	{
		"link_delegations_limit", "How many delegated prefixes a client-facing link may have (limits.link).", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Limit), l.Link) }),
	},
	{
		"link_client_limit", "How many delegated prefixes one client of a link may have (limits.client).", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.ClientLimit), l.Link) }),
	},
	{
		"link_client_delegations_max", "The most delegated prefixes that one client of a link has.", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Use.ClientMost), l.Link) }),
	},
	{
		"link_clients_at_limit", "Clients of a link that have as many delegated prefixes as limits.client allows.", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Use.ClientsFull), l.Link) }),
	},
	{
		"link_host_limit", "How many delegated prefixes may be behind one link-layer address of a link (limits.per-mac); 0: any number.", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.HostLimit), l.Link) }),
	},
	{
		"link_host_delegations_max", "The most delegated prefixes that are behind one link-layer address of a link; 0 where limits.per-mac does not apply.", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Use.HostMost), l.Link) }),
	},
	{
		"link_hosts_at_limit", "Link-layer addresses of a link behind which are as many delegated prefixes as limits.per-mac allows.", gauge,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Use.HostsFull), l.Link) }),
	},
	{
		"messages_total", "Messages received from clients and relays below, and delivered to them.", counter,
		[]string{"direction", "type"},
		func(c *api.Counters, emit emit) {
			spread(c.Sum.Received, emit, "received")
			spread(c.Sum.Delivered, emit, "delivered")
		},
	},
	{
		"link_messages_total", "The same on one link.", counter,
		[]string{"link", "direction", "type"},
		eachLink(func(l *api.LinkCounts, emit emit) {
			spread(l.Received, emit, l.Link, "received")
			spread(l.Delivered, emit, l.Link, "delivered")
		}),
	},
	{
		"drops_total", "Discarded datagrams, of clients, relays and servers.", counter,
		[]string{"reason"},
		each(func(c *api.Counters) map[string]uint64 { return c.Sum.Drops }),
	},
	{
		"link_drops_total", "The same on one link, uplinks included; the link is empty for those of interfaces that are not known.", counter,
		[]string{"link", "reason"},
		func(c *api.Counters, emit emit) {
			for i := range c.Links {
				spread(c.Links[i].Drops, emit, c.Links[i].Link)
			}
			spread(c.Unknown, emit, "")
		},
	},
	{
		"link_refusals_total", "Grants of servers that were not learned, by link.", counter,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Refused), l.Link) }),
	},
	{
		"link_sensitive_omitted_total", "Relay-forwards that went without options which only protected peers may see (RFC 8213 section 3).", counter,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.SensitiveOmitted), l.Link) }),
	},
	{
		"link_spoofed_packets_total", "Packets that the filter dropped for their source, by link (RFC 8987 R-3).", counter,
		[]string{"link"},
		eachClientLink(func(l *api.LinkCounts, emit emit) { emit(float64(l.Spoofed), l.Link) }),
	},
	{
		"refusals_total", "Grants of servers that were not learned, and Releases that were not believed, by reason.", counter,
		[]string{"reason"},
		each(func(c *api.Counters) map[string]uint64 { return c.Sum.Refusals }),
	},
}

var peerMetrics = []relayMetric{
	{
		"peer_messages_total", "Messages sent to and received from a peer.", counter,
		[]string{"peer", "direction"},
		eachPeer(func(p *api.PeerCounts, emit emit) {
			emit(float64(p.Sent), p.Peer, "sent")
			emit(float64(p.Received), p.Peer, "received")
		}),
	},
	{
		"peer_messages_since_answer", "Messages sent to a peer since the last one that came back.", gauge,
		[]string{"peer"},
		eachPeer(func(p *api.PeerCounts, emit emit) { emit(float64(p.SinceAnswer), p.Peer) }),
	},
	{
		"peer_silent", "1 if nothing comes from a server although it owes answers.", gauge,
		[]string{"peer"},
		eachPeer(func(p *api.PeerCounts, emit emit) { emit(truth(p.Silent), p.Peer) }),
	},
	{
		"peer_unreachable_total", "Errors from the network (ICMPv6) about messages to a peer.", counter,
		[]string{"peer"},
		eachPeer(func(p *api.PeerCounts, emit emit) { emit(float64(p.Unreachable), p.Peer) }),
	},
	{
		"peer_last_received_timestamp_seconds", "When a peer was last heard; absent if never.", gauge,
		[]string{"peer"},
		eachPeer(func(p *api.PeerCounts, emit emit) { at(p.LastReceived, emit, p.Peer) }),
	},
}

func eachLink(read func(*api.LinkCounts, emit)) func(*api.Counters, emit) {
	return func(c *api.Counters, emit emit) {
		for i := range c.Links {
			read(&c.Links[i], emit)
		}
	}
}

func eachClientLink(read func(*api.LinkCounts, emit)) func(*api.Counters, emit) {
	return eachLink(func(l *api.LinkCounts, emit emit) {
		if l.ClientFacing {
			read(l, emit)
		}
	})
}

func eachPeer(read func(*api.PeerCounts, emit)) func(*api.Counters, emit) {
	return func(c *api.Counters, emit emit) {
		for i := range c.Peers {
			read(&c.Peers[i], emit)
		}
	}
}
