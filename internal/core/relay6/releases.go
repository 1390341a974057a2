package relay6

import (
	"net/netip"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// releases remembers which Releases and Declines were forwarded lately, to know
// their answers. It is bounded: the oldest go first, half of all at a time. The
// answer to one that was crowded out is read as any other Reply.
type releases struct {
	young, old map[asked]instant.Instant // when it was forwarded
	newest     instant.Instant
}

// asked is what a message and its answer have in common. The answer does not show
// the link-layer address that the message came from; where one host alone uses the
// IPv6 address, it is that host's.
type asked struct {
	from   links.Neighbour
	host   linkaddr.Addr
	client string
	xid    uint32
}

const (
	maxReleases = 4096 // of both generations
	// How long an answer may take. RFC 8415 section 7.6: a client sends a Release
	// again for 15 seconds at most (REL_TIMEOUT, REL_MAX_RC).
	releaseAnswered = 60e9 // nanoseconds
	// RFC 8415 section 11.1: a DUID has 128 octets and a type of two at most.
	maxDUID = 130
)

func newReleases() releases { return releases{young: make(map[asked]instant.Instant)} }

// idle reports whether none is waited for.
func (s *releases) idle(now instant.Instant) bool {
	return len(s.young)+len(s.old) == 0 || now-s.newest >= releaseAnswered
}

// note takes note of a Release or Decline that was forwarded.
func (s *releases) note(now instant.Instant, k asked) {
	if len(k.client) > maxDUID {
		return
	}
	if len(s.young) >= maxReleases/2 {
		s.young, s.old = make(map[asked]instant.Instant), s.young
	}
	s.young[k], s.newest = now, now
}

// replace has any other message take the place of a Release with the same
// transaction-id: some clients have one transaction-id for all. It is asked for each
// message of a client, and allocates nothing where there is none.
func (s *releases) replace(from links.Neighbour, host linkaddr.Addr, client []byte, xid uint32) {
	for _, generation := range [...]map[asked]instant.Instant{s.young, s.old} {
		// Unlike delete, the look-up makes no string of its own.
		if _, ok := generation[asked{from, host, string(client), xid}]; !ok {
			continue
		}
		delete(generation, asked{from, host, string(client), xid})
	}
}

// answered reports whether a Reply answers one of them.
func (s *releases) answered(now instant.Instant, k asked) bool {
	at, ok := s.young[k]
	if !ok {
		at, ok = s.old[k]
	}
	return ok && now-at < releaseAnswered
}

// answersRelease reports whether a Reply to a client answers a Release or Decline.
// While several hosts use the client's address, anybody may have sent that.
func (r *Relay) answersRelease(now instant.Now, l *link, client netip.Addr, m dhcp6.Message, duid string) bool {
	if r.releases.idle(now.Boot) {
		return false
	}
	by, contested := r.neighbours.Claimed(now.Boot, l.Index, client)
	return !contested && r.releases.answered(now.Boot, asked{links.NeighbourOf(l.Index, client), by, duid, m.TransactionID()})
}
