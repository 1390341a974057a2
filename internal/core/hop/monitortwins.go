package hop

import (
	"cmp"
	"slices"
	"time"

	"fairlead/internal/core/instant"
	"fairlead/internal/core/trust"
)

// Both ends may begin at once, and an end that lost patience with a negotiation may
// not know what came of it. Then there are several SAs for one hop, of which the peer
// may know but one; the kernel sends by the newest, and nothing may arrive. So all but
// one go, after a while: those by which nothing comes in.
const manySAs = "several SAs for one hop: the peer may know of one alone"

// How long several SAs are borne. The side that serves waits longer, so that both do
// not take away what the other keeps.
const (
	bearTwins       = 10 * time.Second
	bearTwinsLonger = 15 * time.Second
)

// twins are IKE SAs of one hop that have an SA for DHCP each.
type twins struct {
	since instant.Instant
	in    map[uint32]uint64 // packets that had come in by each, then
}

// Why IKE SAs go that carry nothing, and how many of a hop are borne at all: one may be
// on its way to a child, or be rekeyed.
const (
	idleSAs = "IKE SAs without an SA of ESP: the peer has no use for so many"
	maxSAs  = 8
)

// crowd has those of a hop's IKE SAs ended that carry nothing, once they are many: the
// oldest first. A peer with a good key may open as many as it likes, and all hops of
// the host would pay for them.
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

// prune returns those of a hop's IKE SAs that are too many, once there have been
// several for a while.
func (w *watched) prune(now instant.Instant, mine []*IKESA) (many []uint32) {
	holders := make(map[uint32]*ChildSA)
	each(mine, func(i *IKESA, s *ChildSA) {
		if best := holders[i.ID]; s.Selector == "dhcp" && (best == nil || s.Age < best.Age) {
			holders[i.ID] = s
		}
	})
	if len(holders) < 2 {
		w.twins = twins{}
		return nil
	}
	crowded := len(holders) > maxSAs // by a peer that makes more and more
	for id := range holders {
		if _, known := w.twins.in[id]; !known && !crowded { // there is one more: from the start
			w.twins = twins{since: now, in: make(map[uint32]uint64, len(holders))}
			for id, s := range holders {
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
	for id, s := range holders {
		if best == 0 || w.twins.better(id, s, best, holders[best]) {
			best = id
		}
	}
	for id := range holders {
		if id != best {
			many = append(many, id)
		}
	}
	w.twins = twins{}
	return many
}

// better reports whether SA a is rather the one that the peer uses than b: more came
// in by it, or it is newer.
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
