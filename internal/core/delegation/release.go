package delegation

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// Named is one IA of a client's Release (RFC 8987 G-9), Decline, Renew or Rebind, or
// of the answer: what it says about what the client holds.
type Named struct {
	Link, VRF string
	Client    string
	IAID      uint32
	Kind      Kind
	Source    netip.Addr    // where the message came from
	LinkLayer linkaddr.Addr // invalid: unknown
	Contested bool          // several hosts say that Source is theirs
	Prefixes  []netip.Prefix
}

// Release ends what the client gives back: the prefixes that the IA lists, or
// all of the IA if it lists none. It counts only if it shows that it is the
// holder's. Mismatched is how many delegations were named and did not match.
func (t *Table) Release(events []Event, r Named) (_ []Event, mismatched int) {
	for s := range t.ofClient(r.Link, r.Client) {
		e := t.entry(s.ref)
		if e.IAID != r.IAID || e.Kind != r.Kind || len(r.Prefixes) > 0 && !slices.Contains(r.Prefixes, e.Prefix) {
			continue
		}
		if !r.isFrom(&e.Delegation) {
			s.standing.Doubted = true
			mismatched++
			continue
		}
		events = append(events, t.end(e, Released))
	}
	for _, p := range r.Prefixes {
		if e := t.find(r.VRF, p); e != nil && (e.Link != r.Link || e.Client != r.Client || e.IAID != r.IAID || e.Kind != r.Kind) {
			t.slots.At(e.ref).standing.Doubted = true
			mismatched++ // somebody else's
		}
	}
	if len(r.Prefixes) == 0 {
		t.doubtElsewhere(r)
	}
	return events, mismatched
}

// doubtElsewhere takes note of a Release that names no prefix: to a server it may be
// about what its client holds on other links.
func (t *Table) doubtElsewhere(r Named) {
	client := t.names.find(r.Client)
	if client == none || t.names.texts[client].links == 0 {
		return
	}
	for link := range t.links {
		for s := range t.chain(clientKey{link, client}) {
			if t.names.text(link) != r.Link && s.iaid == r.IAID && s.kind == r.Kind {
				s.standing.Doubted = true
			}
		}
	}
}

// Renewing takes note that a Renew or Rebind with that transaction-id names a prefix,
// if it is the holder's.
func (t *Table) Renewing(now instant.Now, r Named, p netip.Prefix, xid uint32) {
	at := t.at(r.VRF, p)
	if at == 0 {
		return
	}
	s := t.slots.At(at)
	if s.iaid == r.IAID && s.kind == r.Kind && t.names.text(s.link) == r.Link && t.names.text(s.client) == r.Client && r.from(s.linkLayer, s.hopAddr()) {
		s.standing.Renewed, s.standing.XID, s.standing.Doubted = now.Boot, xid, false
	}
}

// GivesUp takes note of a Reply to the holder's Renew or Rebind with that
// transaction-id, by the server that has granted the prefixes, which no longer gives
// those that the message named: all but Prefixes. It ends nothing, as a client uses
// what it has until that has expired, and gets it back if it asks in time.
func (t *Table) GivesUp(r Named, server string, xid uint32) {
	for s := range t.ofClient(r.Link, r.Client) {
		if s.iaid == r.IAID && s.kind == r.Kind && s.standing.Renewed != 0 && s.standing.XID == xid &&
			t.names.text(s.server) == server && r.from(s.linkLayer, s.hopAddr()) && !slices.Contains(r.Prefixes, s.where()) {
			s.standing.GivenUp = true
		}
	}
}

// isFrom reports whether a message that names a delegation by link, DUID and IAID
// shows that it is the holder's. A source address is anybody's to write, and a
// client may have several: it says nothing where the link-layer address is known
// that the message must come from. A message that does not show its own (a unicast,
// one whose fragments came from several) then proves nothing. Where the link-layer address is not known,
// the source must be the next hop, and proves nothing while several hosts use it.
func (r Named) isFrom(d *Delegation) bool { return r.from(d.LinkLayer, d.NextHop) }

