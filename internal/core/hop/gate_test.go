package hop_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// gateWorld is a kernel and a strongSwan in which a hop is protected, and a gate that
// has seen it.
type gateWorld struct {
	*world
	t    *testing.T
	gate hop.Gate
}

func newGateWorld(t *testing.T, h hop.Hop) *gateWorld {
	w := &gateWorld{world: newWorld(t, h), t: t}
	w.gate.Configure([]hop.Hop{h})
	w.want("at first", "the kernel has not been looked at yet")
	if h.Manual == nil {
		w.do(hop.Action{Kind: hop.Load})
		w.negotiated()
	} else {
		w.do(hop.Action{Kind: hop.InstallManual})
		for i := range w.seen.Kernel.States {
			w.seen.Kernel.States[i].AsInstalled = true
		}
	}
	for i := range w.seen.Kernel.States {
		w.seen.Kernel.States[i].Reqid = 7
	}
	w.look()
	w.want("once all is there", "")
	return w
}

// look has the gate see what there is, while nothing is told.
func (w *gateWorld) look() {
	began := w.gate.Told()
	if w.gate.See(&w.seen, began) {
		w.gate.Open()
	}
	if w.gate.Overtaken(began) {
		w.t.Error("nothing was told, and it has to be looked at again")
	}
}

// want wants the gate closed for that reason, or open if that is empty.
func (w *gateWorld) want(when, why string) {
	w.t.Helper()
	got := w.gate.Why()["srv"]
	if got != why && (why == "" || !strings.Contains(got, why)) || w.gate.May(here, there) != (why == "") || w.gate.Shut() != (why != "") {
		w.t.Errorf("%s: closed for %q, may %v, want %q", when, got, w.gate.May(here, there), why)
	}
}

func (w *gateWorld) tell(kind hop.KernelEventKind, change ...func(*hop.KernelEvent)) {
	e := hop.KernelEvent{Kind: kind}
	for _, f := range change {
		f(&e)
	}
	w.gate.Take(&e)
}

func ofState(s hop.XfrmState) func(*hop.KernelEvent) {
	return func(e *hop.KernelEvent) { e.State = s }
}

func ofPolicy(p hop.XfrmPolicy) func(*hop.KernelEvent) {
	return func(e *hop.KernelEvent) { e.Policy = p }
}

// Whatever the kernel tells of what is missing closes the hop at once; a look opens it
// once all is there again, and never where more was told meanwhile. RFC 8213 3b.
func TestGateClosesAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(*gateWorld)
		why  string
	}{
		"inbound SA gone":      {func(w *gateWorld) { w.tell(hop.StateGone, ofState(w.seen.Kernel.States[0])) }, "an SA is missing"},
		"outbound SA gone":     {func(w *gateWorld) { w.tell(hop.StateGone, ofState(w.seen.Kernel.States[1])) }, "an SA is missing"},
		"all SAs gone":         {func(w *gateWorld) { w.tell(hop.StatesFlushed) }, "an SA is missing"},
		"outbound policy gone": {func(w *gateWorld) { w.tell(hop.PolicyGone, ofPolicy(w.seen.Kernel.Policies[0])) }, "a policy is missing"},
		"inbound policy gone":  {func(w *gateWorld) { w.tell(hop.PolicyGone, ofPolicy(w.seen.Kernel.Policies[1])) }, "a policy is missing"},
		"all policies gone":    {func(w *gateWorld) { w.tell(hop.PoliciesFlushed) }, "a policy is missing"},
		"something was lost":   {func(w *gateWorld) { w.tell(hop.EventsLost) }, "was not heard"},
		"a policy without ESP": {func(w *gateWorld) {
			w.tell(hop.PolicySet, ofPolicy(hop.XfrmPolicy{Out: true, Source: w.seen.Kernel.Policies[0].Source, Dest: w.seen.Kernel.Policies[0].Dest}))
		}, "in clear"},
		"the kernel unreadable": {func(w *gateWorld) { w.gate.See(&hop.Seen{KernelError: "no such thing"}, w.gate.Told()) }, "no such thing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGateWorld(t, ikeHop(trust.Server))
			c.tell(w)
			w.want("told", c.why)
			began := w.gate.Told()
			if !w.gate.See(&w.seen, began) {
				t.Fatal("all is there, and nothing would be opened")
			}
			w.want("seen", c.why)
			c.tell(w)
			w.gate.Open()
			w.want("told again", c.why)
			if told := w.gate.Told() != began; told != w.gate.Overtaken(began) {
				t.Errorf("told %v, overtaken %v", told, !told)
			}
			if w.gate.Overtaken(began) && w.gate.See(&w.seen, began) {
				t.Error("a look would open it that began before something was told")
			}
			w.look()
			w.want("looked at again", "")
		})
	}
}

