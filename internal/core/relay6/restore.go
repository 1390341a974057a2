package relay6

import (
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/peers"
)

// Restore takes in what was kept, before any socket opens (RFC 8987 S-1). Links
// are told of before it. What it wants of routes and filter elements is not in
// the Effects: a comparison finds what of it the kernel lacks.
func (r *Relay) Restore(now instant.Now, records iter.Seq[binding.Record], blocks []delegation.Block, lastWall time.Time, eff *effect.Effects) {
	for rec := range records {
		rec.Line = r.resumed(&rec.Binding)
		r.table.Restore(now, rec, r.bootID, lastWall)
	}
	r.before = nil
	for _, b := range blocks {
		r.table.Block(b)
	}
	for _, name := range r.links.Names() {
		r.ledger.Rehome(name, r.links.Named(name).VRF)
	}
	for _, name := range r.lostLinks() {
		r.ledger.Install(r.applyLostPolicy(name), eff)
	}
	r.tellAddressesSince(eff)
	for d := range r.table.All() {
		if !r.stranded(&d) {
			r.host.PutSilently(r.forKernel(&d))
		}
		if r.covers(&d) {
			r.markCovering(d.Link, d.Prefix)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.covering)) {
		r.ledger.Install(r.settleCovered(nil, name), eff)
	}
	if r.table.Held() > 0 {
		eff.Note(effect.Note{Kind: effect.NoteClock, Text: "wall clock cannot be trusted yet: nothing that was restored expires before its whole lifetime has passed"})
	}
}

// AdoptLeftOver has the next whole comparison with the kernel make orphans of what
// it finds left over, until that instant: what was kept cannot explain everything.
func (r *Relay) AdoptLeftOver(until instant.Instant) {
	r.orphansEnd = until
	r.host.AdoptLeftOver()
}

// Orphans are the orphans now.
func (r *Relay) Orphans(yield func(hoststate.Delegation) bool) { r.host.Orphans(yield) }

// OrphansEnd is when all orphans end that are left by then.
func (r *Relay) OrphansEnd() instant.Instant { return r.orphansEnd }

// endOrphans ends a bounded number of the orphans that match, and says how many.
func (r *Relay) endOrphans(match func(link string, p netip.Prefix) bool, eff *effect.Effects) int {
	ops, n := r.host.EndOrphans(nil, orphansAtOnce, match)
	r.ledger.Install(ops, eff)
	return n
}

// orphansAtOnce bounds how many orphans end together.
const orphansAtOnce = 1024

// InstallDelegated has everything installed that delegations want of the kernel, which has
// nothing of it, part by part: carryOut carries out what is in the Effects. It says how
// many operations these were.
func (r *Relay) InstallDelegated(eff *effect.Effects, carryOut func()) (n int) {
	ops := make([]hoststate.Op, 0, partOfComparison)
	install := func() {
		eff.Reset()
		r.ledger.Install(ops, eff)
		carryOut()
		n += len(ops)
		ops = ops[:0]
	}
	for op := range r.host.Delegated {
		if ops = append(ops, op); len(ops) == cap(ops) {
			install()
		}
	}
	install()
	return n
}

// CompareHost begins to compare what the kernel has of ours with what is wanted.
// It goes on with ComparePart once everything that was asked of the kernel until
// now is carried out and the kernel is read.
func (r *Relay) CompareHost() *hoststate.Comparison { return r.host.Compare() }

// partOfComparison is how many routes and elements are compared at once: a few
// milliseconds at most, as packets wait meanwhile.
const partOfComparison = 4096

// ComparePart goes on with a comparison and mends the differences that it finds.
// Whole is false where the comparison is worth nothing any more: too much has
// changed since it began, or another core has come.
func (r *Relay) ComparePart(c *hoststate.Comparison, reading *hoststate.Reading, eff *effect.Effects) (found []hoststate.Finding, done, whole bool) {
	if !r.host.Compares(c) {
		return nil, true, false
	}
	ops, found, done := c.Next(nil, reading, partOfComparison)
	if done && reading.HasElements() {
		r.ledger.Compared()
	}
	r.ledger.Install(ops, eff)
	return found, done, true
}

// CompareAll does all of a comparison at once. Nothing may have been asked of the
// kernel since it was read.
func (r *Relay) CompareAll(actual hoststate.Actual, eff *effect.Effects) []hoststate.Finding {
	ops, found := r.host.CompareAll(nil, actual)
	r.ledger.Install(ops, eff)
	return found
}

