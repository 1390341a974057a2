package loadgen

// Count returns how many durations were added.
func (h *Histogram) Count() uint64 { return h.total }
