package hop

import (
	"cmp"
	"slices"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

// Both ends may begin a negotiation at once, and an end that gave up a negotiation may not
// know its result. Then there are several SAs for one hop, and the peer may know only one
// of them. The kernel sends by the newest SA, and the peer may discard that. So after a
// while all but one are ended: those by which nothing comes in.
const manySAs = "several SAs for one hop: the peer may know of one alone"

// How long several SAs may live side by side. The server waits longer, so that the two
// ends do not each end the SA that the other one keeps.
const (
	bearTwins       = 10 * time.Second
	bearTwinsLonger = 15 * time.Second
)

// twins are IKE SAs of one hop that have an SA for DHCP each.
type twins struct {
	since instant.Instant
	in    map[uint32]uint64 // packets that had come in by each, then
}

// Why IKE SAs without traffic are ended, and how many a hop may have: one may be about to
// get its child, and one may be in rekeying.
const (
	idleSAs = "IKE SAs without an SA of ESP: the peer has no use for so many"
	maxSAs  = 8
)

// crowd ends IKE SAs of a hop that have no traffic, the oldest first, once there are many:
// a peer with a valid key could open any number of them, at the cost of all hops of the
// host.
func (w *watched) crowd(v *view) []Action {
	var idle []*IKESA
	for _, s := range v.ike[w.hop.Name] {
		if s.Established && !slices.ContainsFunc(s.Children, func(c ChildSA) bool { return c.Installed }) {
			idle = append(idle, s)
		}
	}
	if len(idle) <= maxSAs {
		return nil
	}
	slices.SortFunc(idle, func(a, b *IKESA) int { return cmp.Or(cmp.Compare(b.Age, a.Age), cmp.Compare(a.ID, b.ID)) })
	a := Action{Kind: Prune, Hop: w.hop.Name, Why: idleSAs}
	for _, s := range idle[:len(idle)-maxSAs] {
		a.IKE = append(a.IKE, s.ID)
	}
	return []Action{a}
}

// prune returns the IKE SAs of a hop that are to be ended, once there have been several
// for a while.
func (w *watched) prune(now instant.Instant, mine []*IKESA) (many []uint32) {
	newest := make(map[uint32]*ChildSA)
	each(mine, func(i *IKESA, s *ChildSA) {
		if best := newest[i.ID]; s.Selector == "dhcp" && (best == nil || s.Age < best.Age) {
			newest[i.ID] = s
		}
	})
	if len(newest) < 2 {
		w.twins = twins{}
		return nil
	}
	crowded := len(newest) > maxSAs // the peer makes more and more of them
	for id := range newest {
		if _, known := w.twins.in[id]; !known && !crowded { // a further SA: begin again
			w.twins = twins{since: now, in: make(map[uint32]uint64, len(newest))}
			for id, s := range newest {
				w.twins.in[id] = s.In.Packets
			}
			return nil
		}
	}
	patience := bearTwinsLonger
	if w.hop.Role == trust.Server {
		patience = bearTwins
	}
	if !crowded && now < w.twins.since.After(patience) {
		return nil
	}
	best := uint32(0)
	for id, s := range newest {
		if best == 0 || w.twins.better(id, s, best, newest[best]) {
			best = id
		}
	}
	for id := range newest {
		if id != best {
			many = append(many, id)
		}
	}
	w.twins = twins{}
	return many
}

// better reports whether the peer more likely uses SA a than b: more came in by it, or it
// is newer.
func (t *twins) better(a uint32, sa *ChildSA, b uint32, sb *ChildSA) bool {
	// A rekeyed child counts from the start.
	gain := func(id uint32, s *ChildSA) uint64 { return s.In.Packets - min(t.in[id], s.In.Packets) }
	if ga, gb := gain(a, sa), gain(b, sb); ga != gb {
		return ga > gb
	}
	if sa.Age != sb.Age {
		return sa.Age < sb.Age
	}
	return a > b
}
