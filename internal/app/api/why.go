package api

import "net/netip"

// WhyQuestion asks why a client of the DHCPv6 server has its leases, and why not others.
type WhyQuestion struct {
	Client Identifier // needed
	Link   string     // one of its links, as its leases have it; empty: all on which it has leases
	// LinkAddress is that of a relay agent that the client is behind, in place of a link.
	LinkAddress netip.Addr `json:"link_address"`
	Class       string     // a class that the client is taken to be of, too
	// Prefix is what the client asks for: an address, a prefix, or, with the address ::, a length
	// of prefix.
	Prefix netip.Prefix
}

// WhyLink is what the DHCPv6 server decides on a client on one link, and why.
type WhyLink struct {
	Link    string       `json:"link"`
	Network string       `json:"network,omitempty"` // empty: none is for the link, and nothing else is told
	Subnet  netip.Prefix `json:"subnet,omitzero"`   // whose options the client gets
	Leased  bool         `json:"leased"`            // the client has leases there; else it is as if it asked for an address and a prefix

	Classes  []string `json:"classes,omitempty"` // which the client is taken to be of: they are not kept
	Excludes bool     `json:"excludes"`          // the client is taken to know of Prefix Exclude (RFC 6603)
	// Reservation is what is reserved for the client. TakenToBeBehind says that the relay agents that
	// it names are taken to be those of the client, as the client has a lease by it.
	Reservation     *Reservation `json:"reservation,omitempty"`
	TakenToBeBehind bool         `json:"taken_to_be_behind"`

	Registered []netip.Prefix `json:"registered,omitempty"` // addresses that the client has given itself (RFC 9686)
	IAs        []WhyIA        `json:"ias"`
	Refused    string         `json:"refused,omitempty"` // why the client does not get WhyQuestion.Prefix; one of the words of WhyLease.Refused
}

// WhyIA is one IA of a client.
type WhyIA struct {
	Kind   string     `json:"kind"` // "prefix" or "address"
	IAID   IAID       `json:"iaid"`
	Limit  string     `json:"limit,omitempty"` // that has been met: "limit-client", "limit-host" or "limit-link"
	Leases []WhyLease `json:"leases"`
	Pools  []WhyPool  `json:"pools"` // all of the network for leases of that kind, in the order in which they are tried
}

// WhyLease is a lease that a client gets, or that it has or that is reserved for it and that it does not get.
type WhyLease struct {
	Prefix netip.Prefix `json:"prefix"`
	Subnet netip.Prefix `json:"subnet,omitzero"`
	Pool   string       `json:"pool,omitempty"` // that it is out of; empty: of none
	// By is why the client gets it: "reserved", "held", "named", "waited", "other-length", "found" or
	// "waited-for-another".
	By string `json:"by,omitempty"`
	// Refused is why the client does not get it: "no-pool", "other-class", "exclude-unknown",
	// "reserved-for-another", "held-by-another", "waits-for-another", "declined", "unusable", "overlaps",
	// "untold", "limit", "another-is-reserved" or "another-length".
	Refused string `json:"refused,omitempty"`
}

// WhyPool is a pool, and what is in the way of a client that looks for a lease in it.
type WhyPool struct {
	Server6Pool
	Class   string `json:"class,omitempty"`   // of the clients that may have what is in it; empty: all
	Gives   bool   `json:"gives"`             // a lease of the client is out of it
	Refused string `json:"refused,omitempty"` // "other-class", "exclude-unknown", "length" or "full"; empty: there is something for the client
}

// Reservation is what a client of the DHCPv6 server has for itself. All identifiers that are set have
// to match.
type Reservation struct {
	DUID        Identifier     `json:"duid,omitempty"`
	LinkLayer   string         `json:"link_layer,omitempty"`
	RemoteID    *RemoteID      `json:"remote_id,omitempty"`
	RelayID     Identifier     `json:"relay_id,omitempty"`
	InterfaceID Identifier     `json:"interface_id,omitempty"` // of the same relay agent as RelayID
	Addresses   []netip.Addr   `json:"addresses,omitempty"`
	Prefixes    []netip.Prefix `json:"prefixes,omitempty"`
}

// RemoteID is the remote-id of a relay agent (RFC 4649).
type RemoteID struct {
	Enterprise uint32     `json:"enterprise"`
	ID         Identifier `json:"id"`
}
