package server6_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/system/rig"
)

// What an operator reserves at run time holds at once, after kill -9, and after a reload. Where the file
// comes to reserve the same for somebody else, the file holds, and the list says so. What is ended is
// given to anybody.
func TestReserveAtRunTime(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2, Access: lab.Switch})
	text := direct(1)
	r.Prepare(text)
	r.Fairlead.Start()
	base := lab.Delegable(1).Addr().As16()
	base[6] = 0x42
	p := netip.PrefixFrom(netip.AddrFrom16(base), 56)
	id := rig.DUID(1).String()
	if out := r.Fairlead.CLI("reserve", p.String(), "--duid", id); !strings.Contains(out, "reserved: "+p.String()+" for duid "+id) {
		t.Errorf("reserve says %q", out)
	}
	holds := func(when, refused string) {
		t.Helper()
		var all []api.ReservationAtRunTime
		r.Fairlead.Show(&all, "reservations")
		if len(all) != 1 || !slices.Equal(all[0].Prefixes, []netip.Prefix{p}) || all[0].Refused == "" != (refused == "") || !strings.Contains(all[0].Refused, refused) {
			t.Errorf("%s: reserved %+v, want %v, refused %q", when, all, p, refused)
		}
	}
	holds("reserved", "")
	r.Fairlead.Kill()
	r.Fairlead.Start()
	holds("after kill -9", "")
	r.Fairlead.Reload(text + "      preference: 7\n")
	holds("after a reload", "")
	one := r.Play(1, rig.DUID(1))
	if got := rig.Held(one.Obtain(1)); !slices.Equal(got, []netip.Prefix{p}) {
		t.Errorf("the client gets %v, want %v", got, p)
	}
	if out := r.Fairlead.CLI("why", id); !strings.Contains(out, p.String()) || !strings.Contains(out, "reserved") {
		t.Errorf("why does not tell of the reservation:\n%s", out)
	}
	r.Fairlead.Reload(text + `      reservations:
        - duid: ` + rig.DUID(2).String() + `
          prefixes: [` + p.String() + `]
`)
	holds("the file reserves it for another client", "overlaps "+p.String())
	if out := r.Fairlead.CLI("status"); !strings.Contains(out, "1 of the reservations that were made at run time do not hold") {
		t.Errorf("status does not tell that the reservation does not hold:\n%s", out)
	}
	r.Fairlead.Reload(text)
	holds("the file does not any more", "")
	r.Fairlead.CLI("reserve", "--end", "--subnet", lab.Link(1).String(), "--duid", id)
	r.Fairlead.Restart()
	var all []api.ReservationAtRunTime
	if r.Fairlead.Show(&all, "reservations"); len(all) != 0 {
		t.Errorf("after the end %+v is reserved", all)
	}
}
