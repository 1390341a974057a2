package attack_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// An attacker sends with the victim's IPv6 source and its own link-layer address, between the
// victim's message and the answer to it. So the relay has heard the attacker last when the answer
// comes. The victim gets the answer nevertheless, and its renewals extend its delegation.
func TestVictimsAddressIsContested(t *testing.T) {
	r := withServer(t, always("2001:db8:1100::/56"))
	v := r.victim()
	r.Played.Become(nil)
	poisoned := r.poison()
	for range 3 {
		v.Unmoved()
	}
	if poisoned.Load() == 0 {
		t.Error("no message was poisoned: the test shows nothing")
	}
	r.cannotUse(r.Client(2), shared, "spoofed-link-layer", v)
}

// The same while the victim asks for the first time. The relay does not know which of the two it
// serves. Therefore the filter does not bind the prefix to a link-layer address, and permits it
// from the whole link; and a Release does not end the delegation.
func TestVictimsAddressIsContestedFromTheBeginning(t *testing.T) {
	r := withServer(t, nil)
	poisoned := r.poison()
	v := r.victim()
	v.Unmoved()
	if poisoned.Load() == 0 {
		t.Error("no message was poisoned: the test shows nothing")
	}
	x := r.thrower(r.Client(2), "c0", shared)
	r.mismatched(1, func() { x.ToRelays(x.Own, v.Own(), v.Says(dhcp6.Release)) })
	v.Unmoved()
	r.cannotUse(r.far, other, "spoofed", v)
}

// poison makes the server answer each message only after the attacker's message was received. It
// returns how many answers there were.
func (r *network) poison() *atomic.Int64 {
	r.T.Helper()
	x := r.thrower(r.Client(2), "c0", shared)
	source := r.Client(1).LinkLocal("c0")
	noise := r.Client(2).Play(rig.DUID(66))
	answer := always("2001:db8:1100::/56")
	poisoned := new(atomic.Int64)
	stop, done := make(chan struct{}), make(chan struct{})
	r.T.Cleanup(func() {
		close(stop)
		<-done
	})
	next := len(r.Played.Received())
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond): // only what the server has received is looked at; nothing signals it
			}
			all := r.Played.Received()
			for ; next < len(all); next++ {
				q := all[next]
				if q.Message.Type() == dhcp6.InformationRequest {
					continue
				}
				m := noise.Message(dhcp6.InformationRequest)
				x.ToRelays(x.Own, source, m)
				_, err := r.Played.Server.Wait(labtest.Patience, "the attacker's message", func(q script.Request) bool { return bytes.Equal(q.Inner, m) })
				if err != nil {
					r.T.Error(err)
					return
				}
				poisoned.Add(1)
				for _, d := range answer(q) {
					if err := r.Played.Server.Send(q.From, d); err != nil {
						r.T.Error(err)
					}
				}
			}
		}
	}()
	return poisoned
}