// What is none of the hop's does not close it.
func TestGateStaysOpen(t *testing.T) {
	w := newGateWorld(t, ikeHop(trust.Server))
	other := w.seen.Kernel.States[0]
	other.SPI++
	block := hop.OwnerRelay.BlockPolicies(&hop.Hop{Role: trust.Server, Local: here, Remote: there})[0]
	w.tell(hop.StateGone, ofState(other))
	w.tell(hop.PolicySet, ofPolicy(w.seen.Kernel.Policies[0]))
	w.tell(hop.PolicySet, ofPolicy(hop.XfrmPolicy{Out: true, Source: block.Source, Dest: block.Dest, Stops: true}))
	w.tell(hop.PolicyGone, ofPolicy(hop.XfrmPolicy{Out: true, Source: block.Source, Dest: block.Dest, Stops: true}))
	w.tell(hop.PolicyGone, ofPolicy(w.seen.Kernel.Policies[2])) // leasequery's, which no datagram needs
	w.want("after all that", "")
	if !w.gate.May(here, here) {
		t.Error("somebody who is no peer may not")
	}
	if w.gate.May(there, there) {
		t.Error("another local address may, which no SA is for")
	}
}

// A look at a hop counts whatever the kernel tells of other hosts meanwhile.
func TestGateOvertakenByItsOwnEventsAlone(t *testing.T) {
	w := newGateWorld(t, ikeHop(trust.Server))
	w.tell(hop.EventsLost)
	began := w.gate.Told()
	other := w.seen.Kernel.States[0]
	other.Source = here
	w.tell(hop.StateAdded, ofState(other))
	w.tell(hop.StateGone, ofState(other))
	policy := w.seen.Kernel.Policies[0]
	policy.Dest = policy.Source
	w.tell(hop.PolicyGone, ofPolicy(policy))
	if w.gate.Overtaken(began) || !w.gate.See(&w.seen, began) {
		t.Error("a look does not count, although nothing was told of the hop")
	}
}

// A rekeyed SA is used at once: the hop stays open when the old one goes, before
// strongSwan tells of the new one; if it never does, the new one is not known.
func TestGateWhileRekeying(t *testing.T) {
	for _, listed := range []bool{true, false} {
		w := newGateWorld(t, ikeHop(trust.Server))
		old := slices.Clone(w.seen.Kernel.States)
		child := w.seen.Charon.IKE[0].Children[0]
		w.seen.Kernel.States = nil
		for _, s := range old {
			s.SPI += 100
			w.seen.Kernel.States = append(w.seen.Kernel.States, s)
			w.tell(hop.StateAdded, ofState(s))
		}
		for _, s := range old {
			w.tell(hop.StateGone, ofState(s))
		}
		w.want("rekeyed", "")
		if listed {
			child.SPIIn, child.SPIOut = child.SPIIn+100, child.SPIOut+100
		}
		w.seen.Charon.IKE[0].Children[0] = child
		for range 10 {
			w.look()
		}
		if why := "no SA that is known"; listed {
			w.want("listed", "")
		} else {
			w.want("not listed", why)
		}
	}
}

// An SA of which it is not known what it was made with opens nothing: one of another
// request id, one that was there before, one of a connection that is not as it was
// loaded, one that ends because the stanza has changed.
func TestGateUnknownSAs(t *testing.T) {
	for name, change := range map[string]func(*gateWorld){
		"connection not loaded": func(w *gateWorld) { w.seen.Charon.Connections = nil },
		"not listed":            func(w *gateWorld) { w.seen.Charon.IKE = nil },
		"outdated":              func(w *gateWorld) { w.seen.Charon.IKE[0].Outdated = true },
		"not authenticated":     func(w *gateWorld) { w.seen.Charon.IKE[0].Established = false },
		"strongSwan is silent":  func(w *gateWorld) { w.seen.Charon = nil },
	} {
		w := newGateWorld(t, ikeHop(trust.Server))
		changed := ikeHop(trust.Server)
		changed.IKE = &hop.IKE{PSK: hop.Secret("another secret of some length")}
		w.gate.Configure([]hop.Hop{changed})
		w.want(name+": a new stanza", "not been looked at")
		was := w.seen.Charon
		copied := hop.Charon{Connections: was.Connections, IKE: slices.Clone(was.IKE)}
		w.seen.Charon = &copied
		change(w)
		for _, s := range w.seen.Kernel.States {
			w.tell(hop.StateAdded, ofState(s))
		}
		w.look()
		w.want(name, "no SA that is known")
		w.seen.Charon = was
		w.look()
		w.want(name+": once it is known", "")
	}
	w := newGateWorld(t, ikeHop(trust.Server))
	for _, s := range w.seen.Kernel.States {
		other := s
		other.SPI, other.Reqid = s.SPI+100, 8
		w.tell(hop.StateAdded, ofState(other))
		w.tell(hop.StateGone, ofState(s))
	}
	w.want("another request id", "an SA is missing")
}

