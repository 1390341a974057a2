package hop

import (
	"net/netip"
	"reflect"
	"slices"
)

// Gate decides in user space whether messages may go to a protected peer, and whether
// messages from it are accepted. A hop is open only while the kernel has policies that
// demand ESP, both ways, and SAs both ways that are known to be made with the present
// stanza. An event of the kernel closes a hop at once (Take); only a look at the kernel's
// state opens it (See, Open).
//
// A look takes time, and the kernel may tell of changes meanwhile. What it tells of a hop
// is newer than what the look saw of that hop's SAs and policies. So that part of the look
// does not count: it takes no SA away, brings none back, and opens nothing.
//
// The gate remembers for each SA with which stanza it was made. An SA is known if it
// belongs to a connection that strongSwan has as we loaded it, or if it is a manual SA as
// we installed it. A new SA beside a known one with the same request id counts as known
// for the moment while the hop is open: a rekeyed SA is used at once, and strongSwan
// reports it a little later. If strongSwan does not list it then, it is not known any
// more.
type Gate struct {
	hops   []*gated
	remote map[netip.Addr][]*gated
	told   uint64 // how many events and changes of the hops were taken in
}

// gated is a hop and its SAs.
type gated struct {
	hop  *Hop
	open bool
	ripe bool   // the state that was seen last would open it
	told uint64 // what Told was after the last event that concerned it
	why  string // it is closed
	sas  []knownSA
}

type knownSA struct {
	arrival
	out      bool
	selector string // empty: all of the hop's
	reqid    uint32
	sure     bool
	told     uint64 // what Told was when it came, where it is not sure
	doubts   int    // how often strongSwan did not list it
}

// KernelEvent is one change of XFRM, whoever made it.
type KernelEvent struct {
	Kind   KernelEventKind
	State  XfrmState
	Policy XfrmPolicy
}

// KernelEventKind says what changed.
type KernelEventKind uint8

// The kinds. EventsLost says that events were lost.
const (
	StateAdded KernelEventKind = iota + 1
	StateGone
	PolicySet
	PolicyGone
	StatesFlushed
	PoliciesFlushed
	EventsLost
)

// Why a hop is closed.
const (
	notSeen   = "the kernel has not been looked at yet"
	unknownSA = "no SA that is known to be made with the keys of the configuration"
	bypassed  = "a policy of somebody else lets messages pass in clear"
	lostEvent = "what changed in the kernel was not heard"
)

// Configure replaces the hops. A hop that has not changed stays as it is.
func (g *Gate) Configure(hops []Hop) {
	old := g.hops
	g.hops, g.remote = nil, make(map[netip.Addr][]*gated, len(hops))
	for i := range hops {
		h := &gated{hop: &hops[i], told: g.told + 1, why: notSeen}
		for _, before := range old {
			if reflect.DeepEqual(before.hop, h.hop) {
				h.open, h.told, h.why, h.sas = before.open, before.told, before.why, before.sas
				break
			}
		}
		g.hops = append(g.hops, h)
		g.remote[h.hop.Remote] = append(g.remote[h.hop.Remote], h)
	}
	g.told++ // a look that began before says nothing of the new ones
}

// May reports whether a message may pass between two addresses. A zone or link does not
// count: the configuration cannot have the same pair on two links. Messages that do not go
// to or come from a protected peer may pass.
func (g *Gate) May(local, remote netip.Addr) bool {
	if len(g.hops) == 0 {
		return true
	}
	hops := g.remote[remote.WithZone("")]
	for _, h := range hops {
		if h.hop.Local == local.WithZone("") {
			return h.open
		}
	}
	return len(hops) == 0
}

// Why is the reason for which each hop is closed; empty if it is open.
func (g *Gate) Why() map[string]string {
	why := make(map[string]string, len(g.hops))
	for _, h := range g.hops {
		why[h.hop.Name] = h.why
	}
	return why
}

// Shut reports whether some hop is closed.
func (g *Gate) Shut() bool {
	return slices.ContainsFunc(g.hops, func(h *gated) bool { return !h.open })
}

// Told counts the events that were taken in, and the changes of the hops.
func (g *Gate) Told() uint64 { return g.told }

