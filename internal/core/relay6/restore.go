package relay6

import (
	"iter"
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/traffic"
)

// Restore takes in the records and blocks of the store, before any socket opens (RFC 8987 S-1).
// SetLink is called for all links before it.
func (r *Relay) Restore(now instant.Now, records iter.Seq[binding.Record], blocks []delegation.Block, lastWall time.Time, eff *effect.Effects) {
	for rec := range records {
		rec.Line = r.resumed(&rec.Binding)
		r.table.Restore(now, rec, r.bootID, lastWall)
	}
	r.before = nil
	for _, b := range blocks {
		r.table.Block(b)
	}
	r.tellAddressesSince(eff)
	r.ledger.Restored(r.setAbsentPolicy, eff)
}

// Kernel is what the relay wants of the kernel.
func (r *Relay) Kernel() ledger.Kernel { return r.ledger.Kernel() }

// Blocks are the operators' blocks.
func (r *Relay) Blocks() []delegation.Block { return r.table.Blocks() }

// Delegations are the live delegations.
func (r *Relay) Delegations(yield func(binding.Binding) bool) { r.table.All()(yield) }

// DelegationOn is the live delegation of exactly this prefix on the named link.
func (r *Relay) DelegationOn(name string, p netip.Prefix) (d binding.Binding, ok bool) {
	if l := r.links.Named(name); l != nil {
		d, ok = r.table.Lookup(l.VRF, p)
	}
	return d, ok && d.Link == name
}

// Clear ends delegations on an operator's order (RFC 8987 O-2), a bounded number of them, and
// returns how many it ended. The caller repeats the call until the result is 0. Orphans are ended
// too, unless the order names a client: whose they are is not known.
func (r *Relay) Clear(now instant.Now, s delegation.Selection, eff *effect.Effects) int {
	r.events = r.table.Clear(r.events[:0], s)
	n := len(r.events)
	r.ledger.CommitAll(now, r.events, eff)
	return n + r.ledger.EndOrphans(s.SelectsOrphan, eff)
}

// Block has grants that match b not learned until Unblock.
func (r *Relay) Block(b delegation.Block, eff *effect.Effects) {
	if r.table.Block(b) {
		r.ledger.Keep([]effect.KeepOp{{Key: delegation.BlockKey(nil, b), Value: []byte{}}}, eff)
	}
}

// Unblock takes a block away; false if there was no such block.
func (r *Relay) Unblock(b delegation.Block, eff *effect.Effects) bool {
	if !r.table.Unblock(b) {
		return false
	}
	r.ledger.Keep([]effect.KeepOp{{Key: delegation.BlockKey(nil, b)}}, eff)
	return true
}

// Peers are all peers, in the order of the configuration.
func (r *Relay) Peers(now instant.Now) []peers.View { return r.peers.Views(now.Boot, r.links.NameAt) }

// Totals are figures of the relay as a whole.
type Totals struct {
	Figures
	ledger.Progress
	Releases int // remembered until they are answered
	Traffic  traffic.Sum
	Refusals map[string]uint64 // by every binding.Reason that refuses
}

// Figures are the numbers among the totals. Operators read them as api.Figures, which has the
// same fields in the same order: a new field here does not compile until api.Figures has it too.
type Figures struct {
	Links, Prefixes, Addresses int
	WaitForProbe               int // Replies that wait for a probe
	WaitForClock               int // restored delegations that wait for a trustworthy clock
	Neighbours                 int
	ServerUnicast              uint64 // Replies that let clients send to the server directly, past the relay
}

// Totals are the present figures.
func (r *Relay) Totals() Totals {
	t := Totals{
		Figures: Figures{
			Links: r.links.Len(), Prefixes: r.table.Len(binding.Prefix), Addresses: r.table.Len(binding.Address),
			WaitForProbe: r.waiting.Len(), WaitForClock: r.table.Waiting(), Neighbours: r.neighbours.Len(), ServerUnicast: r.unicast,
		},
		Progress: r.ledger.Progress(),
		Releases: len(r.releases.young) + len(r.releases.old), Traffic: r.traffic, Refusals: make(map[string]uint64),
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

// Unkept is how many delegations the store does not have in their present state.
func (r *Relay) Unkept() int { return r.ledger.Progress().Unkept }
