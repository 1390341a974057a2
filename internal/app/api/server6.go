package api

import "net/netip"

// Server6 is the DHCPv6 server at a glance.
type Server6 struct {
	ServerID Identifier    `json:"server_id"`
	Links    []Server6Link `json:"links"` // those with clients of the server, and those on which relay agents are heard
	Pools    []Server6Pool `json:"pools"`
	Server6Leases
	Server6Counters
}

// Server6Totals is the DHCPv6 server's part in the Status.
type Server6Totals struct {
	Links     int    `json:"links"` // with clients
	Received  uint64 `json:"received"`
	Sent      uint64 `json:"sent"`
	Dropped   uint64 `json:"dropped"`
	Prefixes  int    `json:"prefixes"`
	Addresses int    `json:"addresses"`
}

// Server6Link is a link of the DHCPv6 server.
type Server6Link struct {
	Name      string `json:"name"`
	Up        bool   `json:"up"`
	VRF       string `json:"vrf,omitempty"`
	Network   string `json:"network,omitempty"` // of the clients that are on the link; empty: there is none
	Prefixes  int    `json:"prefixes"`          // leases on the link
	Addresses int    `json:"addresses"`
	Server6Counters
}

// Server6Pool is how far one pool is taken. It is of addresses, or of prefixes.
type Server6Pool struct {
	Network string       `json:"network"`
	Subnet  netip.Prefix `json:"subnet"`
	First   netip.Addr   `json:"first,omitzero"` // of a pool of addresses
	Last    netip.Addr   `json:"last,omitzero"`
	Prefix  netip.Prefix `json:"prefix,omitzero"` // of a pool of prefixes
	Size    uint64       `json:"size"`            // in the smallest parts that the pool gives; 2^64-1 where there are more
	Taken   uint64       `json:"taken"`
}

// Server6Counters are what the DHCPv6 server, or one of its links, has received, sent and discarded.
type Server6Counters struct {
	Received map[string]uint64 `json:"received" counter:"server6_received_messages_total" by:"type" help:"Messages of clients that reached the DHCPv6 server, by type."`
	Sent     map[string]uint64 `json:"sent" counter:"server6_sent_messages_total" by:"type" help:"Messages of the DHCPv6 server to clients, by type."`
	Drops    map[string]uint64 `json:"drops" counter:"server6_dropped_messages_total" by:"reason" help:"Messages that the DHCPv6 server has discarded, by reason."`
}

// Server6Leases are figures of the DHCPv6 server's leases.
type Server6Leases struct {
	Prefixes     int               `json:"prefixes" gauge:"server6_prefixes" help:"Prefixes that the DHCPv6 server has delegated."`
	Addresses    int               `json:"addresses" gauge:"server6_addresses" help:"Addresses that clients have of the DHCPv6 server."`
	Declined     int               `json:"declined" gauge:"server6_addresses_declined" help:"Addresses that clients have declined, and that nobody gets for a day."`
	Untold       uint64            `json:"assignments_refused" counter:"server6_assignments_refused_total" help:"Questions of relay agents for what a client has that were not answered, since the relay agent is not to be told."`
	Pending      int               `json:"pending" gauge:"server6_changes_pending" help:"Changes of the DHCPv6 server's leases that are being kept."`
	Unkept       int               `json:"unkept" gauge:"server6_leases_unkept" help:"Leases of the DHCPv6 server that the store has not got as they are."`
	WaitForClock int               `json:"wait_for_clock" gauge:"server6_leases_waiting_for_clock" help:"Restored leases of the DHCPv6 server that wait for a trustworthy clock."`
	Events       map[string]uint64 `json:"events" counter:"server6_lease_events_total" by:"kind" help:"What happened to leases of the DHCPv6 server: granted, extended, moved or ended."`
	Ends         map[string]uint64 `json:"ends" counter:"server6_lease_ends_total" by:"reason" help:"Leases of the DHCPv6 server that have ended, by reason."`
	Refusals     map[string]uint64 `json:"refusals" counter:"server6_refusals_total" by:"reason" help:"Leases that the DHCPv6 server has refused, and Releases that it has not believed, by reason."`
}

// Name is the pool as the configuration has it: a range of addresses, or a prefix.
func (p *Server6Pool) Name() string {
	if p.Prefix.IsValid() {
		return p.Prefix.String()
	}
	return p.First.String() + "-" + p.Last.String()
}