func (h *gated) close(why string) { h.open, h.ripe, h.why = false, false, why }

// Take takes in the kernel's events.
func (g *Gate) Take(e *KernelEvent) {
	g.told++
	for _, h := range g.hops {
		if h.concerned(e) {
			h.told, h.ripe = g.told, false
			h.take(e)
		}
	}
}

// concerned reports whether an event may change what holds for the hop's datagrams.
func (h *gated) concerned(e *KernelEvent) bool {
	local, remote := h.hop.Local, h.hop.Remote
	switch e.Kind {
	case StateAdded, StateGone:
		way := flow{e.State.Source, e.State.Dest}
		return way == flow{local, remote} || way == flow{remote, local}
	case PolicySet, PolicyGone:
		source, dest := remote, local
		if e.Policy.Out {
			source, dest = local, remote
		}
		return e.Policy.Source.Contains(source) && e.Policy.Dest.Contains(dest)
	}
	return true
}

func (h *gated) take(e *KernelEvent) {
	switch e.Kind {
	case StateAdded:
		h.added(&e.State)
	case StateGone:
		if h.forget(arrival{e.State.Dest, e.State.SPI}) && !h.served() {
			h.close(noState)
		}
	case StatesFlushed:
		h.sas = nil
		h.close(noState)
	case PolicyGone:
		if h.wants(e.Policy.selector()) {
			h.close(noPolicy)
		}
	case PolicySet:
		// A policy that demands ESP may replace another one; a policy that blocks lets nothing
		// pass.
		if !e.Policy.ESP && !e.Policy.Stops && h.passedBy(&e.Policy) {
			h.close(bypassed)
		}
	case PoliciesFlushed:
		h.close(noPolicy)
	case EventsLost:
		h.close(lostEvent)
	}
}

// added counts a new SA as known until strongSwan is asked.
func (h *gated) added(s *XfrmState) {
	if !h.open {
		return
	}
	out := s.Dest == h.hop.Remote
	at := arrival{s.Dest, s.SPI}
	like := slices.IndexFunc(h.sas, func(k knownSA) bool { return k.out == out && k.reqid == s.Reqid })
	if like < 0 || slices.ContainsFunc(h.sas, func(k knownSA) bool { return k.arrival == at }) {
		return
	}
	h.sas = append(h.sas, knownSA{arrival: at, out: out, selector: h.sas[like].selector, reqid: s.Reqid, told: h.told})
}

func (h *gated) forget(at arrival) bool {
	n := len(h.sas)
	h.sas = slices.DeleteFunc(h.sas, func(k knownSA) bool { return k.arrival == at })
	return len(h.sas) < n
}

// wants reports whether a policy is one of those that the hop's datagrams need.
func (h *gated) wants(p XfrmPolicy) bool {
	return slices.ContainsFunc(h.hop.Selectors(), func(s Selector) bool {
		both := h.hop.both(s)
		return s.Protocol == UDP && (p == both[0] || p == both[1])
	})
}

func (h *gated) passedBy(p *XfrmPolicy) bool {
	return slices.ContainsFunc(h.hop.Selectors(), func(s Selector) bool {
		both := h.hop.both(s)
		return p.covers(&both[0]) || p.covers(&both[1])
	})
}

// served reports whether there are known SAs both ways for all of the hop's datagrams.
func (h *gated) served() bool {
	for _, s := range h.hop.Selectors() {
		if s.Protocol != UDP {
			continue
		}
		for _, out := range [2]bool{false, true} {
			if !slices.ContainsFunc(h.sas, func(k knownSA) bool { return k.out == out && (k.selector == "" || k.selector == s.Name) }) {
				return false
			}
		}
	}
	return true
}

