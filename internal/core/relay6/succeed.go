package relay6

// Succeed makes r, which knows neither links nor delegations yet, the successor
// of a relay that panicked. Its figures go on where the old ones were, its
// Changes are numbered after the old ones, and it knows the neighbours, the Releases
// under way, the grants of servers beyond the limits, and the traced links and clients.
// Delegations come from the store; those that were proved on their line are proved. The old
// relay is not changed.
func (r *Relay) Succeed(old *Relay) {
	r.ledger.Succeed(old.ledger)
	r.trace, r.neighbours, r.releases, r.before = old.trace, old.neighbours, old.releases, old
	r.table.Succeed(old.table)
	r.traffic, r.refusals, r.unicast = old.traffic, old.refusals, old.unicast
	r.lostAt = old.lostAt
	r.links.Succeed(old.links)
	r.expectAs(old)
	r.peers.Succeed(&old.peers)
	r.gone.Succeed(&old.gone, old.links.Names(), func(name string) LinkCounters { return old.links.Named(name).counters })
}
