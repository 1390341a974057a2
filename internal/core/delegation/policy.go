package delegation

import "fairlead/internal/core/trust"

// DefaultClientLimit is how many prefixes one client may hold (RFC 8987 G-7).
const DefaultClientLimit = 8

// DefaultLinkLimit is how many prefixes one link may carry (RFC 8987 G-6 wants
// a limit and names none): enough for a large shared link, little enough that a
// link cannot fill the machine.
const DefaultLinkLimit = 4096

// HostLimitAuto makes the bound per link-layer address twice the client limit,
// which leaves a household two routers.
const HostLimitAuto = -1

// MovePolicy says what happens when a server grants a live delegation to
// another next hop on its link, or on another link.
type MovePolicy uint8

// MoveFollow believes the server. MoveProbe believes it once the old next hop
// no longer answers. MoveDeny keeps the old one until it ends. MoveAuto is MoveProbe on
// shared links, and MoveFollow on others.
const (
	MoveFollow MovePolicy = iota
	MoveProbe
	MoveDeny
	MoveAuto
)

func (p MovePolicy) String() string { return [...]string{"follow", "probe", "deny", "auto"}[p] }

// LimitPolicy says what happens to a grant above a limit.
type LimitPolicy uint8

// LimitRefuse refuses the excess. LimitReplaceUnreachable lets it take the
// place of a client on the link that no longer answers, for ports of one
// client where the customer's router was swapped.
const (
	LimitRefuse LimitPolicy = iota
	LimitReplaceUnreachable
)

func (p LimitPolicy) String() string { return [...]string{"refuse", "replace-unreachable"}[p] }

// Policy is what the operator wants of the delegations on one link.
type Policy struct {
	ClientLimit int // prefixes per client DUID (RFC 8987 G-5)
	LinkLimit   int // prefixes per link (RFC 8987 G-6)
	// HostLimit bounds the prefixes behind one link-layer address on a shared
	// link, so that one host cannot use up the link's share; 0: no bound,
	// HostLimitAuto: a share of the others.
	HostLimit int
	OnLimit   LimitPolicy
	Move      MovePolicy
	// UniqueDUID forbids a client DUID that holds a delegation on another link
	// (RFC 8987 G-4's exception).
	UniqueDUID bool
	Delegable  []trust.Range // empty: whatever the peer's own bounds allow
}

// Resolve decides what HostLimitAuto and MoveAuto leave open on a link. Several clients may be on
// a shared one.
func (p *Policy) Resolve(shared bool) {
	host, move := 0, MoveFollow
	if shared {
		host, move = 2*p.ClientLimit, MoveProbe
	}
	if p.HostLimit == HostLimitAuto {
		p.HostLimit = host
	}
	if p.Move == MoveAuto {
		p.Move = move
	}
}
