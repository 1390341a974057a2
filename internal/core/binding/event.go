package binding

import "net/netip"

// EventKind is what happened to a binding.
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
	Old, New Binding
	Detail   string // of a refusal: what is in the way

	// AskedFrom is set where the holder has sent its message from another address than its
	// next hop. The core moves the next hop to that address once it answers a probe.
	AskedFrom netip.Addr
}

// Reason is why a binding ended, or why a grant was refused.
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
	Replaced // the server gave the client another one in its place
	Declined // its client has found that another host uses it

	LimitClient
	LimitLink
	LimitHost
	NotDelegable
	Overlap
	MoveDenied
	StillAnswers // the holder answered the probe, and claims the prefix
	DuplicateDUID
	Blocked
	BadLifetimes
	NotKept         // the store failed
	ReleaseMismatch // a Release that did not come from the holder: ignored
	AnswersRelease  // it is in the answer to a Release
	reasons
)

var reasonNames = [reasons]string{
	"", "expired", "released", "withdrawn", "moved-away", "cleared", "evicted", "replaced", "declined",
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

// Refuses reports whether the reason is one for which a grant is refused or a Release
// ignored. The other reasons are those of an end.
func (r Reason) Refuses() bool { return r >= LimitClient }

// Subject is the binding that an event is about: the new one if there is one, else the old
// one.
func (e *Event) Subject() *Binding {
	if e.Kind == Ended {
		return &e.Old
	}
	return &e.New
}

// Grants reports whether events give a client what it had not.
func Grants(events []Event) bool {
	for i := range events {
		if k := events[i].Kind; k == Granted || k == Moved {
			return true
		}
	}
	return false
}
