package api

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Status is the status of the process.
type Status struct {
	Version   string            `json:"version"`
	Started   time.Time         `json:"started"`
	Uptime    Lifetime          `json:"uptime"`
	Roles     []string          `json:"roles"`                 // roles that the process plays, by name
	RelayID   Identifier        `json:"relay_id,omitempty"`    // DUID of the relay in DHCPv6
	RelayIDv4 Identifier        `json:"relay_id_v4,omitempty"` // the same in DHCPv4
	Config    ConfigStatus      `json:"config"`
	Clock     ClockStatus       `json:"clock"`
	Store     StoreStatus       `json:"store"`
	Host      HostStatus        `json:"host"`
	Peers     []PeerSummary     `json:"peers"`
	Totals    Totals            `json:"totals"`
	Refusals  map[string]uint64 `json:"refusals"` // grants that were not learned, and Releases that were not believed, by reason
	// Unmatched are links with delegations that no rule matches: these delegations have neither
	// route nor filter.
	Unmatched []LinkHoldings `json:"unmatched"`
	Limits    []LimitMet     `json:"limits"` // limits that somebody has run into, and that are still full
	// Spoofed are links on which packets were dropped for their source in the last ten minutes.
	Spoofed []SpoofedOn `json:"spoofed"`
	// ForeignRoutes are routes of other programs that take packets away from clients.
	ForeignRoutes []ForeignRoute `json:"foreign_routes"`
	// RefusedGrants are the grants that were not learned in the last ten minutes, except those
	// that a limit refused.
	RefusedGrants []RefusedGrants `json:"refused_grants"`
	Relay4        *Relay4Totals   `json:"relay4,omitempty"`  // absent where the DHCPv4 relay is not played
	Server6       *Server6Totals  `json:"server6,omitempty"` // absent where the DHCPv6 server is not played
	// Degraded says in words what does not work as it should; empty: everything does.
	Degraded []string `json:"degraded"`
}

// Wrong is how many things are not as they should be.
func (s *Status) Wrong() int {
	return len(s.Degraded) + len(s.Limits) + len(s.Spoofed) + len(s.RefusedGrants) + len(s.ForeignRoutes)
}

// Reasons says in words what is not as it should be, without naming a client.
func (s *Status) Reasons() []string {
	all := slices.Clone(s.Degraded)
	for _, few := range []struct {
		n    int
		what string
	}{{len(s.Limits), "limits are met"}, {len(s.RefusedGrants), "kinds of grants are refused"}, {len(s.Spoofed), "links with spoofed packets"}, {len(s.ForeignRoutes), "routes of others take clients' packets away"}} {
		if few.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", few.n, few.what))
		}
	}
	return all
}

// SpoofedOn is a link on which packets were dropped for their source.
type SpoofedOn struct {
	Link    string        `json:"link"`
	Packets uint64        `json:"packets"` // since the filter table was made
	Last    SpoofedSource `json:"last"`
}

// ForeignRoute is a route of another program that takes packets away from a client. It is for the
// client's prefix, with the same metric as ours or a lower one; or it is for a part of that
// prefix and leads elsewhere.
type ForeignRoute struct {
	Destination netip.Prefix `json:"destination"`
	Protocol    string       `json:"protocol"` // name of the protocol as ip prints it
	Kind        string       `json:"kind"`     // "unicast", "unreachable", "blackhole", "prohibit"
	Device      string       `json:"device,omitempty"`
	Gateway     netip.Addr   `json:"gateway,omitzero"`
	Metric      uint32       `json:"metric"`
	Table       uint32       `json:"table"`
	Link        string       `json:"link"`   // link of the client that loses packets
	Client      Identifier   `json:"client"` // empty: not known, because the grant could not be installed
	Prefix      netip.Prefix `json:"prefix"` // the client's prefix
}

// RefusedGrants are grants on one link that were not learned for one reason.
type RefusedGrants struct {
	Link   string       `json:"link"`
	Reason string       `json:"reason"`
	Times  uint64       `json:"times"`            // since the last pause of ten minutes
	Prefix netip.Prefix `json:"prefix"`           // of the last grant
	Detail string       `json:"detail,omitempty"` // what was in the way of the last grant, "covers 2001:db8::/64 of up0"
	Last   time.Time    `json:"last"`
}

// LimitMet is a limit that somebody has run into, and that is still full.
type LimitMet struct {
	Limit     string     `json:"limit"` // limit-client, limit-link or limit-host
	Link      string     `json:"link"`
	Client    Identifier `json:"client"`               // client that ran into it last
	LinkLayer string     `json:"link_layer,omitempty"` // of the host, where the limit is that of a client or host
	Last      time.Time  `json:"last"`
	Times     uint64     `json:"times"`
}

// ConfigStatus tells which configuration is in use.
type ConfigStatus struct {
	Path   string    `json:"path"`
	Loaded time.Time `json:"loaded" gauge:"config_loaded_timestamp_seconds" help:"When the configuration that runs was read."`
	// LastError is why the last reload was refused; empty: it was not refused.
	LastError string `json:"last_error,omitempty"`
}

// ClockStatus is what the kernel says of its wall clock (RFC 8987 O-3).
type ClockStatus struct {
	Clock
	Error string `json:"error,omitempty"` // why the kernel could not be asked
}