// Blocks are the operator's blocks.
func (r *Relay) Blocks() []delegation.Block { return r.table.Blocks() }

// Delegations are the live delegations.
func (r *Relay) Delegations(yield func(binding.Binding) bool) {
	for d := range r.table.All() {
		if !yield(d) {
			return
		}
	}
}

// DelegationOn is the live delegation of exactly this prefix on a link.
func (r *Relay) DelegationOn(name string, p netip.Prefix) (d binding.Binding, ok bool) {
	if l := r.links.Named(name); l != nil {
		d, ok = r.table.Lookup(l.VRF, p)
	}
	return d, ok && d.Link == name
}

// Clear ends delegations by the operator's word (RFC 8987 O-2), a bounded number
// of them, and returns how many; it is called until that is none. Orphans are among
// them, unless a client is named: of theirs nothing is known.
func (r *Relay) Clear(now instant.Now, s delegation.Selection, eff *effect.Effects) int {
	r.events = r.table.Clear(r.events[:0], s)
	n := len(r.events)
	for rest := r.events; len(rest) > 0; {
		k := min(len(rest), 256)
		r.ledger.Commit(now, rest[:k], eff)
		rest = rest[k:]
	}
	if s.Client.IsZero() && (s.All || s.Prefix.IsValid() || s.Link != "") {
		n += r.endOrphans(func(link string, p netip.Prefix) bool {
			return (!s.Prefix.IsValid() || s.Prefix == p) && (s.Link == "" || s.Link == link)
		}, eff)
	}
	return n
}

// Block has what matches b not learned until it is unblocked.
func (r *Relay) Block(b delegation.Block, eff *effect.Effects) {
	if r.table.Block(b) {
		r.ledger.Keep([]effect.KeepOp{{Key: delegation.BlockKey(nil, b), Value: []byte{}}}, eff)
	}
}

// Unblock takes a block away; false if there was none.
func (r *Relay) Unblock(b delegation.Block, eff *effect.Effects) bool {
	if !r.table.Unblock(b) {
		return false
	}
	r.ledger.Keep([]effect.KeepOp{{Key: delegation.BlockKey(nil, b)}}, eff)
	return true
}

// Peers are all peers, in the order of the configuration.
func (r *Relay) Peers(now instant.Now) []peers.View {
	return r.peers.Views(now.Boot, func(index int) string {
		if l := r.links.At(index); l != nil {
			return l.Name
		}
		return ""
	})
}

// Totals are figures of the relay as a whole.
type Totals struct {
	Figures
	ledger.Progress
	Releases int // that are remembered, to know their answers
	Unknown  [effect.DropCount]uint64
	Sum      Traffic           // of all links that ever were, and of unknown interfaces
	Refusals map[string]uint64 // by every binding.Reason that refuses
}

// Figures are the numbers among the totals. Operators read them as api.Figures, which
// has the same fields in the same order: a figure more here does not compile until it
// has a name there.
type Figures struct {
	Links, Prefixes, Addresses int
	Held                       int // Replies that wait for a probe
	HeldByClock                int // restored delegations that wait for a trustworthy clock
	Neighbours                 int
	ServerUnicast              uint64 // Replies that let clients pass the relay by
}

// Totals are the figures now.
func (r *Relay) Totals() Totals {
	t := Totals{
		Figures: Figures{
			Links: r.links.Len(), Prefixes: r.table.Len(binding.Prefix), Addresses: r.table.Len(binding.Address),
			Held: len(r.held), HeldByClock: r.table.Held(), Neighbours: r.neighbours.Len(), ServerUnicast: r.unicast,
		},
		Progress: r.ledger.Progress(),
		Releases: len(r.releases.young) + len(r.releases.old), Unknown: r.unknown, Sum: r.sum, Refusals: make(map[string]uint64),
	}
	refusals := r.refusals
	refusals[binding.NotKept] += r.ledger.TakenBack()
	for _, reason := range binding.Reasons() {
		if reason.Refuses() {
			t.Refusals[reason.String()] = refusals[reason]
		}
	}
	return t
}

// Unkept is how many delegations the store has not got as they are.
func (r *Relay) Unkept() int { return r.ledger.Progress().Unkept }

// HostCounts are figures of what is wanted of the kernel.
func (r *Relay) HostCounts() hoststate.Counts { return r.host.Counts() }
