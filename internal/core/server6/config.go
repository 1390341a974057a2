package server6

import (
	"math"
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
	Peers    []trust.Peer // relay agents whose Relay-forwards are accepted
	Links    []LinkRule   // the first rule that matches a link's name applies
	// Relayed has the ClientLimit and the HostLimit of clients behind relay agents. A network as a
	// whole is limited by its pools.
	Relayed  delegation.Policy
	Networks []Network // each with at least one subnet
	Classes  []Class   // in the order of the file
	Options  []Option  // for all clients
	// Registers says that clients may register addresses that they have chosen themselves (RFC
	// 9686).
	Registers bool
	// Aggregates are in the kernel at all times, also while nothing is delegated.
	Aggregates []hoststate.Aggregate
	// AssignmentOption is the code of the Relay Agent Assignment Notification option. IANA has
	// assigned no code to it.
	AssignmentOption dhcp6.OptionCode
	Secret           [32]byte // spreads leases over pools (Server.number); the application keeps it
	Records          ledger.Records
}

// DefaultRelayed returns the limits of clients behind relay agents if the operator sets none.
func DefaultRelayed() delegation.Policy {
	return delegation.Policy{ClientLimit: delegation.DefaultClientLimit, LinkLimit: math.MaxInt32, HostLimit: delegation.HostLimitAuto}
}

// LinkRule is how the server treats the links with clients whose names match.
type LinkRule struct {
	Match  []string          // interface names or globs
	Limits delegation.Policy // ClientLimit, LinkLimit and HostLimit
	// Router says that this machine routes for the clients. Then the kernel has a route for each
	// delegated prefix there, and filters sources, as Host says.
	Router           bool
	Host             hoststate.Policy
	LoopExemptClient []dhcp6.DUID
	Rate             admission.Limits // for the engine, which admits messages before Handle gets them
}

// Network is a link that clients are on, with the subnets in use there: a shared network, or one
// subnet alone.
type Network struct {
	Name    string // the name of the shared network, or the prefix of the only subnet
	Options []Option
	Subnets []Subnet
}

// Subnet is a prefix that is on-link for clients, and what clients may get there.
type Subnet struct {
	Prefix netip.Prefix
	// A message belongs to the subnet's network if its link-address, or an address of the local
	// interface, lies in Prefix, or if one of these matches.
	Interfaces    []string     // names or globs of local interfaces
	LinkAddresses []netip.Addr // of relay agents, outside Prefix
	InterfaceIDs  [][]byte     // of relay agents; each belongs to one network

	Lifetimes    Lifetimes
	RapidCommit  bool
	Preference   uint8
	Options      []Option
	Pools        []AddressPool
	PDPools      []PrefixPool
	Reservations []Reservation
}

// Lifetimes are the times that leases get. A T1 of 0 stands for 0.5 times, a T2 of 0 for 0.8 times
// the shortest preferred lifetime in the answer (RFC 8415 section 21.4).
type Lifetimes struct{ Preferred, Valid, T1, T2 dhcp6.Lifetime }

// AddressPool is a range of addresses in a subnet.
type AddressPool struct {
	First, Last netip.Addr
	Class       string // only clients of this class may have them; empty: all clients
	Options     []Option
}

// PrefixPool is a prefix that is delegated in parts whose length is between Min and Max bits. A
// client that asks for no length gets Length bits; a client that asks for a length gets that one
// where it can (RFC 8168).
type PrefixPool struct {
	Prefix           netip.Prefix
	Length, Min, Max int
	// Exclude is a prefix inside the first part of Max bits. From each delegated part the prefix
	// at the same place is excluded (RFC 6603). Invalid: nothing is excluded.
	Exclude netip.Prefix
	Class   string
	Options []Option
}

// Reservation is what is reserved for one client. All identifiers that are set have to match.
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

// Class is the clients for which all of Tests hold.
type Class struct {
	Name    string
	Tests   []Test
	Options []Option
}

// Test holds if the message has an Option whose payload contains Contains. With Relay, one of the
// relay layers around the message has to have the option instead. In a vendor class (16) and a user
// class (15), one data field has to be equal to Contains; in option 61, one of the client's
// architectures. Enterprise is the enterprise number of a vendor class; 0: any.
type Test struct {
	Option     dhcp6.OptionCode
	Relay      bool
	Enterprise uint32
	Contains   []byte
}

// Option is an option that answers carry if the client's Option Request option has its code, or if
// Always is set.
type Option struct {
	Code   dhcp6.OptionCode
	Data   []byte
	Always bool
}
