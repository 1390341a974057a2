package relay4

import (
	"net/netip"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// Config is what the operator wants of the relay. It is immutable and replaced
// whole; the application validates it.
type Config struct {
	Peers   []trust.Peer
	Links   []LinkRule // the first rule that matches a link's name holds
	Forward peers.Policy
	RelayID []byte // sub-option 12, 1 to dhcp4.MaxRelayIDLen octets; empty: there is none
	// RequireRelayID has a client's message dropped that has no room for the relay-id, on
	// links that insert it (RFC 6925 section 6.2).
	RequireRelayID bool
	// SourcePort is the UDP port that we send to servers from (RFC 8357); 0 and 67
	// are the ordinary port.
	SourcePort uint16
	Hostname   string         // for templates
	Records    ledger.Records // how leases are kept
}

// Insertion says what becomes of the Relay Agent Information option in messages whose
// first relay agent we are.
type Insertion uint8

// Off adds none, Add adds one as RFC 3046 section 2.1 says. Replace does too, and puts it
// in the place of one that a client has sent, which Add drops with its message.
const (
	Off Insertion = iota
	Add
	Replace
)

func (i Insertion) String() string { return [...]string{"off", "add", "replace"}[i] }

// The hop limits of RFC 1542 section 4.1.1: the largest, and what a rule has unless the
// operator says otherwise.
const (
	MaxHopCount     = 16
	DefaultHopCount = 4
)

// LinkRule is what the operator wants of the client-facing links whose names match.
type LinkRule struct {
	Match []string // interface names or globs

	// GIAddr is the giaddr to use; invalid: chosen from the link's addresses. Borrow
	// names an interface whose address an unnumbered link uses.
	GIAddr netip.Addr
	Borrow string

	// Trusted links may have relay agents behind them, and bridges that add option 82
	// (RFC 3046 section 2.1).
	Trusted         bool
	AllowLeasequery bool   // RFC 4388 from clients is forwarded
	HopCount        uint8  // a message that has passed more relay agents is dropped
	Secs            uint16 // so is one of a client that has tried for less time than this

	AgentInformation Insertion
	// MaxSize is how many octets of UDP payload a message may have with the option; 0: as
	// many as the interfaces towards the servers take.
	MaxSize       int
	CircuitID     links.Template
	RemoteID      links.Template
	SubscriberID  links.Template
	Ports         map[string]Port  // by the link's name, before the templates
	AccessNetwork []byte           // sub-options 13 to 18 of RFC 7839, whole
	VSS           *dhcp4.VSS       // nil: none
	Rate          admission.Limits // for the shell, which admits messages before they come here

	// LinkSelection tells the client's subnet by a sub-option, for links whose giaddr is not
	// in it (RFC 3527). ServerIDOverride has clients renew through us (RFC 5107).
	LinkSelection    bool
	ServerIDOverride bool
	RelayFlags       bool // RFC 5010
	InsertRelayID    bool // RFC 6925
	Limits           LeaseLimits
	// Host says whether the kernel is to take packets from leased addresses alone (FilterStrict),
	// and HostRoutes that it is to have a route to each.
	Host       hoststate.Policy
	HostRoutes bool
	// SensitiveRemoteID has the remote-id go to protected peers alone, as the
	// subscriber-id and the access network always do.
	SensitiveRemoteID bool
}

// LeaseLimits are how many leases may be seen on a link. What a server gives above them does
// not reach its client.
type LeaseLimits struct {
	Client int // of one client
	Link   int
	Host   int // of one link-layer address; 0: no limit, delegation.HostLimitAuto: twice the client's
}

// DefaultLinkLimit is how many leases a link may have unless the operator says otherwise: as
// many as a subnet of 16 bits has addresses.
const DefaultLinkLimit = 1 << 16

// Port is what the configuration says of one link by its name. Empty texts say nothing.
type Port struct{ CircuitID, RemoteID, SubscriberID string }
