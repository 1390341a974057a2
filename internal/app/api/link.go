package api

import (
	"net/netip"
	"time"
)

// Link is one interface of the host.
type Link struct {
	Name         string         `json:"name"`
	Index        int            `json:"index"`
	ClientFacing bool           `json:"client_facing"`
	Up           bool           `json:"up"`
	Running      bool           `json:"running"` // the interface has carrier
	PointToPoint bool           `json:"point_to_point"`
	Shared       bool           `json:"shared"`
	Trusted      bool           `json:"trusted"`
	MTU          int            `json:"mtu"`
	LinkLayer    string         `json:"link_layer,omitempty"`
	VRF          string         `json:"vrf,omitempty"`
	Table        uint32         `json:"table"`
	Addresses    []netip.Prefix `json:"addresses"`
	LinkAddress  netip.Addr     `json:"link_address"` // link-address in relay messages; "" if there is none
	// LinkAddressMissing: the link that had the address has it no longer. The address goes on
	// standing for it, for an hour at most.
	LinkAddressMissing bool   `json:"link_address_missing"`
	InterfaceID        string `json:"interface_id"`
	// Routed are prefixes that routes of other programs lead to the link, where they are
	// permitted as source (permit-routed).
	Routed []netip.Prefix `json:"permitted_routed,omitempty"`
	LinkFigures
	Use      Use          `json:"-"`
	Counters LinkCounters `json:"counters"`
	// LastSpoofed is the last packet that was dropped for its source; absent if there was none in
	// the last ten minutes.
	LastSpoofed *SpoofedSource `json:"last_spoofed,omitempty"`
}

// LinkFigures are how much clients have on a link, and how much they may have.
type LinkFigures struct {
	Limit       int `json:"limit" gauge:"link_delegations_limit" help:"How many delegated prefixes a client-facing link may have (limits.link)."` // 0: not client-facing
	ClientLimit int `json:"-" gauge:"link_client_limit" help:"How many delegated prefixes one client of a link may have (limits.client)."`
	HostLimit   int `json:"-" gauge:"link_host_limit" help:"How many delegated prefixes may be behind one link-layer address of a link (limits.per-mac); 0: any number."`
	Prefixes    int `json:"delegated_prefixes" gauge:"delegations" labels:"kind=prefix" help:"Live delegated prefixes and assigned addresses."`
	Assigned    int `json:"assigned_addresses" gauge:"delegations" labels:"kind=address"`
}

// SpoofedSource is the source of a packet that was dropped for its source.
type SpoofedSource struct {
	Source    netip.Addr `json:"source"`
	LinkLayer string     `json:"link_layer,omitempty"`
	Seen      time.Time  `json:"seen"`
}

// LinkCounters count what happened on a link. Message types are in lower case, "solicit",
// "relay-forward"; types without a name are "other".
type LinkCounters struct {
	Received  map[string]uint64 `json:"received"`  // from clients and relays below, by message type
	Delivered map[string]uint64 `json:"delivered"` // to clients and relays below, by message type
	Drops     map[string]uint64 `json:"drops"`     // by reason
	LinkCounts
	Spoofed uint64 `json:"spoofed" counter:"link_spoofed_packets_total" help:"Packets that the filter dropped for their source, by link (RFC 8987 R-3)."`
}

// LinkCounts are the counters of a link that are one number each.
type LinkCounts struct {
	Refused uint64 `json:"refused" counter:"link_refusals_total" help:"Grants of servers that were not learned, by link."`
	// SensitiveOmitted counts Relay-forwards that were sent without the options which only
	// protected peers may see (RFC 8213 section 3).
	SensitiveOmitted uint64 `json:"sensitive_omitted" counter:"link_sensitive_omitted_total" help:"Relay-forwards that went without options which only protected peers may see (RFC 8213 section 3)."`
	// AssignmentsRefused counts, for an uplink, Relay-replies whose word of what the server has
	// assigned was not believed.
	AssignmentsRefused uint64 `json:"assignments_refused" counter:"link_assignments_refused_total" help:"Relay-replies with a Relay Agent Assignment Notification of a server that is not to tell it, by uplink."`
}

// Peer is one configured server or relay, with counters of what passed between it and us.
type Peer struct {
	PeerProtection
	Address    netip.Addr   `json:"address"`
	Prefix     netip.Prefix `json:"prefix,omitzero"`
	Local      netip.Addr   `json:"local,omitzero"`
	Interfaces []string     `json:"interfaces"`
	PeerCounters
	LastType  string `json:"last_type,omitempty"`
	Answered  bool   `json:"answered"`
	Preferred bool   `json:"preferred"` // "forward: first" sends to this server

	SilentSince time.Time `json:"silent_since,omitzero"` // nothing has come from this server since, although it owes answers
	Failure     string    `json:"failure,omitempty"`     // last error of the network about this peer, until the peer is heard again
	FailedAt    time.Time `json:"failed_at,omitzero"`
	Waiting     []Waiting `json:"waiting,omitempty"` // some of the clients that have waited long for its answer
}

// PeerProtection names a peer, and tells how the messages between it and us are protected.
type PeerProtection struct {
	Name       string `json:"name"`
	Role       string `json:"role"`           // "server" or "relay"
	Protection string `json:"protection"`     // what the configuration requires: "none" or "ipsec"
	Protected  bool   `json:"protected"`      // every hop is protected; false where no protection is required
	Hops       []Hop  `json:"hops,omitempty"` // absent if no protection is required
}

// PeerCounters count what passed between a peer and us.
type PeerCounters struct {
	Sent         uint64    `json:"sent" counter:"peer_messages_total" labels:"direction=sent" help:"Messages sent to and received from a peer."`
	Received     uint64    `json:"received" counter:"peer_messages_total" labels:"direction=received"`
	SinceAnswer  uint64    `json:"since_answer" gauge:"peer_messages_since_answer" help:"Messages sent to a peer since the last one that came back."`
	Unreachable  uint64    `json:"unreachable" counter:"peer_unreachable_total" help:"Errors from the network (ICMP, ICMPv6) about messages to a peer."`
	LastReceived time.Time `json:"last_received,omitzero" gauge:"peer_last_received_timestamp_seconds" help:"When a peer was last heard; absent if never."`
}

// Waiting is a client that waits for a server's answer.
type Waiting struct {
	LinkLayer string     `json:"link_layer,omitempty"` // of a client that has no address yet
	Link      string     `json:"link"`
	Source    netip.Addr `json:"source"`
	For       Lifetime   `json:"for"`
	Messages  uint64     `json:"messages"` // that the client has sent since
}
