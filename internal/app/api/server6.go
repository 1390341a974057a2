package api

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// Server6 is the DHCPv6 server at a glance.
type Server6 struct {
	ServerID Identifier    `json:"server_id"`
	Links    []Server6Link `json:"links"` // those with clients of the server, and those on which relay agents are heard
	Pools    []Server6Pool `json:"pools"`
	// Agents are the relay agents that the server remembers, and AgentsForgotten those that it did
	// not remember, since it had heard too many others later.
	Agents          int    `json:"relay_agents" gauge:"server6_relay_agents" help:"Relay agents that the DHCPv6 server has heard and remembers."`
	AgentsForgotten uint64 `json:"relay_agents_forgotten" counter:"server6_relay_agents_forgotten_total" help:"Relay agents that the DHCPv6 server has forgotten, since it had heard too many others later."`
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
	// NearlyFull says that 90 % of the pool are taken, or were taken since when it has not had
	// less than 80 % taken.
	NearlyFull bool `json:"nearly_full"`
}

// Server6Counters are what the DHCPv6 server, or one of its links, has received, sent and discarded.
type Server6Counters struct {
	Received map[string]uint64 `json:"received" counter:"server6_received_messages_total" by:"type" help:"Messages of clients that reached the DHCPv6 server, by type."`
	Sent     map[string]uint64 `json:"sent" counter:"server6_sent_messages_total" by:"type" help:"Messages of the DHCPv6 server to clients, by type."`
	Drops    map[string]uint64 `json:"drops" counter:"server6_dropped_messages_total" by:"reason" help:"Messages that the DHCPv6 server has discarded, by reason."`
}

// RelayAgent is a relay agent that the DHCPv6 server has heard since its start. It is known by its relay-id,
// or, where it tells none, by its address.
type RelayAgent struct {
	Peer    string     `json:"peer"`              // the name of the peer that its messages came from
	Nearest bool       `json:"nearest"`           // it is that peer itself; else it is behind it
	RelayID Identifier `json:"relay_id,omitzero"` // option 53
	// Addresses are those that its messages came from, and LinkAddresses those that it has told of its
	// links: of each the newest eight, the newest one last. A Lightweight DHCPv6 Relay Agent has neither:
	// it sends from the address of its client (RFC 6221), which is not kept.
	Addresses     []netip.Addr `json:"addresses"`
	LinkAddresses []netip.Addr `json:"link_addresses"`
	Hops          uint8        `json:"hops"` // relay agents between it and the client, by its newest message
	First         time.Time    `json:"first"`
	Last          time.Time    `json:"last"`
	Messages      uint64       `json:"messages"`
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

// ReconfigureRequest names the clients that are to come back (RFC 8415 section 18.3.11): those with
// leases that match every field that is set. At least one of Client, Within, Link and All is set.
type ReconfigureRequest struct {
	Client Identifier   `json:"client,omitempty"`
	Within netip.Prefix `json:"within,omitzero"` // a subnet, or any other prefix that leases lie in
	Link   string       `json:"link,omitempty"`
	All    bool         `json:"all,omitempty"`
	// Message is what the clients are to send: "renew" where it is empty, "rebind" or
	// "information-request".
	Message string `json:"message,omitempty"`
}

// ReconfigureResult tells what a ReconfigureRequest has done.
type ReconfigureResult struct {
	Asked      int `json:"asked"`       // clients that are asked to come back
	Refuse     int `json:"refuse"`      // clients that do not accept to be asked
	WayUnknown int `json:"way_unknown"` // clients behind relay agents that have not been heard since the start
}

// Check refuses a request that names nothing, or everything by accident.
func (r ReconfigureRequest) Check() error {
	named := r.Client != "" || r.Within.IsValid() || r.Link != ""
	switch {
	case r.Within.IsValid() && r.Within != r.Within.Masked():
		return errors.New("within: bits are set beyond its length")
	case r.All && named:
		return errors.New("all goes with nothing else")
	case !r.All && !named:
		return errors.New("reconfigure needs a client, a prefix, a link or all")
	case !slices.Contains([]string{"", "renew", "rebind", "information-request"}, r.Message):
		return errors.New("message: one of renew, rebind, information-request")
	}
	return nil
}

// Attrs is the request for logs.
func (r ReconfigureRequest) Attrs() []slog.Attr {
	a := selectionAttrs(r.Within, r.Client, r.Link)
	if r.All {
		a = append(a, slog.Bool("all", true))
	}
	if r.Message != "" {
		a = append(a, slog.String("message", r.Message))
	}
	return a
}

// Attrs is the result for logs.
func (r ReconfigureResult) Attrs() []slog.Attr { return []slog.Attr{slog.Int("asked", r.Asked)} }
