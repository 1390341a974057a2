package relay6

import (
	"net/netip"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/wire/dhcp6"
	"fairlead/internal/wire/linkaddr"
)

// releases remembers the Releases and Declines that were forwarded lately, so that their
// answers are recognised. Their number is bounded: where there are too many, the older half
// is forgotten. The answer to a forgotten message is read as any other Reply.
type releases struct {
	young, old map[asked]instant.Instant // when the message was forwarded
	newest     instant.Instant
	others     *others
}

// others remembers when messages other than Releases were forwarded, by a hash of link,
// source and transaction-id. It tells whether a Reply may answer one of those messages. Two
// messages with the same hash share a place, so the answer may be yes where it should be no.
// It is never no where it should be yes.
type others struct {
	at    [1 << 16]uint16 // seconds, which begin anew every 18 hours
	since instant.Instant // when the first message was forwarded; 0: none was
}

func placeOf(from links.Neighbour, xid uint32) uint64 {
	return (from.Hash() ^ uint64(xid)) * 0x9e3779b97f4a7c15 >> 48
}

func seconds(now instant.Instant) uint16 { return uint16(now / 1e9) }

func (o *others) note(now instant.Instant, from links.Neighbour, xid uint32) {
	if o.since == 0 {
		o.since = now
	}
	o.at[placeOf(from, xid)] = seconds(now)
}

// waiting reports whether one of these messages may still be answered. Messages that were
// forwarded before the relay began are not known.
func (o *others) waiting(now instant.Instant, from links.Neighbour, xid uint32) bool {
	return o.since == 0 || now-o.since <= releaseAnswered || seconds(now)-o.at[placeOf(from, xid)] <= releaseAnswered/1e9
}

// asked has the values that a message and its answer have in common. The answer does not
// show the link-layer address that the message came from. Where one host alone uses the IPv6
// address, the link-layer address is that host's.
type asked struct {
	from   links.Neighbour
	host   linkaddr.Addr
	client string
	xid    uint32
}

const (
	maxReleases = 4096 // of both generations
	// An answer may take so long. RFC 8415 section 7.6: a client sends a Release
	// again for 15 seconds at most (REL_TIMEOUT, REL_MAX_RC).
	releaseAnswered = 60e9 // nanoseconds
	// RFC 8415 section 11.1: a DUID has 128 octets and a type of two at most.
	maxDUID = 130
)

func newReleases() releases {
	return releases{young: make(map[asked]instant.Instant), others: new(others)}
}

// idle reports whether no Release and no Decline waits for its answer.
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
// transaction-id: some clients use one transaction-id for all messages. It is called for
// each message of a client, and allocates nothing where there is no such Release.
func (s *releases) replace(from links.Neighbour, host linkaddr.Addr, client []byte, xid uint32) {
	for _, generation := range [...]map[asked]instant.Instant{s.young, s.old} {
		// Unlike delete, the look-up makes no string of its own.
		if _, ok := generation[asked{from, host, string(client), xid}]; !ok {
			continue
		}
		delete(generation, asked{from, host, string(client), xid})
	}
}

// answered reports whether a Reply answers one of the remembered messages.
func (s *releases) answered(now instant.Instant, k asked) bool {
	at, ok := s.young[k]
	if !ok {
		at, ok = s.old[k]
	}
	return ok && now-at < releaseAnswered
}

// answersRelease reports whether a Reply to a client answers a Release or Decline.
// While several hosts use the client's address, any of them may have sent the Release. So
// may any host where the Release did not show its link-layer address, as in fragments. Such
// a Release counts only while no other message with its transaction-id waits for an answer.
// Therefore no host can have the answer to a Request taken for the answer to a Release.
func (r *Relay) answersRelease(now instant.Now, l *link, client netip.Addr, m dhcp6.Message, duid string) bool {
	if r.releases.idle(now.Boot) {
		return false
	}
	by, contested := r.neighbours.LastUsedBy(now.Boot, l.Index, client)
	if contested {
		return false
	}
	k := asked{links.NeighbourOf(l.Index, client), by, duid, m.TransactionID()}
	if r.releases.answered(now.Boot, k) {
		return true
	}
	k.host = linkaddr.Addr{}
	return by.IsValid() && r.releases.answered(now.Boot, k) && !r.releases.others.waiting(now.Boot, k.from, k.xid)
}
