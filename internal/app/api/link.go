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
	Running      bool           `json:"running"` // carrier is there
	PointToPoint bool           `json:"point_to_point"`
	Shared       bool           `json:"shared"`
	Trusted      bool           `json:"trusted"`
	MTU          int            `json:"mtu"`
	LinkLayer    string         `json:"link_layer,omitempty"`
	VRF          string         `json:"vrf,omitempty"`
	Table        uint32         `json:"table"`
	Addresses    []netip.Prefix `json:"addresses"`
	LinkAddress  netip.Addr     `json:"link_address"` // as in relay messages; "" if there is none
	// LinkAddressMissing: the address is no longer on the link that had it, and
	// stands for it for an hour at most.
	LinkAddressMissing bool   `json:"link_address_missing"`
	InterfaceID        string `json:"interface_id"`
	// Routed is what routes of others lead to the link, where that is permitted as
	// source (permit-routed).
	Routed []netip.Prefix `json:"permitted_routed,omitempty"`
	LinkFigures
	Use      Use          `json:"-"`
	Counters LinkCounters `json:"counters"`
	// LastSpoofed is the last packet that was dropped for its source; absent if there
	// was none in the last ten minutes.
	LastSpoofed *SpoofedSource `json:"last_spoofed,omitempty"`
}

// LinkFigures are what clients have on a link, and may have.
type LinkFigures struct {
	Limit       int `json:"limit" gauge:"link_delegations_limit" help:"How many delegated prefixes a client-facing link may have (limits.link)."` // 0: not client-facing
	ClientLimit int `json:"-" gauge:"link_client_limit" help:"How many delegated prefixes one client of a link may have (limits.client)."`
	HostLimit   int `json:"-" gauge:"link_host_limit" help:"How many delegated prefixes may be behind one link-layer address of a link (limits.per-mac); 0: any number."`
	Prefixes    int `json:"delegated_prefixes" gauge:"delegations" labels:"kind=prefix" help:"Live delegated prefixes and assigned addresses."`
	Assigned    int `json:"assigned_addresses" gauge:"delegations" labels:"kind=address"`
}

// SpoofedSource is where a packet came from that was dropped for its source.
type SpoofedSource struct {
	Source    netip.Addr `json:"source"`
	LinkLayer string     `json:"link_layer,omitempty"`
	Seen      time.Time  `json:"seen"`
}

// LinkCounters count what happened on a link. Message types are in lower case,
// "solicit", "relay-forward", and "other" for those without a name.
type LinkCounters struct {
	Received  map[string]uint64 `json:"received"`  // by message type, from clients and relays below
	Delivered map[string]uint64 `json:"delivered"` // by message type, to them
	Drops     map[string]uint64 `json:"drops"`     // by reason
	LinkCounts
	Spoofed uint64 `json:"spoofed" counter:"link_spoofed_packets_total" help:"Packets that the filter dropped for their source, by link (RFC 8987 R-3)."`
}

// LinkCounts are those of the counters of a link that are one number.
type LinkCounts struct {
	Refused uint64 `json:"refused" counter:"link_refusals_total" help:"Grants of servers that were not learned, by link."`
	// SensitiveOmitted counts Relay-forwards that went without options which only
	// protected peers may see (RFC 8213 section 3).
	SensitiveOmitted uint64 `json:"sensitive_omitted" counter:"link_sensitive_omitted_total" help:"Relay-forwards that went without options which only protected peers may see (RFC 8213 section 3)."`
}

// Peer is one configured server or relay, and what passed between it and us.
type Peer struct {
	PeerProtection
	Address    netip.Addr   `json:"address"`
	Prefix     netip.Prefix `json:"prefix,omitzero"`
	Local      netip.Addr   `json:"local,omitzero"`
	Interfaces []string     `json:"interfaces"`
	PeerCounters
	LastType  string `json:"last_type,omitempty"`
	Answered  bool   `json:"answered"`
	Preferred bool   `json:"preferred"` // "forward: first" sends to this one

	SilentSince time.Time `json:"silent_since,omitzero"` // of a server that owes answers: nothing has come since
	Failure     string    `json:"failure,omitempty"`     // the network's last error about it, until the peer is heard again
	FailedAt    time.Time `json:"failed_at,omitzero"`
	Waiting     []Waiting `json:"waiting,omitempty"` // a few of the clients that it has not answered for some time
}

// PeerProtection is which peer it is, and how what passes between it and us is protected.
type PeerProtection struct {
	Name       string `json:"name"`
	Role       string `json:"role"`           // "server" or "relay"
	Protection string `json:"protection"`     // what is required: "none" or "ipsec"
	Protected  bool   `json:"protected"`      // every hop is; false where none is required
	Hops       []Hop  `json:"hops,omitempty"` // none if no protection is required
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
	LinkLayer string     `json:"link_layer,omitempty"` // of one that has no address yet
	Link      string     `json:"link"`
	Source    netip.Addr `json:"source"`
	For       Lifetime   `json:"for"`
	Messages  uint64     `json:"messages"` // that it has sent meanwhile
}
