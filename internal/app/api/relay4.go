package api

import "net/netip"

// Relay4 is the status of the DHCPv4 relay.
type Relay4 struct {
	RelayID Identifier   `json:"relay_id"` // sub-option 12 of our messages; empty: it is not known yet
	Links   []Relay4Link `json:"links"`    // links with clients
	Relay4Leases
	Relay4Counters
}

// Relay4Totals is the DHCPv4 relay's part of the Status.
type Relay4Totals struct {
	Links     int    `json:"links"` // links with clients
	Received  uint64 `json:"received"`
	Delivered uint64 `json:"delivered"`
	Dropped   uint64 `json:"dropped"`
	Leases    int    `json:"leases"` // leases on view
}

// Relay4Link is a link with clients of the DHCPv4 relay.
type Relay4Link struct {
	Name      string     `json:"name"`
	Up        bool       `json:"up"`
	VRF       string     `json:"vrf,omitempty"`
	Trusted   bool       `json:"trusted"`
	GIAddr    netip.Addr `json:"giaddr,omitzero"`
	CircuitID string     `json:"circuit_id,omitempty"` // empty where it names clients, and not links
	Leases    int        `json:"leases"`               // leases on view
	Filter    string     `json:"filter"`               // "strict" or "off"
	Spoofed   uint64     `json:"spoofed"`              // packets that the filter dropped for their source, those of IPv6 included
	// LastSpoofed is the last of these packets; absent if there was none in the last ten minutes.
	LastSpoofed *SpoofedSource `json:"last_spoofed,omitempty"`
	Relay4Counters
}

// Relay4Counters count what the DHCPv4 relay, or one of its links, has passed and discarded.
type Relay4Counters struct {
	Received  map[string]uint64 `json:"received" counter:"relay4_received_messages_total" by:"type" help:"DHCPv4 messages from clients and relay agents below, by type."`
	Delivered map[string]uint64 `json:"delivered" counter:"relay4_delivered_messages_total" by:"type" help:"DHCPv4 messages to clients, by type."`
	Drops     map[string]uint64 `json:"drops" counter:"relay4_dropped_messages_total" by:"reason" help:"DHCPv4 messages that were discarded, by reason."`
	Relay4Counts
}

// Relay4Leases are figures of the leases on view.
type Relay4Leases struct {
	Leases       int               `json:"leases" gauge:"relay4_leases" help:"DHCPv4 leases on view."`
	Pending      int               `json:"pending" gauge:"relay4_changes_pending" help:"Changes of DHCPv4 leases that are being kept."`
	Unkept       int               `json:"unkept" gauge:"relay4_leases_unkept" help:"DHCPv4 leases that the store has not got as they are."`
	Uninstalled  int               `json:"uninstalled" gauge:"relay4_leases_uninstalled" help:"DHCPv4 leases without their route or filter element, because the kernel did not take it."`
	WaitForClock int               `json:"wait_for_clock" gauge:"relay4_leases_waiting_for_clock" help:"Restored DHCPv4 leases that wait for a trustworthy clock."`
	Events       map[string]uint64 `json:"events" counter:"relay4_lease_events_total" by:"kind" help:"What happened to DHCPv4 leases: granted, extended, moved or ended."`
	Ends         map[string]uint64 `json:"ends" counter:"relay4_lease_ends_total" by:"reason" help:"DHCPv4 leases that were seen to end, by reason."`
	Refusals     map[string]uint64 `json:"refusals" counter:"relay4_refusals_total" by:"reason" help:"DHCPv4 leases that were not taken in, and RELEASEs that were not believed, by reason."`
}

// Relay4Counts are the counters of Relay4Counters that are one number each.
type Relay4Counts struct {
	AgentInformationOmitted uint64 `json:"agent_information_omitted" counter:"relay4_agent_information_omitted_total" help:"DHCPv4 messages that went without option 82, since it did not fit (RFC 3046 section 2.1)."`
	SensitiveOmitted        uint64 `json:"sensitive_omitted" counter:"relay4_sensitive_omitted_total" help:"DHCPv4 messages that went without sub-options which only protected peers may see (RFC 8213 section 3)."`
	NotEchoed               uint64 `json:"not_echoed" counter:"relay4_not_echoed_total" help:"DHCPv4 replies without the option 82 that we had added."`
	VSSIgnored              uint64 `json:"vss_ignored" counter:"relay4_vss_ignored_total" help:"DHCPv4 replies of servers that did not heed the VPN that they were told (RFC 6607 section 5)."`
}
