package protect

import (
	"testing"

	"fairlead/internal/core/hop"
)

// queue has what the kernel has told and nobody has read yet.
type queue []hop.KernelEvent

func (q *queue) Read(take func(*hop.KernelEvent)) {
	for i := range *q {
		take(&(*q)[i])
	}
	*q = nil
}

// rekeying is a gate of one hop while strongSwan rekeys its ESP SAs.
type rekeying struct {
	t      *testing.T
	queue  queue
	gate   *gate
	kernel hop.Kernel
	charon hop.Charon
}

// newRekeying has a hop that is open, with a pair of SAs.
func newRekeying(t *testing.T) *rekeying {
	h := keyed("srv")
	r := &rekeying{t: t, charon: hop.Charon{Connections: []string{h.Name}, IKE: []hop.IKESA{{Hop: h.Name, Established: true}}}}
	for _, p := range hop.OwnerRelay.Policies(&hop.Hop{Role: h.Role, Local: h.Local, Remote: h.Remote, Manual: new(hop.Manual)}) {
		r.kernel.Policies = append(r.kernel.Policies, hop.XfrmPolicy{Out: p.Out, Source: p.Source, Dest: p.Dest, Protocol: p.Protocol, SourcePort: p.SourcePort, DestPort: p.DestPort, ESP: true})
	}
	r.gate = newGate(&r.queue, func() {})
	r.gate.configure([]hop.Hop{h}, hop.Kernel{}, 0)
	r.add(1, true)
	r.look(func() {})
	r.want("at first", true)
	return r
}

// state is an SA of the pair with that number.
func state(pair uint32, out bool) hop.XfrmState {
	if out {
		return hop.XfrmState{Source: here, Dest: there, SPI: pair<<8 | 1, Reqid: 7}
	}
	return hop.XfrmState{Source: there, Dest: here, SPI: pair << 8, Reqid: 7}
}

// add has the kernel get a pair of SAs, and tell of it. strongSwan may list it.
func (r *rekeying) add(pair uint32, listed bool) {
	for _, out := range [2]bool{false, true} {
		r.kernel.States = append(r.kernel.States, state(pair, out))
		r.queue = append(r.queue, hop.KernelEvent{Kind: hop.StateAdded, State: state(pair, out)})
	}
	if listed {
		r.charon.IKE[0].Children = append(r.charon.IKE[0].Children, hop.ChildSA{
			Selector: "dhcp", Installed: true, SPIIn: state(pair, false).SPI, SPIOut: state(pair, true).SPI,
		})
	}
}

// end has the kernel lose a pair of SAs, and tell of it.
func (r *rekeying) end(pair uint32) {
	var left []hop.XfrmState
	for _, s := range r.kernel.States {
		if s.SPI>>8 != pair {
			left = append(left, s)
		}
	}
	r.kernel.States = left
	for _, out := range [2]bool{false, true} {
		r.queue = append(r.queue, hop.KernelEvent{Kind: hop.StateGone, State: state(pair, out)})
	}
}

// look looks at strongSwan and the kernel. Meanwhile happens between the two reads and
// the judgement of both.
func (r *rekeying) look(meanwhile func()) {
	began := r.gate.begin()
	charon, kernel := r.charon, r.kernel
	meanwhile()
	r.gate.see(&hop.Seen{Charon: &charon, Kernel: &kernel}, began, func() bool { return true })
}

func (r *rekeying) want(when string, may bool) {
	r.t.Helper()
	if got := r.gate.may(here, there); got != may {
		r.t.Errorf("%s: may %v, want %v (closed: %q)", when, got, may, r.gate.gate.Why()["srv"])
	}
}

// A rekeying that happens while strongSwan and the kernel are looked at closes nothing,
// wherever in the look it falls.
func TestRekeyedWhileLookedAt(t *testing.T) {
	t.Run("the new SAs are told before the look is judged", func(t *testing.T) {
		r := newRekeying(t)
		r.look(func() {
			r.add(2, false)
			r.want("the new ones are there", true)
		})
		r.end(1)
		r.want("the old ones are gone", true)
	})
	t.Run("the new SAs are told and nobody has heard it", func(t *testing.T) {
		r := newRekeying(t)
		began, charon := r.gate.begin(), r.charon
		r.add(2, false)
		r.end(1)
		kernel := r.kernel
		r.gate.see(&hop.Seen{Charon: &charon, Kernel: &kernel}, began, func() bool { return true })
		r.want("rekeyed", true)
	})
}

// A look that the kernel's word has overtaken brings back no SA that has ended, opens
// nothing, and still finds out what strongSwan does not list.
func TestOvertakenLookOpensNothing(t *testing.T) {
	t.Run("SAs that end meanwhile", func(t *testing.T) {
		r := newRekeying(t)
		r.add(2, true)
		r.look(func() {})
		r.look(func() {
			r.end(1)
			r.want("the second pair is there", true)
		})
		r.end(2)
		r.want("both have ended", false)
	})
	t.Run("a closed hop", func(t *testing.T) {
		r := newRekeying(t)
		r.end(1)
		r.want("ended", false)
		r.add(2, true)
		r.look(func() { r.end(2) })
		r.want("the new pair ended while it was looked at", false)
		r.add(3, true)
		r.look(func() {})
		r.want("looked at again", true)
	})
	t.Run("SAs that strongSwan never lists", func(t *testing.T) {
		r := newRekeying(t)
		r.add(2, false)
		r.end(1)
		r.want("strongSwan may not have been asked yet", true)
		other := state(3, true)
		other.Reqid = 8
		for range 5 {
			r.look(func() { r.queue = append(r.queue, hop.KernelEvent{Kind: hop.StateAdded, State: other}) })
		}
		r.want("strongSwan never listed them", false)
	})
}
