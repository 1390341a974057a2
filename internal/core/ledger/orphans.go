package ledger

import (
	"net/netip"
	"strconv"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
)

// AdoptLeftOver has the next whole comparison with the kernel make orphans of the routes and
// elements that are left over, because the store cannot explain all of them. They are orphans
// until that instant at most.
func (k Kernel) AdoptLeftOver(until instant.Instant) {
	k.of.orphansEnd = until
	k.of.host.AdoptLeftOver()
}

// Orphans yields the present orphans, each with its VRF.
func (k Kernel) Orphans(yield func(vrf string, o hoststate.Delegation) bool) {
	k.of.host.Orphans(yield)
}

// OrphansEnd is when the orphans end that are left by then. It means something while there are
// orphans.
func (k Kernel) OrphansEnd() instant.Instant { return k.of.orphansEnd }

// OrphansOn are the numbers of orphans by link.
func (l *Ledger) OrphansOn() map[string]int {
	on := make(map[string]int)
	for _, o := range l.host.Orphans {
		on[o.Link]++
	}
	return on
}

// orphansAtOnce bounds how many orphans end together.
const orphansAtOnce = 1024

// EndOrphans ends a bounded number of the orphans that match, and returns how many.
func (l *Ledger) EndOrphans(match func(link string, p netip.Prefix) bool, eff *effect.Effects) int {
	ops, n := l.host.EndOrphans(nil, orphansAtOnce, match)
	l.Install(ops, eff)
	return n
}

// orphansDue is when the time of the orphans ends.
func (l *Ledger) orphansDue() instant.Instant {
	if l.host == nil || l.host.Counts().Orphans == 0 {
		return instant.Never
	}
	return l.orphansEnd
}

// endOrphansInTime ends the orphans whose time is over, a bounded number of them.
func (l *Ledger) endOrphansInTime(now instant.Now, eff *effect.Effects) {
	if l.orphansDue() > now.Boot {
		return
	}
	n := l.EndOrphans(func(string, netip.Prefix) bool { return true }, eff)
	eff.Note(effect.Note{Kind: effect.NoteForeign, Text: "orphans ended: nobody has explained them in time", Reason: strconv.Itoa(n)})
}

// adoptAs has what the ledger before held for orphans be orphans again: the kernel has it still.
func (l *Ledger) adoptAs(old *Ledger) {
	if old.host != nil && (old.host.Counts().Orphans > 0 || old.host.Adopts()) {
		l.Kernel().AdoptLeftOver(old.orphansEnd)
	}
}
