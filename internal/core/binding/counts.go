package binding

// Counts count what has happened to bindings, and why.
type Counts struct {
	events  [Refused + 1]uint64 // by EventKind
	reasons [reasons]uint64     // by Reason, of ends and of refusals
}

// Add counts events.
func (c *Counts) Add(events []Event) {
	for i := range events {
		e := &events[i]
		c.events[e.Kind]++
		if e.Kind == Ended || e.Kind == Refused {
			c.reasons[e.Reason]++
		}
	}
}

// Refuse counts n refusals that are no events.
func (c *Counts) Refuse(why Reason, n uint64) { c.reasons[why] += n }

// ByName are the counts by the names of kinds and reasons: bindings that were granted, extended,
// moved and ended; ends; refusals.
func (c *Counts) ByName() (events, ends, refusals map[string]uint64) {
	events, ends, refusals = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64)
	for kind := Granted; kind < Refused; kind++ {
		events[kind.String()] = c.events[kind]
	}
	for _, r := range Reasons() {
		if r.Refuses() {
			refusals[r.String()] = c.reasons[r]
		} else {
			ends[r.String()] = c.reasons[r]
		}
	}
	return events, ends, refusals
}
