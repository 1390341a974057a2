package metrics

import (
	"time"

	"fairlead/internal/app/api"
)

var stateMetrics = []relayMetric{
	{
		"changes_pending", "Changes of delegations that are being kept or installed.", gauge, nil,
		one(func(c *api.Counters) int { return c.Totals.Pending }),
	},
	{
		"records_unkept", "Records that the store has not got.", gauge, nil,
		one(func(c *api.Counters) int { return c.Totals.Unkept }),
	},
	{
		"replies_held", "Replies that wait until an old next hop was probed.", gauge, nil,
		one(func(c *api.Counters) int { return c.Totals.Held }),
	},
	{
		"delegations_held_by_clock", "Restored delegations that wait for a trustworthy clock.", gauge, nil,
		one(func(c *api.Counters) int { return c.Totals.HeldByClock }),
	},
	{
		"neighbours", "Remembered link-layer addresses of clients.", gauge, nil,
		one(func(c *api.Counters) int { return c.Totals.Neighbours }),
	},
	{
		"keep_failures_total", "Changes that the store did not take.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Totals.KeepFailed }),
	},
	{
		"install_failures_total", "Operations that the kernel did not take.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Totals.InstallFailed }),
	},
	{
		"server_unicast_total", "Replies whose Server Unicast option lets clients pass the relay by.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Totals.ServerUnicast }),
	},

	{
		"store_healthy", "1 if the store takes writes and its disk has room.", gauge, nil,
		flag(func(c *api.Counters) bool { return c.Store.Healthy }),
	},
	{
		"store_full", "1 if less than the reserve is free on the store's disk.", gauge, nil,
		flag(func(c *api.Counters) bool { return c.Store.Full }),
	},
	{
		"store_disk_bytes", "Size of the store.", gauge, nil,
		one(func(c *api.Counters) uint64 { return c.Store.DiskBytes }),
	},
	{
		"store_commits_total", "Commits since the start.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Store.Commits }),
	},
	{
		"store_errors_total", "Commits that failed, and losses of the disk, since the start.", counter, nil,
		one(func(c *api.Counters) uint64 { return c.Store.Failures }),
	},
	{
		"store_records_set_aside", "Damaged records that were set aside, ever.", gauge, nil,
		one(func(c *api.Counters) uint64 { return c.Store.RecordsSetAside }),
	},
	{
		"store_commits_lost", "Commits that were kept before this start, and were not there any more.", gauge, nil,
		one(func(c *api.Counters) uint64 { return c.Store.CommitsLost }),
	},
}

var hostMetrics = []relayMetric{
	{
		"host_routes", "Routes that are wanted of the kernel.", gauge, nil,
		one(func(c *api.Counters) int { return c.Host.Routes }),
	},
	{
		"host_stand_ins", "Of these, unreachable routes in place of a delegation's own (RFC 8987 S-2).", gauge, nil,
		one(func(c *api.Counters) int { return c.Host.StandIns }),
	},
	{
		"host_elements", "Filter elements that are wanted of the kernel.", gauge, nil,
		one(func(c *api.Counters) int { return c.Host.Elements }),
	},
	{
		"host_routes_refused", "Delegations whose route the kernel does not take now.", gauge, nil,
		one(func(c *api.Counters) int { return c.Host.Refused }),
	},
	{
		"host_unproved", "Delegations on point-to-point links that may be another client's by now: without route and filter element until the server renews them (RFC 8987 R-3).", gauge, nil,
		one(func(c *api.Counters) int { return c.Host.Unproved }),
	},
	{
		"host_orphans", "Prefixes that are routed and that the store does not explain.", gauge, nil,
		one(func(c *api.Counters) int { return c.Host.Orphans }),
	},
	{
		"host_audit_timestamp_seconds", "When the kernel was last compared with what is wanted; absent if never.", gauge, nil,
		instant(func(c *api.Counters) time.Time { return c.Host.LastAudit }),
	},
	{
		"host_findings_total", "Differences that audits of the kernel have found and mended.", counter,
		[]string{"reason"},
		each(func(c *api.Counters) map[string]uint64 { return c.HostFindings }),
	},
	{
		"filter_dropped_packets_total", "Packets that the kernel's filter dropped (RFC 8987 R-3, R-5).", counter,
		[]string{"reason"},
		func(c *api.Counters, emit emit) {
			emit(float64(c.Filter.Spoofed), "spoofed")
			emit(float64(c.Filter.SpoofedLinkLayer), "spoofed-link-layer")
			emit(float64(c.Filter.Looped), "looped")
			emit(float64(c.Filter.Rejected), "looped-rejected")
		},
	},
	{
		"socket_datagrams_total", "Datagrams that our sockets passed, by path (frame, socket).", counter,
		[]string{"direction", "path"},
		func(c *api.Counters, emit emit) {
			spread(c.Socket.Received, emit, "received")
			spread(c.Socket.Sent, emit, "sent")
		},
	},
	{
		"socket_drops_total", "Datagrams that our sockets discarded before the relay saw them, or could not send.", counter,
		[]string{"reason"},
		each(func(c *api.Counters) map[string]uint64 { return c.Socket.Drops }),
	},
}
