package hop

import (
	"slices"
	"time"

	"fairlead/internal/core/instant"
)

// observeIKE looks at a hop that strongSwan keys. It returns the hop's problem, and the
// actions for this hop.
func (w *watched) observeIKE(now instant.Now, v *view) (problem string, actions []Action) {
	mine := v.ike[w.hop.Name]
	if v.Charon != nil {
		w.unheard = 0
	}
	switch {
	case v.Charon == nil && v.CharonError == "":
		return notWatched, nil
	case v.Charon == nil:
		// strongSwan may be late once, on a busy machine; traffic goes on meanwhile.
		if w.unheard++; w.unheard == 1 && w.up {
			return w.state.Problem, nil
		}
		// strongSwan may have restarted, and then numbers its SAs from the start.
		clear(w.probing)
		clear(w.hanging)
		return noCharon + v.CharonError, nil
	case v.Kernel == nil:
		return noKernel + v.KernelError, nil
	}
	w.account(mine)
	// After a reboot of the peer there may be a good SA beside the stale one.
	silent := w.silent(now.Boot, mine)
	hangs := len(lasting(now.Boot, mine, w.hanging, hangAfter, func(s *IKESA) bool { return !s.Established })) > 0
	again := func(why string) (string, []Action) {
		if !w.reinstall.due(now.Boot) {
			return why, nil
		}
		w.initiate.reset()
		return why, []Action{{Kind: Reinstall, Hop: w.hop.Name, Why: why}}
	}
	switch {
	case !v.loaded[w.hop.Name]:
		return notLoaded, nil
	case !w.hasPolicies(v):
		return again(noPolicy)
	}
	if lost, twice := w.lacksState(v, mine); w.serving(v, mine, "dhcp", silent) != nil {
		// Another SA carries the traffic, as while both ends rekey at once.
	} else if twice {
		return again(noState)
	} else if lost {
		return w.state.Problem, nil
	}
	for _, s := range w.hop.Selectors() {
		if s.Protocol != UDP {
			continue // leasequery has a connection only while leases are asked for
		}
		switch {
		case w.serving(v, mine, s.Name, silent) != nil:
		case len(silent) > 0:
			return again(deaf)
		default:
			return w.negotiate(now.Boot, mine, s.Name, hangs)
		}
	}
	w.missing = 0
	w.initiate.reset()
	w.reinstall.reset()
	main := w.serving(v, mine, "dhcp", silent)
	w.state.Algorithms, w.state.Age = main.Algorithms, main.Age
	if many := w.prune(now.Boot, mine); len(many) > 0 {
		return "", []Action{{Kind: Prune, Hop: w.hop.Name, IKE: many, Why: manySAs}}
	}
	return "", nil
}

// negotiate begins a negotiation where there is none, and again where one hangs.
func (w *watched) negotiate(now instant.Instant, mine []*IKESA, selector string, hangs bool) (string, []Action) {
	if w.missing == 0 {
		w.missing = now
	}
	switch {
	case hangs && w.reinstall.due(now):
		w.initiate.reset()
		return deaf, []Action{{Kind: Reinstall, Hop: w.hop.Name, Why: deaf}}
	case hangs || negotiating(mine) || !w.begins(now) || !w.initiate.due(now):
		return noSA, nil
	}
	return noSA, []Action{{Kind: Initiate, Hop: w.hop.Name, Selector: selector, Why: noSA}}
}

// negotiating reports whether one of a hop's IKE SAs is on its way.
func negotiating(mine []*IKESA) bool {
	return slices.ContainsFunc(mine, func(s *IKESA) bool { return !s.Established })
}

// enoughUnanswered is how many packets must have left without any coming in before an SA
// counts as one that does not work.
const enoughUnanswered = 3

// silent are the hop's IKE SAs whose peer does not answer. It is not enough that the
// peer's IKE daemon does not answer: as long as ESP comes in, or we send nothing that
// could be answered, the SAs may work, and a hanging daemon cannot make new ones.
func (w *watched) silent(now instant.Instant, mine []*IKESA) map[uint32]bool {
	before := len(w.probing)
	long := lasting(now, mine, w.probing, deafAfter, func(s *IKESA) bool { return s.Probing })
	in, out := w.state.In.Packets, w.state.Out.Packets
	if before == 0 || in > w.probed[0] {
		w.probed = [2]uint64{in, out}
	}
	if out < w.probed[1]+enoughUnanswered {
		return nil
	}
	return long
}

// lasting are the IKE SAs of a hop for which a condition has been true for that long.
// since has the instants at which it became true.
func lasting(now instant.Instant, mine []*IKESA, since map[uint32]instant.Instant, patience time.Duration, is func(*IKESA) bool) map[uint32]bool {
	still, long := make(map[uint32]bool), make(map[uint32]bool)
	for _, s := range mine {
		if !is(s) {
			continue
		}
		still[s.ID] = true
		if _, known := since[s.ID]; !known {
			since[s.ID] = now
		}
		if now >= since[s.ID].After(patience) {
			long[s.ID] = true
		}
	}
	for id := range since {
		if !still[id] {
			delete(since, id)
		}
	}
	return long
}

// each calls f with every child of a hop that strongSwan reports as installed.
func each(mine []*IKESA, f func(*IKESA, *ChildSA)) {
	for _, i := range mine {
		for j := range i.Children {
			if s := &i.Children[j]; s.Installed {
				f(i, s)
			}
		}
	}
}

// serving is the newest child for a selector whose SAs the kernel has both ways,
// and whose peer is not silent.
func (w *watched) serving(v *view, mine []*IKESA, selector string, silent map[uint32]bool) (newest *ChildSA) {
	each(mine, func(i *IKESA, s *ChildSA) {
		if !silent[i.ID] && s.Selector == selector && w.inKernel(v, s) && (newest == nil || s.Age < newest.Age) {
			newest = s
		}
	})
	return newest
}

func (w *watched) inKernel(v *view, s *ChildSA) bool {
	return v.state(w.hop.Local, s.SPIIn) != nil && v.state(w.hop.Remote, s.SPIOut) != nil
}

// lacksState reports whether the kernel lacks an SA that strongSwan reports as installed.
// strongSwan and kernel are not read at one moment, so only the second time counts.
func (w *watched) lacksState(v *view, mine []*IKESA) (lost, twice bool) {
	id := uint32(0)
	each(mine, func(_ *IKESA, s *ChildSA) {
		if !w.inKernel(v, s) {
			id = s.ID
		}
	})
	twice = id != 0 && id == w.lostSA
	w.lostSA = id
	return id != 0, twice
}

// account adds up what has passed all SAs of the hop.
func (w *watched) account(mine []*IKESA) {
	now := make(map[uint32]ChildSA)
	each(mine, func(_ *IKESA, s *ChildSA) { now[s.ID] = *s })
	w.total(now)
}

// total adds what has passed the SAs of now to what has passed those that are
// gone.
func (w *watched) total(now map[uint32]ChildSA) {
	for id, s := range w.children {
		if _, still := now[id]; !still {
			addTraffic(&w.past[0], s.In)
			addTraffic(&w.past[1], s.Out)
		}
	}
	w.children = now
	w.state.In, w.state.Out = w.past[0], w.past[1]
	for _, s := range now {
		addTraffic(&w.state.In, s.In)
		addTraffic(&w.state.Out, s.Out)
	}
}

func addTraffic(t *Traffic, u Traffic) {
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}
