// Package server6 decides what a DHCPv6 server answers (RFC 8415 section 18.3): which
// addresses and prefixes a client gets, for how long, and with which options.
package server6

import (
	"net/netip"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// Config is what the operator wants of the server. It is immutable and replaced whole;
// the application validates it.
type Config struct {
	ServerID dhcp6.DUID
	Peers    []trust.Peer // relay agents whose Relay-forwards are taken
	Links    []LinkRule   // the first rule that matches a link's name holds
	Networks []Network    // each with at least one subnet
	Classes  []Class      // in the order of the file
	Options  []Option     // for all clients
	// Registers says that clients may tell which addresses they have given themselves (RFC
	// 9686).
	Registers bool
	// Aggregates are in the kernel whatever is delegated.
	Aggregates []hoststate.Aggregate
	// AssignmentOption is the code of the Relay Agent Assignment Notification option, for
	// which the registry has none.
	AssignmentOption dhcp6.OptionCode
	Secret           [32]byte // by which leases are spread over pools; kept by the application
	Records          ledger.Records
}

// LinkRule is what the operator wants of the links with clients of the server whose names match.
type LinkRule struct {
	Match  []string          // interface names or globs
	Limits delegation.Policy // ClientLimit, LinkLimit and HostLimit
	// Router says that this machine routes for the clients: what is delegated there has its
	// route and its part of the filter, as Host says.
	Router           bool
	Host             hoststate.Policy
	LoopExemptClient []dhcp6.DUID
	Rate             admission.Limits // for the shell, which admits messages before they come here
}

// Network is one link of clients, with the subnets that are in use on it: a shared network,
// or one subnet by itself.
type Network struct {
	Name    string // of the shared network, or the subnet's prefix
	Options []Option
	Subnets []Subnet
}

// Subnet is a prefix that is on-link for clients, and what they may get there.
type Subnet struct {
	Prefix netip.Prefix
	// What leads a message to the subnet's network, beside a link-address, or an address of
	// the local interface, that lies in Prefix.
	Interfaces    []string     // names or globs of local interfaces
	LinkAddresses []netip.Addr // of relay agents, outside of Prefix
	InterfaceIDs  [][]byte     // of relay agents; each leads to one network

	Lifetimes    Lifetimes
	RapidCommit  bool
	Preference   uint8
	Options      []Option
	Pools        []AddressPool
	PDPools      []PrefixPool
	Reservations []Reservation
}

// Lifetimes are what leases get. T1 and T2 of 0 are 0.5 and 0.8 times the shortest
// preferred lifetime in the IA (RFC 8415 section 21.4).
type Lifetimes struct{ Preferred, Valid, T1, T2 dhcp6.Lifetime }

// AddressPool is a range of addresses in a subnet.
type AddressPool struct {
	First, Last netip.Addr
	Class       string // of the clients that may have them; empty: all
	Options     []Option
}

// PrefixPool is a prefix that is delegated in parts of Min to Max bits; Length is what a client
// gets that asks for no length. A client gets a part of another length where it asks for one
// (RFC 8168).
type PrefixPool struct {
	Prefix           netip.Prefix
	Length, Min, Max int
	Exclude          netip.Prefix // in the first part of Max bits, and longer; its like is excluded from each part (RFC 6603); invalid: none
	Class            string
	Options          []Option
}

// Reservation is what a client has for itself. All identifiers that are set have to match.
type Reservation struct {
	DUID        dhcp6.DUID
	LinkLayer   linkaddr.Addr // of option 79, or of the frame on a local link
	RemoteID    []byte        // option 37 with its enterprise number
	RelayID     dhcp6.DUID    // option 53, of the same relay agent as InterfaceID
	InterfaceID []byte
	Addresses   []netip.Addr
	Prefixes    []netip.Prefix
	Options     []Option
}

// Class are the clients for which all of Tests hold.
type Class struct {
	Name    string
	Tests   []Test
	Options []Option
}

// Test holds where a message, or, where Relay is set, one of the relay layers around it, has an
// option with a payload that has Contains in it. In a vendor class (16) and a user class (15), one
// of the data fields has to be equal to Contains, and in option 61 one of the client's
// architectures. Enterprise is that of a vendor class; 0: any.
type Test struct {
	Option     dhcp6.OptionCode
	Relay      bool
	Enterprise uint32
	Contains   []byte
}

// Option is an option of a Reply. It is there if the client's Option Request has its code, or
// if Always is set.
type Option struct {
	Code   dhcp6.OptionCode
	Data   []byte
	Always bool
}