// What is known of SAs is known while strongSwan hangs, and when the same stanza is
// configured again.
func TestGateKeepsWhatIsKnown(t *testing.T) {
	w := newGateWorld(t, ikeHop(trust.Server))
	w.seen.Charon = nil
	w.look()
	w.want("while strongSwan hangs", "")
	w.tell(hop.EventsLost)
	w.look()
	w.want("looked at without it", "")
	w.gate.Configure([]hop.Hop{ikeHop(trust.Server)})
	w.want("configured again", "")
}

// Manual SAs are known while they are as they were installed.
func TestGateManual(t *testing.T) {
	h := ikeHop(trust.Server)
	h.IKE, h.Manual = nil, &hop.Manual{Out: hop.ManualSA{SPI: 0x2001}, In: []hop.ManualSA{{SPI: 0x1001}}}
	w := newGateWorld(t, h)
	w.seen.Kernel.States[0].AsInstalled = false
	w.look()
	w.want("another key under the same number", "no SA that is known")
}

// A policy of somebody else that comes before ours and asks for nothing closes the
// hop; one that comes after does not.
func TestGatePassedBy(t *testing.T) {
	w := newGateWorld(t, ikeHop(trust.Server))
	other := hop.XfrmPolicy{Source: w.seen.Kernel.Policies[1].Source, Dest: w.seen.Kernel.Policies[1].Dest, Priority: 5}
	for i := range w.seen.Kernel.Policies {
		w.seen.Kernel.Policies[i].Priority = 6
	}
	w.seen.Kernel.Policies = append(w.seen.Kernel.Policies, other)
	w.look()
	w.want("before ours", "in clear")
	w.seen.Kernel.Policies[len(w.seen.Kernel.Policies)-1].Priority = 7
	w.look()
	w.want("after ours", "")
}

// What is said of a hop follows the kernel: SAs that work are no loss while strongSwan
// hangs or looks for new ones, and are left alone; a gate that is closed is one.
func TestStateFollowsTheKernel(t *testing.T) {
	w := newWorld(t, ikeHop(trust.Server))
	w.protect()
	w.told, w.asked = nil, nil
	charon := w.seen.Charon
	w.seen.Charon, w.seen.CharonError = nil, "timeout"
	w.seen.Gate = map[string]string{"srv": ""}
	for range 20 {
		w.step(1e9)
	}
	if s := w.current(); !s.Protected || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], hop.WarnIKE+"strongSwan cannot be reached: timeout") || !strings.Contains(s.LastError, "timeout") {
		t.Errorf("state %+v", s)
	}
	w.want("told", w.told)
	w.want("asked", w.asked)
	w.seen.Charon, w.seen.CharonError = charon, ""
	w.step(1e9)
	if s := w.current(); !s.Protected || len(s.Warnings) != 0 {
		t.Errorf("state %+v", s)
	}
	w.seen.Gate["srv"] = "something was not heard"
	w.step(1e9)
	if s := w.current(); s.Protected || s.Problem != "something was not heard" {
		t.Errorf("state %+v", s)
	}
	w.want("told", w.told, "unprotected")
}

// A peer whose strongSwan does not answer keeps its SAs, as long as nothing is sent by
// them in vain.
func TestSilentPeerKeepsWorkingSAs(t *testing.T) {
	w := installed(t, trust.Relay)
	w.negotiated()
	w.protect()
	w.told, w.asked = nil, nil
	w.seen.Charon.IKE[0].Probing = true
	for n := range uint64(60) {
		if n > 30 { // it asks and is answered
			w.seen.Charon.IKE[0].Children[0].In.Packets++
			w.seen.Charon.IKE[0].Children[0].Out.Packets++
		}
		w.step(1e9)
	}
	w.want("told", w.told)
	w.want("asked", w.asked)
}

// Two SAs, of which the kernel has not got one, as while both ends rekey at once: the
// other does its work, and nothing is ended.
func TestRekeyCollision(t *testing.T) {
	w := installed(t, trust.Relay)
	w.negotiated()
	w.protect()
	w.told, w.asked = nil, nil
	sa := &w.seen.Charon.IKE[0]
	second := sa.Children[0]
	second.ID, second.SPIIn, second.SPIOut = 99, 0xaaaa, 0xbbbb
	sa.Children = append(sa.Children, second)
	for range 5 {
		w.step(1e9)
	}
	w.want("told", w.told)
	w.want("asked", w.asked)
	if s := w.current(); !s.Protected {
		t.Errorf("state %+v", s)
	}
}
