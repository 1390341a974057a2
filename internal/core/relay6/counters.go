package relay6

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/traffic"
)

// LinkCounters are the counters of one link.
type LinkCounters struct {
	traffic.Counts
	LinkCounts
}

// LinkCounts are the counters of a link that are one number each. Operators read them as
// api.LinkCounts, which has the same fields: the program does not compile until a new field
// is in both.
type LinkCounts struct {
	Refused uint64 // grants that were not learned

	// SensitiveOmitted counts Relay-forwards that went without options which only
	// a protected hop may carry (RFC 8213 section 3).
	SensitiveOmitted uint64

	// AssignmentsRefused counts Relay-replies whose word of what the server has assigned
	// was not believed: the server is not protected, or is not to tell it.
	AssignmentsRefused uint64
}

// counts are the counters of the link that all cores have; nil for no link.
func (l *link) counts() *traffic.Counts {
	if l == nil {
		return nil
	}
	return &l.counters.Counts
}

// CountDrop counts n datagrams that the shell discarded on a link.
func (r *Relay) CountDrop(index int, d effect.Drop, n uint64) {
	r.traffic.Drop(r.links.At(index).counts(), d, n)
}

// CountUnsent takes n datagrams back that the shell could not send to a peer.
func (r *Relay) CountUnsent(to netip.Addr, n uint64) {
	r.peers.CountUnsent(to, n)
}
