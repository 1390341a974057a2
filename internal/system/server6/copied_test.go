package server6_test

import (
	"slices"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// refused is how often the server has refused a lease or not believed a Release, for a reason.
func refused(p *rig.Program, reason string) uint64 {
	var s api.Server6
	p.Show(&s, "server6")
	return s.Refusals[reason]
}

// A host on the victim's link has copied its DUID. As long as the victim is there, the host gets nothing of
// the victim's, and no route moves. When the victim is gone, it does.
func TestCopiedDUIDOnTheLink(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2, Access: lab.Switch})
	r.Prepare(direct(1))
	r.Fairlead.Start()
	victim, thief := r.Play(1, rig.DUID(1)), r.Client(2).Play(rig.DUID(1))
	reply := victim.Obtain(1)
	p := rig.Held(reply)[0]
	r.WantRouteVia(p, victim.Own().String(), "br0")
	says := func(kind dhcp6.MessageType) []byte {
		ia := script.IAPD(1, dhcp6.IAPrefix{Prefix: p, Preferred: 2000, Valid: 3000})
		if kind != dhcp6.Rebind {
			server, _ := reply.ServerID()
			ia = slices.Concat(script.ServerID(server), ia)
		}
		return thief.Message(kind, ia)
	}
	for i, kind := range []dhcp6.MessageType{dhcp6.Request, dhcp6.Renew, dhcp6.Rebind} {
		thief.Send(says(kind))
		answer, err := dhcp6.ParseMessage(thief.Receive().Data)
		if err != nil || answer.Type() != dhcp6.Reply || len(rig.Held(answer)) > 0 {
			t.Errorf("%v: the thief is told %v with %v (%v)", kind, answer.Type(), rig.Held(answer), err)
		}
		if n := refused(r.Fairlead, "still-answers"); n != uint64(i+1) {
			t.Errorf("%v: %d leases refused because their holder answers, want %d", kind, n, i+1)
		}
		r.WantRouteVia(p, victim.Own().String(), "br0")
	}
	if again := rig.Held(victim.Renew(reply)); !slices.Equal(again, rig.Held(reply)) {
		t.Errorf("the victim renews %v and gets %v", rig.Held(reply), again)
	}
	r.Client(1).IP("link set c0 down")
	if got := rig.Held(thief.Exchange(says(dhcp6.Renew))); !slices.Equal(got, rig.Held(reply)) {
		t.Errorf("the victim is gone, and who has its DUID gets %v", got)
	}
	r.WantRouteVia(p, thief.Own().String(), "br0")
}
