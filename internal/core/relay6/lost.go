package relay6

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
)

// A link with clients that goes down or away loses its prefixes, and mostly gets them
// again. Until it is clear that the link does not get them again, the prefixes stay reserved
// for the link: a client with a delegation around them, on whatever link, does not get their
// traffic.

// lostPrefixes are the prefixes that a link with clients had and does not have any more.
type lostPrefixes struct {
	of       *link // where no interface has the name: a link that only stands for the name
	prefixes []netip.Prefix
	all      bool            // the link has no prefix at all
	lapses   instant.Instant // when the prefixes are given up; 0: the next Tick decides
}

// These are the times for which lost prefixes stay reserved. A link without any prefix may
// get its prefixes back for as long as its link-address. Where a link has other prefixes, its
// addresses are going one by one, or coming back one by one, or an operator has removed one
// for good: after a minute it is known which of these it is.
const (
	allLostFor  = links.MissingFor
	partLostFor = time.Minute
)

// maxLeft bounds the names that have prefixes reserved and no interface.
const maxLeft = 4096

// restake reserves for a link the prefixes that it has now, and those that it has lost.
// A prefix that the link has now, or a part of it, is no longer reserved for another link
// that has lost it.
func (r *Relay) restake(ops []hoststate.Op, l *link) []hoststate.Op {
	own := l.OnLink()
	all := slices.Concat(own, r.lose(l, own))
	slices.SortFunc(all, netip.Prefix.Compare)
	ops = r.stake(ops, l, all)
	if len(r.lost) == 0 {
		return ops
	}
	for _, p := range own {
		for _, at := range r.reserved.within(l.VRF, p) {
			if at.of != l && r.hasLost(at.of, at.prefix) {
				ops = r.restake(ops, at.of)
			}
		}
	}
	return ops
}

// lose takes note of the prefixes that a link has lost, once its present prefixes are known,
// and returns the lost ones. A prefix that the link did not have before shows that the link
// is renumbered, and that its lost prefixes do not come back.
func (r *Relay) lose(l *link, own []netip.Prefix) []netip.Prefix {
	var missing []netip.Prefix
	if l.rule != nil && !slices.ContainsFunc(own, func(p netip.Prefix) bool { return !l.staked(p) }) {
		for _, at := range l.stakes {
			if !slices.Contains(own, at.prefix) && !r.isOf(at.prefix, l) {
				missing = append(missing, at.prefix)
			}
		}
	}
	lost := r.lost[l.Name]
	if len(missing) == 0 {
		delete(r.lost, l.Name)
		return nil
	}
	if lost == nil {
		lost = new(lostPrefixes)
		r.lost[l.Name] = lost
	}
	all := len(own) == 0
	if lost.all && !all || slices.ContainsFunc(missing, func(p netip.Prefix) bool { return !slices.Contains(lost.prefixes, p) }) {
		lost.lapses = 0
	}
	lost.of, lost.prefixes, lost.all = l, missing, all
	if !l.gone && !l.Up {
		lost.lapses = 0 // the time begins to run when the link is up again
	} else if lost.lapses == 0 {
		r.lostAt = 0
	}
	return missing
}

// staked reports whether a prefix, or one around it, is reserved for the link.
func (l *link) staked(p netip.Prefix) bool {
	return slices.ContainsFunc(l.stakes, func(at stake) bool { return at.prefix.Bits() <= p.Bits() && at.prefix.Contains(p.Addr()) })
}

// hasLost reports whether a prefix is reserved for a link that has lost it.
func (r *Relay) hasLost(l *link, p netip.Prefix) bool {
	lost := r.lost[l.Name]
	return lost != nil && lost.of == l && slices.Contains(lost.prefixes, p)
}

// hasLeft reports whether a lost prefix is gone with the interface of its link, or was
// removed from a link that still has other prefixes.
func (r *Relay) hasLeft(l *link, p netip.Prefix) bool {
	return r.hasLost(l, p) && (l.gone || !r.lost[l.Name].all)
}

