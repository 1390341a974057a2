// Package delegation is the relay's table of delegated prefixes and assigned
// addresses: which client on which link may use what, through which next hop,
// until when (RFC 8987 section 4). It decides what may be learned, what a limit
// refuses, who may take a prefix over, and when a delegation ends. It does not
// care where knowledge comes from: a Reply, the store, a leasequery or an
// operator; and it sends, keeps and installs nothing.
//
// A delegation's life:
//
//	        Learn                 Learn (longer)
//	(none) -------> live <------------------------+
//	                 |  \_________________________/
//	                 |  Learn (other holder or link): moved, if the policy agrees
//	                 |  Follow (other address of the holder): moved
//	                 v
//	               ended: expired, released, withdrawn (valid lifetime 0),
//	                      moved away, cleared, evicted
//
// A Table belongs to one goroutine. Delegations are values; what is handed out
// is a copy.
package delegation

import (
	"net/netip"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Kind tells a delegated prefix from an assigned address.
type Kind uint8

// Prefix is an IA_PD's IAPREFIX; Address an IA_NA's IAADDR outside the link's
// own prefixes, held as a /128.
const (
	Prefix Kind = iota
	Address
	kinds
)

func (k Kind) String() string { return [...]string{"prefix", "address"}[k] }

// Source is where a delegation was learned.
type Source uint8

// The sources. More come with leasequery.
const (
	FromReply Source = iota + 1
	FromStore
)

func (s Source) String() string { return [...]string{"unknown", "reply", "store"}[s] }

// Delegation is one prefix or address in the hands of one client.
type Delegation struct {
	Link   string // name of the client-facing interface
	VRF    string // VRF of that interface: prefixes are unique within one
	Prefix netip.Prefix
	Kind   Kind

	Client    string // DUID, its octets
	IAID      uint32
	NextHop   netip.Addr // where the client's messages come from
	LinkLayer linkaddr.Addr
	Line      uint32       // on which a server's word about it was heard, see hoststate.State.Line; not kept in the store
	Exclude   netip.Prefix // a part of Prefix that the client has not got (RFC 6603); invalid: none

	Preferred instant.Instant // when the preferred lifetime ends
	Valid     instant.Instant // when the valid lifetime ends
	Lifetime  time.Duration   // valid lifetime as last granted; instant.Never's distance if infinite

	Server  string // name of the peer that it came through
	Source  Source
	Granted time.Time // when the client first got it
	Changed time.Time // when it was last granted or extended

	Standing Standing
}

// Standing is how the holder stands to its delegation, as far as messages have shown
// since the process began. It is not kept: what is not known is no claim, and nothing
// is given up.
type Standing struct {
	Renewed instant.Instant // when a Renew or Rebind of the holder last named it; 0: not yet
	XID     uint32          // of that message
	GivenUp bool            // the answer to it left the prefix out, and nothing has granted it since
	Doubted bool            // since then a Release for it was forwarded that is not the holder's
}

// Claimed is how long a Renew or Rebind, or traffic, shows that a client still uses
// its prefix.
const Claimed = 60 * time.Second

// Grant is what a source says of one prefix or address.
type Grant struct {
	Link, VRF           string
	Prefix              netip.Prefix
	Kind                Kind
	Client              string
	IAID                uint32
	NextHop             netip.Addr
	LinkLayer           linkaddr.Addr // invalid: unknown
	Line                uint32        // that the word came to
	Contested           bool          // several hosts say that NextHop is theirs: LinkLayer is that of the last
	Preferred, Lifetime time.Duration // math.MaxInt64: infinite
	Server              string
	Source              Source
	Exclude             netip.Prefix // as in a Delegation
}

// EventKind is what happened to a delegation.
type EventKind uint8

// The events.
const (
	Granted EventKind = iota + 1
	Extended
	Moved
	Ended
	Refused
)

func (k EventKind) String() string {
	return [...]string{"none", "granted", "extended", "moved", "ended", "refused"}[k]
}

// Event is one change of the table, or one refusal to change it. Old is set for
// Extended, Moved and Ended, New for all but Ended; for Refused, New is what
// would have been.
type Event struct {
	Kind     EventKind
	Reason   Reason
	Old, New Delegation
	Detail   string // of a refusal: what is in the way; who judges the Terms fills it in

	// AskedFrom is set where the holder has asked from another address than its next
	// hop. The next hop is to move there, by Follow, once that address answers.
	AskedFrom netip.Addr
}

// Reason is why a delegation ended, or why a grant was refused.
type Reason uint8

// Reasons of an end, then reasons of a refusal.
const (
	NoReason Reason = iota
	Expired
	Released
	Withdrawn // the server gave it a valid lifetime of 0
	MovedAway
	Cleared
	Evicted

	LimitClient
	LimitLink
	LimitHost
	NotDelegable
	Overlap
	MoveDenied
	StillAnswers // the old next hop answered the probe, and claims the prefix
	DuplicateDUID
	Blocked
	BadLifetimes
	NotKept         // the store failed
	ReleaseMismatch // a Release that is not the holder's: ignored
	AnswersRelease  // it is in the answer to a Release
	reasons
)

var reasonNames = [reasons]string{
	"", "expired", "released", "withdrawn", "moved-away", "cleared", "evicted",
	"limit-client", "limit-link", "limit-host", "not-delegable", "overlap", "move-denied", "still-answers", "duplicate-duid", "blocked", "bad-lifetimes", "not-kept", "release-mismatch", "answers-release",
}

func (r Reason) String() string { return reasonNames[r] }

// IsLimit reports whether the reason is one of the limits.
func (r Reason) IsLimit() bool { return r == LimitClient || r == LimitLink || r == LimitHost }

// Reasons are all reasons there are, for counters.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := NoReason + 1; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}

// Refuses reports whether a grant is refused, or a Release not believed, for the
// reason; the others are those of an end.
func (r Reason) Refuses() bool { return r >= LimitClient }

// Subject is the delegation that an event is about: what is, or else what was.
func (e *Event) Subject() *Delegation {
	if e.Kind == Ended {
		return &e.Old
	}
	return &e.New
}