// Clock is the kernel's answer.
type Clock struct {
	Synchronised   bool   `json:"synchronised" gauge:"clock_synchronised" help:"1 if the kernel says that its wall clock is synchronised (RFC 8987 O-3)."`
	State          string `json:"state"`
	OffsetNanos    int64  `json:"offset_nanos"`
	MaxErrorMicros int64  `json:"max_error_micros"`
	EstErrorMicros int64  `json:"est_error_micros"`
}

// StoreStatus is the health of the store.
type StoreStatus struct {
	Healthy           bool     `json:"healthy" gauge:"store_healthy" help:"1 if the store takes writes and its disk has room."`
	Full              bool     `json:"full" gauge:"store_full" help:"1 if less than the reserve is free on the store's disk."`
	DiskBytes         uint64   `json:"disk_bytes" gauge:"store_disk_bytes" help:"Size of the store."`
	Commits           uint64   `json:"commits" counter:"store_commits_total" help:"Commits since the start."`
	Failures          uint64   `json:"failures" counter:"store_errors_total" help:"Commits that failed, and losses of the disk, since the start."`
	RecordsSetAside   uint64   `json:"records_set_aside" gauge:"store_records_set_aside" help:"Damaged records that were set aside, ever."`
	DatabasesSetAside []string `json:"databases_set_aside,omitempty"`
	CommitsLost       uint64   `json:"commits_lost" gauge:"store_commits_lost" help:"Commits that were kept before this start, and were not there any more."`
	LastError         string   `json:"last_error,omitempty"`
}

// HostStatus tells what is wanted of the kernel, and what the last comparison found.
type HostStatus struct {
	HostCounts
	OrphansEnd     time.Time `json:"orphans_end,omitzero"`
	LastComparison time.Time `json:"last_comparison,omitzero" gauge:"host_compared_timestamp_seconds" help:"When the kernel was last compared with what is wanted; absent if never."`
	LastFindings   int       `json:"last_findings"` // differences that the last comparison found
}

// HostCounts count what is wanted of the kernel.
type HostCounts struct {
	Links       int `json:"links"`
	Delegations int `json:"delegations"`
	Routes      int `json:"routes" gauge:"host_routes" help:"Routes that are wanted of the kernel."`
	StandIns    int `json:"stand_ins" gauge:"host_stand_ins" help:"Of these, unreachable routes in place of a delegation's own (RFC 8987 S-2)."`
	Elements    int `json:"elements" gauge:"host_elements" help:"Filter elements that are wanted of the kernel."`
	Refused     int `json:"refused" gauge:"host_routes_refused" help:"Delegations whose route the kernel does not take now."`
	Unproved    int `json:"unproved" gauge:"host_unproved" help:"Delegations on point-to-point links that may be another client's by now: without route and filter element until the server renews them (RFC 8987 R-3)."`
	Orphans     int `json:"orphans" gauge:"host_orphans" help:"Prefixes that are routed and that the store does not explain."`
}

// PeerSummary is a peer's part of the Status.
type PeerSummary struct {
	PeerProtection
	Answered    bool      `json:"answered"`
	SilentSince time.Time `json:"silent_since,omitzero"` // nothing has come since, although the server owes answers
}

// Summary is the peer's part of the Status.
func (p *Peer) Summary() PeerSummary {
	return PeerSummary{PeerProtection: p.PeerProtection, Answered: p.Answered, SilentSince: p.SilentSince}
}

// Totals are figures of the relay as a whole.
type Totals struct {
	Figures
	Progress
	UnknownDrops uint64 `json:"unknown_drops"`  // datagrams that were dropped from interfaces that are not known
	Refusals     uint64 `json:"grants_refused"` // grants that were not learned
}

// Figures are numbers of the relay's core.
type Figures struct {
	Links         int    `json:"links"`
	Prefixes      int    `json:"prefixes"`
	Addresses     int    `json:"addresses"`
	WaitForProbe  int    `json:"wait_for_probe" gauge:"replies_waiting_for_probe" help:"Replies that wait until an old next hop was probed."`
	WaitForClock  int    `json:"wait_for_clock" gauge:"delegations_waiting_for_clock" help:"Restored delegations that wait for a trustworthy clock."`
	Neighbours    int    `json:"neighbours" gauge:"neighbours" help:"Remembered link-layer addresses of clients."`
	ServerUnicast uint64 `json:"server_unicast" counter:"server_unicast_total" help:"Replies whose Server Unicast option lets clients pass the relay by."`
}

// Progress counts Changes that are being kept and installed, and those that failed.
type Progress struct {
	Pending       int    `json:"pending" gauge:"changes_pending" help:"Changes of delegations that are being kept or installed."`
	Unkept        int    `json:"unkept" gauge:"records_unkept" help:"Records that the store has not got."`
	Uninstalled   int    `json:"uninstalled"` // delegations without route or filter element, because the kernel did not take it
	KeepFailed    uint64 `json:"keep_failed" counter:"keep_failures_total" help:"Changes that the store did not take."`
	InstallFailed uint64 `json:"install_failed" counter:"install_failures_total" help:"Operations that the kernel did not take."`
}
