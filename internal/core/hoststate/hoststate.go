// Package hoststate is the state of the kernel as data: which routes and filter
// elements we want there. It computes changes; host/netlink and host/nft carry them
// out. It touches nothing itself.
//
// The wanted state follows from three inputs: the links, the delegations on them and
// a policy per link. Every method that changes an input appends the operations
// that bring the kernel there. Operations are idempotent, so that repeating them
// does no harm.
package hoststate

import (
	"net/netip"
	"strconv"

	"fairlead/internal/wire/linkaddr"
)

// FilterMode is how strictly sources are checked on a client-facing link (RFC
// 8987 R-3, RFC 2827).
type FilterMode uint8

// FilterLink lets a delegated prefix be used as source by anyone on its link;
// FilterStrict by its client's link-layer address alone. What is on the link itself is a
// good source for all as well, but in IPv4, where FilterStrict lets pass what is leased.
const (
	FilterOff FilterMode = iota
	FilterLink
	FilterStrict
)

func (m FilterMode) String() string { return [...]string{"off", "link", "strict"}[m] }

// LoopMode is what becomes of a packet that would leave by the link it came
// from, towards a prefix delegated there (RFC 8987 R-5).
type LoopMode uint8

// LoopReject drops it and answers with ICMPv6 type 1 code 6 (RFC 4443 3.1).
const (
	LoopForward LoopMode = iota
	LoopDrop
	LoopReject
)

func (m LoopMode) String() string { return [...]string{"forward", "drop", "reject"}[m] }

// Policy is what the operator wants of one client-facing link.
type Policy struct {
	Filter FilterMode
	Permit []netip.Prefix // static sources allowed beside on-link and delegated ones
	Routed bool           // what routes of others lead to the link is allowed as source, see State.SetRouted
	Loop   LoopMode
	Table  uint32 // of the routes; 0: the link's own
	Metric uint32 // of the routes
	// LoopExempt lists destinations to which Loop does not apply (RFC 8987 R-5:
	// per-destination policy).
	LoopExempt []netip.Prefix
	Reuse      Reuse
	Shared     bool // several clients on the link: loops are told by link-layer address
	// Holders has the filter tell when the holder of a delegation last used it as source.
	Holders bool
	// NoRoutes: delegations have no routes.
	NoRoutes bool
}

// Delegation is what the kernel has to know of a delegated prefix or an assigned address.
type Delegation struct {
	Link       string // interface name: what survives a reboot
	Prefix     netip.Prefix
	NextHop    netip.Addr // the client's link-local address
	LinkLayer  linkaddr.Addr
	LoopExempt bool   // the client is exempt from Loop (RFC 8987 R-5: per-client policy)
	Line       uint32 // on which it is proved, see State.Line; 0: on none
	New        bool   // its client did not have it before, and has not used it yet
}

// Route is one wanted route. Table, Prefix and Metric are its identity in
// the kernel; the rest is its value.
type Route struct {
	Table   uint32
	Prefix  netip.Prefix
	Metric  uint32
	Link    int        // interface index; 0: an unreachable route; Throw; OtherKind
	Gateway netip.Addr // valid only for a route over an interface, if that itself is not the next hop
}

// OtherKind in Route.Link marks a route that was read back and is of a kind
// that is never wanted, such as one with several next hops.
const OtherKind = -1

// Throw in Route.Link marks a route that ends the look-up in its table alone: the next
// rule's table is looked up.
const Throw = -2

// MainTable is the routing table of links outside a VRF. DefaultMetric is what
// the kernel makes of metric 0; AggregateMetric is the default for aggregates,
// so that a delegation of the same prefix wins. StandingMetric is the highest that
// there is: whatever metric a delegation of the same prefix has, it wins.
const (
	MainTable       = 254
	DefaultMetric   = 1024
	AggregateMetric = 4096
	StandingMetric  = 1<<32 - 1
)

// Covered is a part of delegated prefixes that is not its client's.
type Covered struct {
	Prefix   netip.Prefix
	Reserved bool // it is reserved for an interface: the kernel routes it in the table of that
}

// Aggregate is a prefix for which an unreachable route is kept, so that traffic
// towards what is not delegated dies here instead of going round.
type Aggregate struct {
	Prefix netip.Prefix
	Table  uint32 // 0: MainTable
	Metric uint32 // 0: AggregateMetric
}

// Set names one family of nft sets; there is one set per prefix length in use.
type Set uint8

// The families. Their keys are, in this order: interface name, then link-layer
// source where the name says Strict or Shared, then masked prefix.
const (
	SourceLink    Set = iota + 1 // source allowed on the link
	SourceStrict                 // source allowed from this link-layer address
	LoopPoint                    // destination delegated on a point-to-point link
	LoopShared                   // destination delegated to this link-layer address
	LoopExempt                   // destination exempt from the loop drop (no link-layer address)
	Checked                      // link whose sources are checked (no prefix)
	Rejecting                    // link on which loops are answered by ICMPv6 (no prefix)
	Hairpin                      // link whose packets are looked at when they would leave by it again (no prefix)
	SourceKnown                  // source that SourceStrict binds to an address: tells a stolen source from a foreign one
	SourceHolder                 // source that SourceLink allows, from the holder of a delegation
	SourceCovered                // source that is not allowed, unless a prefix allows it that is as long or longer
	CheckedIPv4                  // link whose IPv4 sources are checked (no prefix)
	setsEnd
)

// Valid reports whether it is a family.
func (s Set) Valid() bool { return s >= SourceLink && s < setsEnd }

// Sets are all families.
func Sets(yield func(Set) bool) {
	for s := SourceLink; s < setsEnd && yield(s); s++ {
	}
}

var setNames = [...]string{
	"none", "source-link", "source-strict", "loop-point", "loop-shared", "loop-exempt",
	"checked", "rejecting", "hairpin", "source-known", "source-holder", "source-covered", "checked-ipv4",
}

func (s Set) String() string {
	if int(s) >= len(setNames) {
		return "set-" + strconv.Itoa(int(s))
	}
	return setNames[s]
}

// HasPrefix reports whether the keys of the family end in a prefix.
func (s Set) HasPrefix() bool {
	return s != Checked && s != Rejecting && s != Hairpin && s != CheckedIPv4
}

// HasLinkLayer reports whether the keys of the family hold a link-layer address.
func (s Set) HasLinkLayer() bool { return s == SourceStrict || s == LoopShared || s == SourceHolder }

// IsTimed reports whether the kernel remembers of each element of the family when a
// packet last matched it: these tell when the holder of a delegation last used it as source.
func (s Set) IsTimed() bool { return s == SourceStrict || s == SourceHolder }

// Element is one wanted element of a set.
type Element struct {
	Set       Set
	Link      string
	LinkLayer linkaddr.Addr
	Prefix    netip.Prefix // masked; its length names the set; invalid where the family has no prefix
}

// IsIPv4 reports whether an element is of IPv4's filter.
func (e Element) IsIPv4() bool { return e.Set == CheckedIPv4 || e.Prefix.Addr().Is4() }

// Op is one change of the kernel: a route or an element, to be there or not to
// be there. Exactly one of Route and Element is set.
type Op struct {
	Remove  bool
	Again   bool // of a timed element: when its prefix was last used is not known, and it counts as used now
	Route   *Route
	Element *Element
}