// See takes in the state that was observed since Told was began; everything that the
// kernel told until now must have been taken in. It closes hops that have to be closed, and
// reports whether there is a hop that Open would open.
func (g *Gate) See(seen *Seen, began uint64) (ripe bool) {
	if seen.Kernel == nil {
		for _, h := range g.hops {
			h.close(noKernel + seen.KernelError)
		}
		return false
	}
	v := newView(seen)
	for _, h := range g.hops {
		why := ""
		listed := h.listed(v)
		h.confirm(listed, began)
		if h.told <= began {
			h.learn(v, listed)
			why = h.policyProblem(v)
		}
		if why == "" && !h.served() {
			why = unknownSA
		}
		if why != "" {
			h.close(why)
			continue
		}
		h.ripe = !h.open && h.told <= began
		ripe = ripe || h.ripe
	}
	return ripe
}

// Open opens the hops that were seen to be protected, unless the kernel has told something
// of them since then.
func (g *Gate) Open() {
	for _, h := range g.hops {
		if h.ripe {
			h.open, h.ripe, h.why = true, false, ""
		}
	}
}

// Overtaken reports whether some hop is closed of which the kernel told something after
// Told was began: a look that began then does not say whether it may be opened.
func (g *Gate) Overtaken(began uint64) bool {
	return slices.ContainsFunc(g.hops, func(h *gated) bool { return !h.open && h.told > began })
}

// policyProblem is why the kernel's policies do not see to it that all of the hop's
// datagrams pass in ESP; empty if they do.
func (h *gated) policyProblem(v *view) (why string) {
	for _, s := range h.hop.Selectors() {
		switch {
		case s.Protocol != UDP:
		case !v.requires(h.hop, s):
			why = noPolicy
		case v.passes(h.hop, s):
			why = bypassed
		}
	}
	return why
}

// listed are the SAs that strongSwan says were made with the hop's stanza, and their
// selectors; nil if it cannot tell of any.
func (h *gated) listed(v *view) map[arrival]string {
	if v.Charon == nil || !v.loaded[h.hop.Name] {
		return nil
	}
	listed := make(map[arrival]string)
	for _, i := range v.ike[h.hop.Name] {
		for _, c := range i.Children {
			if i.Established && !i.Outdated {
				listed[arrival{h.hop.Local, c.SPIIn}] = c.Selector
				listed[arrival{h.hop.Remote, c.SPIOut}] = c.Selector
			}
		}
	}
	return listed
}

// confirm makes the known SAs sure that strongSwan lists, and forgets those that it does
// not list although they came before it was asked. While it cannot tell of any, the known
// ones stay known.
func (h *gated) confirm(listed map[arrival]string, began uint64) {
	if listed == nil {
		return
	}
	h.sas = slices.DeleteFunc(h.sas, func(k knownSA) bool { return !k.sure && k.doubts >= maxDoubts })
	for i := range h.sas {
		k := &h.sas[i]
		if selector, is := listed[k.arrival]; is {
			k.sure, k.selector = true, selector
		} else if k.told <= began {
			k.doubts++
		}
	}
}

// learn brings the known SAs in line with what kernel and strongSwan have.
func (h *gated) learn(v *view, listed map[arrival]string) {
	if h.hop.Manual != nil {
		h.sas = h.sas[:0]
		out := arrival{h.hop.Remote, h.hop.Manual.Out.SPI}
		if s := v.states[out]; s != nil && s.AsInstalled {
			h.sas = append(h.sas, knownSA{arrival: out, out: true, reqid: s.Reqid, sure: true})
		}
		for i := range h.hop.Manual.In {
			in := arrival{h.hop.Local, h.hop.Manual.In[i].SPI}
			if s := v.states[in]; s != nil && s.AsInstalled {
				h.sas = append(h.sas, knownSA{arrival: in, reqid: s.Reqid, sure: true})
			}
		}
		return
	}
	h.sas = slices.DeleteFunc(h.sas, func(k knownSA) bool { return v.states[k.arrival] == nil })
	for at, selector := range listed {
		s := v.states[at]
		if s == nil || slices.ContainsFunc(h.sas, func(k knownSA) bool { return k.arrival == at }) {
			continue
		}
		h.sas = append(h.sas, knownSA{arrival: at, out: at.dest == h.hop.Remote, selector: selector, reqid: s.Reqid, sure: true})
	}
}

// maxDoubts is how often strongSwan may fail to list an SA that was added beside a known
// one: those of an IKE SA that is just being rekeyed do not count as listed.
const maxDoubts = 3
