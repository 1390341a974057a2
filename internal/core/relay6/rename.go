package relay6

import (
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
)

// rename gives a link, and all that goes by its name, the name that its interface
// has now: delegations, blocks, what is under way, routes and filter. The store
// hears of the delegations at the next Tick. Another interface that has had the name
// is gone, as the kernel gives no two interfaces one name; the delegations there are now this
// link's. elsewhere reports that some of them are in a VRF where the link is not.
func (r *Relay) rename(l *link, to *links.Link, eff *effect.Effects) (ops []hoststate.Op, elsewhere bool) {
	old, name := l.Name, to.Name
	if other := r.links.Named(name); other != nil {
		r.dropLink(other, eff)
	}
	for d := range r.table.OnLink(name) {
		if d.VRF != to.VRF {
			ops, elsewhere = r.host.Delete(ops, name, d.Prefix), true
		}
	}
	r.ledger.Rename(old, name)
	r.table.Rename(old, name)
	r.waiting.Rename(old, name)
	r.renameBlocks(old, name, eff)
	r.links.Rename(l, name)
	r.renameLost(l, old)
	r.resolveBorrowers(old, eff)
	eff.Note(effect.Note{Kind: effect.NoteLink, Link: name, Text: "link renamed", Reason: "it was " + old})
	return r.covering.Update(r.host.Rename(ops, old, name), name), elsewhere
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
