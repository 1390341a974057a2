package relay6_test

import (
	"fmt"
	"slices"
	"testing"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/wire/dhcp6"
)

// steps are the notes of what is traced, a line each.
func (w *world) steps() (all []string) {
	for _, n := range w.notes {
		if n.Kind != effect.NoteTrace {
			continue
		}
		s := n.Link + " " + w.name(n.Client.DUID()) + " " + n.Type + " " + n.Text
		if n.Peer != "" {
			s += " " + n.Peer
		}
		if c := n.Lease; c != nil {
			s += fmt.Sprintf(" %v %d", c.IA, c.IAID)
			if c.Prefix.IsValid() {
				s += fmt.Sprintf(" %v %v %v", c.Prefix, c.Preferred, c.Valid)
			}
			if c.StatusSet {
				s += " " + c.Status.String()
			}
		}
		if n.Event.Kind != 0 {
			s += fmt.Sprintf(" %v %v", n.Event.Subject().Prefix, n.Event.Reason)
		}
		if n.Err != nil {
			s += ": " + n.Err.Error()
		}
		all = append(all, s)
	}
	w.notes = nil
	return all
}

func (w *world) wantSteps(want ...string) {
	w.Helper()
	if got := w.steps(); !slices.Equal(got, want) {
		w.Errorf("steps\n%q\nwant\n%q", got, want)
	}
}

// A trace tells what comes of a client's messages: each step, and each lease and
// status that they carry, in the order in which it happens.
func TestTraceTellsEachStep(t *testing.T) {
	w := newWorld(t, policy(func(p *delegation.Policy) { p.ClientLimit = 1 }))
	w.core.SetTrace(&effect.Trace{Client: string(alice.duid)})
	w.lease(bob, iaPD(1, prefix("2001:db8:700::/56", 600)))
	w.lease(alice, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(2, status(dhcp6.StatusNoPrefixAvail)))
	w.wantSteps(
		"lan0 alice Request received", "lan0 alice Request forwarded srv",
		"lan0 alice Reply server says srv",
		"lan0 alice Reply carries srv IA_PD 1 2001:db8:100::/56 5m0s 10m0s", "lan0 alice Reply carries srv IA_PD 2 NoPrefixAvail",
		"lan0 alice Reply granted srv 2001:db8:100::/56 ", "lan0 alice Reply waits until it is kept and installed",
		"lan0 alice Reply kept srv", "lan0 alice Reply installed srv", "lan0 alice Reply sent srv",
	)
	w.exchange(alice, dhcp6.Renew, iaPD(1, prefix("2001:db8:100::/56", 600)), iaPD(3, prefix("2001:db8:300::/56", 600)))
	w.wantSteps(
		"lan0 alice Renew received", "lan0 alice Renew forwarded srv",
		"lan0 alice Reply server says srv",
		"lan0 alice Reply carries srv IA_PD 1 2001:db8:100::/56 5m0s 10m0s", "lan0 alice Reply carries srv IA_PD 3 2001:db8:300::/56 5m0s 10m0s",
		"lan0 alice Reply extended srv 2001:db8:100::/56 ", "lan0 alice Reply refused srv 2001:db8:300::/56 limit-client",
		"lan0 alice Reply waits until it is kept and installed",
		"lan0 alice Reply kept srv", "lan0 alice Reply installed srv", "lan0 alice Reply sent srv",
	)
	w.says(alice, message(dhcp6.Advertise, 1, clientID(alice.duid)))
	w.wantSteps("lan0 alice Advertise received", "lan0 alice Advertise dropped: server-message")
	w.core.SetTrace(nil)
	w.says(alice, message(dhcp6.Solicit, 1, clientID(alice.duid)))
	w.wantSteps()
}

// A trace of a link has the messages of all its clients; one that names neither has
// all there are.
func TestTraceOfALink(t *testing.T) {
	w := newWorld(t)
	solicits := func() {
		for _, c := range []client{alice, bob, carol} {
			w.says(c, message(dhcp6.Solicit, 1, clientID(c.duid)))
		}
	}
	both := []string{
		"lan0 alice Solicit received", "lan0 alice Solicit forwarded srv", "lan0 bob Solicit received", "lan0 bob Solicit forwarded srv",
	}
	w.core.SetTrace(&effect.Trace{Link: "lan0"})
	solicits()
	w.wantSteps(both...)
	w.core.SetTrace(&effect.Trace{})
	solicits()
	w.wantSteps(append(both, "lan1 carol Solicit received", "lan1 carol Solicit forwarded srv")...)
}

// What cannot be kept is told, and that its Reply did not leave.
func TestTraceOfWhatIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.core.SetTrace(&effect.Trace{Client: string(alice.duid)})
	w.keepFail = errStoreDown
	w.exchange(alice, dhcp6.Request, iaPD(1, prefix("2001:db8:100::/56", 600)))
	got := w.steps()
	if want := []string{"lan0 alice Reply not kept srv: store: down", "lan0 alice Reply installed srv", "lan0 alice Reply not sent srv"}; len(got) < 3 || !slices.Equal(got[len(got)-3:], want) {
		t.Errorf("steps %q, want them to end with %q", got, want)
	}
}
