package server6_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// unexplained are the prefixes of which the server says that its store does not explain them.
func unexplained(p *rig.Program) (found []netip.Prefix) {
	var all []api.Delegation
	p.Show(&all, "leases")
	for i := range all {
		if all[i].Source == api.SourceKernel && all[i].Client == "" {
			found = append(found, all[i].Prefix)
		}
	}
	return found
}

// The state folder is a new one: what the server has delegated before stays routed, and the server says so.
// A client that asks for the same prefix gets it. It has to begin anew, as the server's DUID is gone with the
// folder. An operator ends the rest.
func TestStateFolderIsLost(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2})
	r.Prepare(direct(2))
	r.Fairlead.Start()
	first, second := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	p1, p2 := rig.Held(first.Obtain(1))[0], rig.Held(second.Obtain(1))[0]
	inside1, inside2 := r.AddressIn(1, p1), r.AddressIn(2, p2)
	r.Server.Reaches(netip.Addr{}, inside1)
	r.Server.Reaches(netip.Addr{}, inside2)
	watch := r.Relay.Start("monitor", "ip", "-6", "monitor", "route")
	r.Fairlead.Stop()
	r.Need(os.RemoveAll(r.Fairlead.State))

	r.Fairlead.Start()
	r.WantRoute(p1, 1)
	r.WantRoute(p2, 2)
	if got, want := unexplained(r.Fairlead), sorted([]netip.Prefix{p1, p2}); !slices.Equal(got, want) {
		t.Errorf("not explained: %v, want %v", got, want)
	}
	if text := r.Fairlead.CLI("status"); !strings.Contains(text, "store: 2 prefixes are routed that it does not explain") {
		t.Errorf("status does not say it:\n%s", text)
	}
	wish := script.IAPD(1, dhcp6.IAPrefix{Prefix: p1})
	server, _ := first.Exchange(first.Message(dhcp6.Solicit, wish)).ServerID()
	if got := rig.Held(first.Exchange(first.Message(dhcp6.Request, slices.Concat(script.ServerID(server), wish)))); !slices.Equal(got, []netip.Prefix{p1}) {
		t.Errorf("the Request got %v, want %v", got, p1)
	}
	if got := unexplained(r.Fairlead); !slices.Equal(got, []netip.Prefix{p2}) {
		t.Errorf("after the Request not explained: %v, want %v", got, p2)
	}
	r.Server.Reaches(netip.Addr{}, inside1)
	r.Server.Reaches(netip.Addr{}, inside2)
	if log := watch.Log(); strings.Contains(log, "Deleted "+p1.Addr().String()) || strings.Contains(log, "Deleted "+p2.Addr().String()) {
		t.Errorf("a route was away for a while:\n%s", log)
	}
	r.Fairlead.CLI("clear", "--link", "d2")
	r.WantNoRoute(p2)
	r.WantRoute(p1, 1)
	if got := unexplained(r.Fairlead); len(got) != 0 {
		t.Errorf("after a clear not explained: %v", got)
	}
}
