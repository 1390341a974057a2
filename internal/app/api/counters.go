package api

import "time"

// Counters are the figures behind the metrics, at one moment. The number of entries of each list
// is bounded by the configuration and the host.
type Counters struct {
	Version   string
	RelayID   Identifier // DUID of the relay in DHCPv6; empty: no role has one
	RelayIDv4 Identifier // the same in DHCPv4
	Started   time.Time  `gauge:"start_time_seconds" help:"When the process started, in seconds since 1970."`
	Clock     ClockStatus
	Store     StoreStatus
	Host      HostStatus
	Totals    Totals
	Links     []Link // client-facing links, and other links on which something was counted
	Peers     []Peer
	Unmatched []LinkHoldings    // links with delegations that no rule matches
	Unknown   map[string]uint64 // datagrams that were dropped from interfaces that are not known, by reason
	Sum       TrafficCounts     // all links that ever were, and unknown interfaces
	Socket    SocketCounters
	Hook      HookCounters
	Config    ConfigCounters

	Strangers Traffic // relayed messages whose sender is no peer, which the guard table stopped

	FilterDrops  map[string]uint64 `counter:"filter_dropped_packets_total" by:"reason" help:"Packets that the kernel's filter dropped (RFC 8987 R-3, R-5)."`
	HostFindings map[string]uint64 `counter:"host_findings_total" by:"reason" help:"Differences that comparisons of the kernel have found and mended."` // "missing", "changed", "left-over"
	Panics       uint64            `counter:"panics_total" help:"Datagrams that cost a rebuild of the relay's state: each is a defect to report."`
	EventsLost   uint64            `counter:"events_lost_total" help:"Events that readers of watch and trace were too slow for."`
	Degraded     int               `gauge:"degraded_reasons" help:"How many things do not work as they should; fairlead status says which."` // Status.Wrong
}

// TrafficCounts are figures of the whole process. Every type and reason that there is has an
// entry from the start.
type TrafficCounts struct {
	Received  map[string]uint64 `counter:"messages_total" labels:"direction=received" by:"type" help:"Messages received from clients and relays below, and delivered to them."`
	Delivered map[string]uint64 `counter:"messages_total" labels:"direction=delivered" by:"type"`
	Drops     map[string]uint64 `counter:"drops_total" by:"reason" help:"Discarded datagrams, of clients, relays and servers."`
	Refusals  map[string]uint64 `counter:"refusals_total" by:"reason" help:"Grants of servers that were not learned, and Releases that were not believed, by reason."`
}

// Use tells how many of the prefixes that the limits of one link permit are in use.
type Use struct {
	ClientMost  int `gauge:"link_client_delegations_max" help:"The most delegated prefixes that one client of a link has."`
	ClientsFull int `gauge:"link_clients_at_limit" help:"Clients of a link that have as many delegated prefixes as limits.client allows."`
	HostMost    int `gauge:"link_host_delegations_max" help:"The most delegated prefixes that are behind one link-layer address of a link; 0 where limits.per-mac does not apply."`
	HostsFull   int `gauge:"link_hosts_at_limit" help:"Link-layer addresses of a link behind which are as many delegated prefixes as limits.per-mac allows."`
}

// SocketCounters count the datagrams that our sockets passed and discarded.
type SocketCounters struct {
	Received map[string]uint64 `counter:"socket_datagrams_total" labels:"direction=received" by:"path" help:"Datagrams that our sockets passed, by path (frame, socket)."`
	Sent     map[string]uint64 `counter:"socket_datagrams_total" labels:"direction=sent" by:"path"`
	Drops    map[string]uint64 `counter:"socket_drops_total" by:"reason" help:"Datagrams that our sockets discarded before the relay saw them, or could not send."` // "bad-checksum", "queue-full", "flood-queue-full", ...
}

// HookCounters count the runs of the hook program.
type HookCounters struct {
	Succeeded uint64 `counter:"hook_runs_total" labels:"outcome=succeeded" help:"Runs of the hook program."`
	Failed    uint64 `counter:"hook_runs_total" labels:"outcome=failed"` // the program ended with an error, took too long, or did not start
	Dropped   uint64 `counter:"hook_events_dropped_total" help:"Events for which the queue of the hook program had no room."`
	Waiting   int    `gauge:"hook_events_waiting" help:"Events that wait for the hook program."`
}

// ConfigCounters count the reloads of the configuration.
type ConfigCounters struct {
	ConfigStatus
	Reloads        uint64    `counter:"config_reloads_total" labels:"outcome=done" help:"Reloads of the configuration: done, or refused because of its problems."` // that succeeded
	ReloadsRefused uint64    `counter:"config_reloads_total" labels:"outcome=refused"`
	LastReload     time.Time `gauge:"config_last_reload_timestamp_seconds" help:"When a reload of the configuration was last tried; absent if never."`
}