// isOf reports whether another link than l has p, or a prefix around it.
func (r *Relay) isOf(p netip.Prefix, l *link) bool {
	return slices.ContainsFunc(r.reserved.around(l.VRF, p), func(at owned) bool {
		return at.of != l && !r.hasLost(at.of, at.prefix)
	})
}

// leave keeps the prefixes of a link reserved for its name after its interface has gone.
func (r *Relay) leave(ops []hoststate.Op, l *link) []hoststate.Op {
	gone := &link{Entry: links.Entry{Link: l.Gone()}, rule: l.rule, gone: true}
	r.handOver(l, gone)
	ops = r.restake(ops, gone)
	if len(r.lost) <= maxLeft {
		return ops
	}
	n, first := 0, (*lostPrefixes)(nil)
	for _, lost := range r.lost {
		if !lost.of.gone {
			continue
		}
		n++
		if first == nil || lost.endsBefore(first) {
			first = lost
		}
	}
	if n > maxLeft {
		ops = r.giveUp(ops, first.of)
	}
	return ops
}

// endsBefore tells which of two links that are gone is forgotten first.
func (p *lostPrefixes) endsBefore(q *lostPrefixes) bool {
	if p.lapses != q.lapses {
		return q.lapses == 0 || p.lapses != 0 && p.lapses < q.lapses
	}
	return p.of.Name < q.of.Name
}

// takeBack gives a link the prefixes that were reserved for its name while no interface had
// the name.
func (r *Relay) takeBack(l *link) {
	if lost := r.lost[l.Name]; lost != nil && lost.of.gone {
		r.handOver(lost.of, l)
		lost.of = l
	}
}

// handOver reserves for one link the prefixes that were reserved for another.
func (r *Relay) handOver(from, to *link) {
	for _, at := range from.stakes {
		r.reserved.remove(at, from)
		if !slices.Contains(to.stakes, at) {
			r.reserved.add(at, to)
			to.stakes = append(to.stakes, at)
		}
	}
	from.stakes, to.kept = nil, from.kept
}

// giveUp ends the reservations of a link for its lost prefixes.
func (r *Relay) giveUp(ops []hoststate.Op, l *link) []hoststate.Op {
	delete(r.lost, l.Name)
	return r.stake(ops, l, l.OnLink())
}

// giveUpLost gives up prefixes that have been lost for too long.
func (r *Relay) giveUpLost(now instant.Now, eff *effect.Effects) {
	r.lostAt = instant.Never
	for _, name := range slices.Sorted(maps.Keys(r.lost)) {
		lost := r.lost[name]
		switch {
		case !lost.of.gone && !lost.of.Up:
			continue
		case lost.lapses == 0 && lost.all:
			lost.lapses = now.Boot.After(allLostFor)
		case lost.lapses == 0:
			lost.lapses = now.Boot.After(partLostFor)
		}
		if lost.lapses > now.Boot {
			r.lostAt = min(r.lostAt, lost.lapses)
			continue
		}
		r.ledger.Install(r.giveUp(nil, lost.of), eff)
	}
}

// expectAs reserves the prefixes that a relay that panicked had reserved for links with
// clients, until this relay is told of those links.
func (r *Relay) expectAs(old *Relay) {
	for _, name := range old.links.Names() {
		l := old.links.Named(name)
		r.expect(name, l.VRF, l.lasting())
	}
	for _, name := range slices.Sorted(maps.Keys(old.lost)) {
		before := old.lost[name]
		if before.of.gone {
			r.expect(name, before.of.VRF, before.of.stakes)
		}
		if lost := r.lost[name]; lost != nil {
			lost.all, lost.lapses = before.all, before.lapses
		}
	}
}

// renameLost moves the lost prefixes of a link to its new name, where they join those that
// are reserved for the new name.
func (r *Relay) renameLost(l *link, old string) {
	r.takeBack(l)
	if lost := r.lost[old]; lost != nil {
		delete(r.lost, old)
		r.lost[l.Name] = lost
	}
	if len(l.kept) > 0 {
		r.ledger.LackRecord(LinkKey(old))
		l.kept = nil
	}
}
