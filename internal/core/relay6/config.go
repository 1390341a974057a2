package relay6

import (
	"net/netip"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// Config is what the operator wants of the relay. It is immutable and replaced
// whole; the application validates it.
type Config struct {
	Peers   []trust.Peer
	Links   []LinkRule // the first rule that matches a link's name holds
	Forward peers.Policy
	RelayID dhcp6.DUID // option 53; empty where none is known
	// SourcePort is the UDP port that we send to servers from (RFC 8357); 0 and
	// 547 are the ordinary port.
	SourcePort uint16
	// AssignmentOption is the code of the Relay Agent Assignment Notification option, for
	// which the registry has none.
	AssignmentOption dhcp6.OptionCode
	// Infrastructure lists prefixes that no client may ever be given.
	Infrastructure []netip.Prefix
	Aggregates     []hoststate.Aggregate
	Hostname       string         // for templates
	Records        ledger.Records // how delegations are kept
}

// LinkRule is what the operator wants of the client-facing links whose names
// match.
type LinkRule struct {
	Match []string // interface names or globs

	// LinkAddress is the link-address to use; invalid: chosen from the link's
	// addresses. Borrow names an interface whose global address an unnumbered
	// link uses.
	LinkAddress netip.Addr
	Borrow      string

	Trusted          bool // Relay-forwards from any source on the link are accepted
	AllowLeasequery  bool // types 14, 22 and 23 from clients are forwarded
	Shared           bool // several clients, told apart by link-layer address
	SharedAuto       bool // Shared follows the link: point-to-point links are not
	RoutedAuto       bool // Host.Routed where the link borrows its link-address
	InterfaceID      links.Template
	RemoteID         *RemoteID
	SubscriberID     links.Template
	InsertRelayID    bool
	InsertLinkLayer  bool
	AccessNetwork    dhcp6.Options // of RFC 7839, codes 105 to 110
	Delegations      delegation.Policy
	Host             hoststate.Policy
	LoopExemptClient []dhcp6.DUID
	Rate             admission.Limits // for the shell, which admits messages before they come here
}

// RemoteID is option 37 (RFC 4649) with its identifier as a template. Where it is
// sensitive it goes to protected peers alone, as subscriber-id (RFC 4580) and the
// options of RFC 7839 always do.
type RemoteID struct {
	EnterpriseNumber uint32
	ID               links.Template
	Sensitive        bool
}
