package hop

import (
	"time"

	"fairlead/internal/core/instant"
)

// observeIKE looks at a hop that strongSwan keys. It returns what is wrong with
// it, and what is to be done for it alone.
func (w *watched) observeIKE(now instant.Now, seen *Seen) (problem string, actions []Action) {
	c, k := seen.Charon, seen.Kernel
	if c != nil {
		w.unheard = 0
	}
	switch {
	case c == nil && seen.CharonError == "":
		return notWatched, nil
	case c == nil:
		// It may be late once, on a machine that is busy; traffic goes on meanwhile.
		if w.unheard++; w.unheard == 1 && w.up {
			return w.state.Problem, nil
		}
		// It may come back, and number its SAs from the start.
		clear(w.probing)
		clear(w.hanging)
		return noCharon + seen.CharonError, nil
	case k == nil:
		return noKernel + seen.KernelError, nil
	}
	w.account(c)
	// After a reboot of the peer there may be a good SA beside the stale one.
	silent := w.lasting(now.Boot, c, w.probing, deafAfter, func(s *IKESA) bool { return s.Probing })
	hangs := len(w.lasting(now.Boot, c, w.hanging, hangAfter, func(s *IKESA) bool { return !s.Established })) > 0
	again := func(why string) (string, []Action) {
		if !w.reinstall.due(now.Boot) {
			return why, nil
		}
		w.initiate.reset()
		return why, []Action{{Kind: Reinstall, Hop: w.hop.Name, Why: why}}
	}
	loaded := false
	for _, name := range c.Connections {
		loaded = loaded || name == w.hop.Name
	}
	switch {
	case !loaded:
		return notLoaded, nil
	case !w.hasPolicies(k):
		return again(noPolicy)
	}
	if lost, twice := w.lacksState(c, k); twice {
		return again(noState)
	} else if lost {
		return w.state.Problem, nil
	}
	for _, s := range w.hop.Selectors() {
		if s.Protocol != UDP {
			continue // a connection is there only while somebody asks for leases
		}
		switch {
		case w.serving(c, k, s.Name, silent) != nil:
		case len(silent) > 0:
			return again(deaf)
		default:
			return w.negotiate(now.Boot, c, s.Name, hangs)
		}
	}
	w.missing = 0
	w.initiate.reset()
	w.reinstall.reset()
	main := w.serving(c, k, "dhcp", silent)
	w.state.Algorithms, w.state.Age = main.Algorithms, main.Age
	if many := w.prune(now.Boot, c); len(many) > 0 {
		return "", []Action{{Kind: Prune, Hop: w.hop.Name, IKE: many, Why: manySAs}}
	}
	return "", nil
}

// negotiate begins what has not begun, and begins again what hangs.
func (w *watched) negotiate(now instant.Instant, c *Charon, selector string, hangs bool) (string, []Action) {
	if w.missing == 0 {
		w.missing = now
	}
	switch {
	case hangs && w.reinstall.due(now):
		w.initiate.reset()
		return deaf, []Action{{Kind: Reinstall, Hop: w.hop.Name, Why: deaf}}
	case hangs || w.negotiating(c) || !w.begins(now) || !w.initiate.due(now):
		return noSA, nil
	}
	return noSA, []Action{{Kind: Initiate, Hop: w.hop.Name, Selector: selector, Why: noSA}}
}

// negotiating reports whether an IKE SA of the hop is on its way.
func (w *watched) negotiating(c *Charon) bool {
	for i := range c.IKE {
		if c.IKE[i].Hop == w.hop.Name && !c.IKE[i].Established {
			return true
		}
	}
	return false
}

// lasting are those of the hop's IKE SAs of which something has been true for
// that long. since keeps when it became true.
func (w *watched) lasting(now instant.Instant, c *Charon, since map[uint32]instant.Instant, long time.Duration, is func(*IKESA) bool) map[uint32]bool {
	holds, lasting := make(map[uint32]bool), make(map[uint32]bool)
	for i := range c.IKE {
		s := &c.IKE[i]
		if s.Hop != w.hop.Name || !is(s) {
			continue
		}
		holds[s.ID] = true
		if _, known := since[s.ID]; !known {
			since[s.ID] = now
		}
		if now >= since[s.ID].After(long) {
			lasting[s.ID] = true
		}
	}
	for id := range since {
		if !holds[id] {
			delete(since, id)
		}
	}
	return lasting
}

// each calls f with every child of the hop that strongSwan holds for installed.
func (w *watched) each(c *Charon, f func(*IKESA, *ChildSA)) {
	for i := range c.IKE {
		if c.IKE[i].Hop != w.hop.Name {
			continue
		}
		for j := range c.IKE[i].Children {
			if s := &c.IKE[i].Children[j]; s.Installed {
				f(&c.IKE[i], s)
			}
		}
	}
}

// serving is the newest child for a selector whose SAs the kernel has both ways,
// and whose peer is not silent.
func (w *watched) serving(c *Charon, k *Kernel, selector string, silent map[uint32]bool) (newest *ChildSA) {
	w.each(c, func(i *IKESA, s *ChildSA) {
		if !silent[i.ID] && s.Selector == selector && w.inKernel(k, s) && (newest == nil || s.Age < newest.Age) {
			newest = s
		}
	})
	return newest
}

func (w *watched) inKernel(k *Kernel, s *ChildSA) bool {
	return k.state(w.hop.Local, s.SPIIn) != nil && k.state(w.hop.Remote, s.SPIOut) != nil
}

// lacksState reports whether the kernel is without an SA that strongSwan holds
// for installed. strongSwan and kernel are not read at one moment, so only the
// second time counts.
func (w *watched) lacksState(c *Charon, k *Kernel) (lost, twice bool) {
	id := uint32(0)
	w.each(c, func(_ *IKESA, s *ChildSA) {
		if !w.inKernel(k, s) {
			id = s.ID
		}
	})
	twice = id != 0 && id == w.lostSA
	w.lostSA = id
	return id != 0, twice
}

// account adds up what has passed all SAs of the hop.
func (w *watched) account(c *Charon) {
	now := make(map[uint32]ChildSA)
	w.each(c, func(_ *IKESA, s *ChildSA) { now[s.ID] = *s })
	w.total(now)
}

// total adds what has passed the SAs of now to what has passed those that are
// gone.
func (w *watched) total(now map[uint32]ChildSA) {
	for id, s := range w.children {
		if _, still := now[id]; !still {
			w.past[0].add(s.In)
			w.past[1].add(s.Out)
		}
	}
	w.children = now
	w.state.In, w.state.Out = w.past[0], w.past[1]
	for _, s := range now {
		w.state.In.add(s.In)
		w.state.Out.add(s.Out)
	}
}

func (t *Traffic) add(u Traffic) {
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}
