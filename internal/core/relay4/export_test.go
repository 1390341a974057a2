package relay4

// PendingLen is how many transactions are remembered.
func (r *Relay) PendingLen() int { return len(r.pending.young.all) + len(r.pending.old.all) }