func (r Named) from(holder linkaddr.Addr, nextHop netip.Addr) bool {
	if holder.IsValid() {
		return holder == r.LinkLayer
	}
	return nextHop == r.Source && !r.Contested
}

// Selection names delegations: those that match every field that is set.
type Selection struct {
	Prefix netip.Prefix // exactly this one
	Client string       // DUID
	Link   string
	All    bool // every delegation; otherwise at least one field must be set
}

// selects reports whether a delegation is selected.
func (s Selection) selects(p netip.Prefix, client, link string) bool {
	if s.All {
		return true
	}
	if !s.Prefix.IsValid() && s.Client == "" && s.Link == "" {
		return false
	}
	return (!s.Prefix.IsValid() || s.Prefix == p) && (s.Client == "" || s.Client == client) && (s.Link == "" || s.Link == link)
}

// clearAtOnce bounds how many delegations one Clear ends.
const clearAtOnce = 1024

// Clear ends selected delegations by the operator's word (RFC 8987 O-2), a
// bounded number of them. It is called until it ends none. What is selected and was
// not installed counts no more.
func (t *Table) Clear(events []Event, s Selection) []Event {
	t.excess.clear(s)
	var found []*entry
	for _, id := range t.sortedLinks() {
		if !s.All && s.Link != "" && t.names.text(id) != s.Link {
			continue
		}
		begin := len(found)
		for held := range t.onLink(id) {
			if len(found) == clearAtOnce {
				break
			}
			if s.selects(held.where(), t.names.text(held.client), t.names.text(id)) {
				found = append(found, t.entry(held.ref))
			}
		}
		slices.SortFunc(found[begin:], func(a, b *entry) int { return a.Prefix.Compare(b.Prefix) })
	}
	for _, e := range found {
		events = append(events, t.end(e, Cleared))
	}
	return events
}

// Block is what may not be learned until the operator unblocks it: every field
// that is set must match.
type Block struct {
	Prefix netip.Prefix
	Client string
	Link   string
}

// Block and Unblock add and take away a block; both report whether that changed
// anything.
func (t *Table) Block(b Block) bool {
	_, had := t.blocks[b]
	t.blocks[b] = struct{}{}
	return !had
}

// Unblock is the reverse of Block.
func (t *Table) Unblock(b Block) bool {
	_, had := t.blocks[b]
	delete(t.blocks, b)
	return had
}

// Blocks are all blocks, in a stable order.
func (t *Table) Blocks() []Block {
	all := make([]Block, 0, len(t.blocks))
	for b := range t.blocks {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Block) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Prefix.String(), b.Prefix.String()))
	})
	return all
}

func (t *Table) isBlocked(g *Grant) bool {
	if len(t.blocks) == 0 {
		return false
	}
	// A block names a subset of three fields: eight look-ups find any.
	for mask := range 8 {
		var b Block
		if mask&1 != 0 {
			b.Prefix = g.Prefix
		}
		if mask&2 != 0 {
			b.Client = g.Client
		}
		if mask&4 != 0 {
			b.Link = g.Link
		}
		if _, ok := t.blocks[b]; ok {
			return true
		}
	}
	return false
}

// settle gives delegations that were restored under an untrusted wall clock
// their true end, once the clock can be trusted.
func (t *Table) settle(now instant.Now) {
	if len(t.held) == 0 || !now.Synced || now.Wall.Before(t.minWall) && now.Boot < t.doubtEnd {
		return
	}
	for _, r := range slices.Sorted(maps.Keys(t.held)) {
		e := t.entry(r)
		e.Valid = min(e.Valid, now.Boot.After(time.Unix(0, t.held[r]).Sub(now.Wall)))
		e.Preferred = min(e.Preferred, e.Valid)
		t.remove(e)
		t.insert(e)
	}
	clear(t.held)
}

// Held is the number of restored delegations that wait for a trustworthy clock.
func (t *Table) Held() int { return len(t.held) }
