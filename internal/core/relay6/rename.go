package relay6

import (
	"maps"
	"net/netip"
	"slices"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
)

// rename gives a link, and all that goes by its name, the name that its interface
// has now: delegations, blocks, what is under way, routes and filter. The store
// hears of the delegations at the next Tick. Another interface that has had the name
// is gone, or the kernel would not have given it away; what was delegated there is
// this link's now.
func (r *Relay) rename(l *link, to *links.Link, eff *effect.Effects) (ops []hoststate.Op) {
	old, name := l.Name, to.Name
	if other := r.byName[name]; other != nil {
		r.dropLink(other, eff)
	}
	for d := range r.table.OnLink(name) {
		if d.VRF != to.VRF { // it was left in a VRF where the link is not
			ops = r.host.Delete(ops, name, d.Prefix)
		}
	}
	for d := range r.table.OnLink(old) {
		r.ledger.Lack(ledger.PlaceOf(&d))
	}
	r.table.Rename(old, name)
	r.renameCovering(old, name)
	r.renameBlocks(old, name, eff)
	r.ledger.Rename(old, name)
	delete(r.byName, old)
	r.byName[name] = l
	l.Link = l.Renamed(name)
	r.renameAddress(old, name)
	r.renameLost(l, old)
	r.resolveBorrowers(old, eff)
	eff.Note(effect.Note{Kind: effect.NoteLink, Link: name, Text: "link renamed", Reason: "it was " + old})
	return r.settleCovered(r.host.Rename(ops, old, name), name)
}

// renameCovering renames a link in what is known of delegations that cover prefixes.
func (r *Relay) renameCovering(old, name string) {
	for p := range r.covering[old] {
		r.markCovering(name, p)
	}
	delete(r.covering, old)
}

func (r *Relay) renameBlocks(old, name string, eff *effect.Effects) {
	var keep []effect.KeepOp
	for _, b := range r.table.Blocks() {
		if b.Link != old {
			continue
		}
		r.table.Unblock(b)
		keep = append(keep, effect.KeepOp{Key: delegation.BlockKey(nil, b)})
		b.Link = name
		r.table.Block(b)
		keep = append(keep, effect.KeepOp{Key: delegation.BlockKey(nil, b), Value: []byte{}})
	}
	r.ledger.Keep(keep, eff)
}

// formerID is an interface-id that a link had before it was renamed: answers to what
// it had forwarded then still come with it.
type formerID struct {
	link  *link
	until instant.Instant // 0: the time has not begun yet
}

const (
	maxFormerIDs = 4096
	// How long answers may be under way. A client that has got none asks again
	// (RFC 8415 section 7.6: a Request within 30 s), by the new name.
	formerIDFor = 120e9 // nanoseconds
)

// hadID takes note that a link has had an interface-id until now.
func (r *Relay) hadID(id string, l *link) {
	if r.formerIDs[l.interfaceID].link == l {
		delete(r.formerIDs, l.interfaceID)
	}
	if id != l.interfaceID && len(r.formerIDs) < maxFormerIDs {
		r.formerIDs[id] = formerID{link: l}
	}
}

// forgetIDs forgets the former interface-ids of a link that is gone.
func (r *Relay) forgetIDs(l *link) {
	maps.DeleteFunc(r.formerIDs, func(_ string, f formerID) bool { return f.link == l })
}

// ageIDs begins the time of former interface-ids, and ends it.
func (r *Relay) ageIDs(now instant.Instant) {
	for id, f := range r.formerIDs {
		switch {
		case f.until == 0:
			f.until = now + formerIDFor
			r.formerIDs[id] = f
		case f.until <= now:
			delete(r.formerIDs, id)
		}
	}
}

// linkByID is the link that the interface-id of a Relay-reply names: the one that
// has it, or that had it until lately. Where these are two, the link-address says
// which of them is meant, or the message belongs to neither.
func (r *Relay) linkByID(now instant.Instant, id []byte, address netip.Addr) (*link, effect.Drop) {
	have := r.byInterfaceID[string(id)]
	if len(r.formerIDs) > 0 {
		r.ageIDs(now)
		if f, had := r.formerIDs[string(id)]; had {
			if len(have) == 0 {
				return f.link, delivered
			}
			if named := r.linkByAddress(address); named != nil && (named == f.link || slices.Contains(have, named)) {
				return named, delivered
			}
			return nil, effect.DropAmbiguousInterfaceID
		}
	}
	if l := only(have); l != nil {
		return l, delivered
	}
	return nil, effect.DropUnknownInterfaceID
}
