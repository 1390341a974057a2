package system_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// TestKilledRelayReturns shows that after kill -9 and the loss of its routes the relay restores
// every delegation before any client sends a message. On point-to-point links it does so if the
// operator says that their names are not used again. RFC 8987 S-1.
func TestKilledRelayReturns(t *testing.T) {
	for name, access := range map[string]lab.Access{"cables": lab.Cables, "switch": lab.Switch, "ppp": lab.PPP} {
		t.Run(name, func(t *testing.T) {
			r := prepared(t, lab.Plan{Clients: 2, Access: access}, "reuse: never")
			first := netip.MustParsePrefix("2001:db8:1100::/56")
			second := netip.MustParsePrefix("2001:db8:1200::/48")
			r.Answers(rig.Grants(func(_ script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
				p := map[uint32]netip.Prefix{1: first, 2: second}[ia.IAID]
				return []dhcp6.IAPrefix{{Prefix: p, Preferred: 2000, Valid: dhcp6.Infinity}}
			}).Answer)
			r.Fairlead.Start()
			for i := 1; i <= 2; i++ {
				r.Play(i, rig.DUID(i)).Obtain(uint32(i))
			}
			r.Fairlead.Kill()
			r.WantRoute(first, 1)
			r.WantRoute(second, 2)
			for _, p := range []netip.Prefix{first, second} {
				r.Relay.IP("-6 route del %s", p)
				if got := r.RouteOf(p); len(got) > 0 {
					t.Fatalf("the route is still there: %+v", got)
				}
			}
			heard := len(r.Played.Received())
			r.Fairlead.Start()
			r.WantRoute(first, 1)
			r.WantRoute(second, 2)
			if more := len(r.Played.Received()) - heard; more != 0 {
				t.Errorf("the server heard %d messages meanwhile, want none", more)
			}
		})
	}
}

// TestRestartedRelayMendsItsFilter shows that changes of the filter while the relay did not run
// are mended by its first comparison, which comes when packets pass already, and that changes of
// the routes are mended before. RFC 8987 S-1, R-3.
func TestRestartedRelayMendsItsFilter(t *testing.T) {
	r := prepared(t, lab.Plan{Clients: 1})
	prefix, stray := netip.MustParsePrefix("2001:db8:1100::/56"), netip.MustParsePrefix("2001:db8:6600::/56")
	r.Answers(rig.Grants(script.Always(dhcp6.IAPrefix{Prefix: prefix, Preferred: 2000, Valid: dhcp6.Infinity})).Answer)
	r.Fairlead.Start()
	r.Play(1, rig.DUID(1)).Obtain(1)

	const set = "source-link-56"
	has := func(p netip.Prefix) bool {
		return strings.Contains(r.Relay.Run("nft", "list", "set", "inet", "fairlead", set), p.Addr().String())
	}
	change := func(what string, p netip.Prefix) {
		r.Relay.Run("nft", what, "element", "inet", "fairlead", set, fmt.Sprintf("{ %q . %s }", r.Downlink(1), p.Addr()))
	}
	if !has(prefix) || has(stray) {
		t.Fatalf("the filter is not as it should be before anything was done")
	}
	r.Fairlead.Kill()
	change("delete", prefix)
	change("add", stray)
	r.Relay.IP("-6 route del %s", prefix)
	r.Fairlead.Start()
	if len(r.RouteOf(prefix)) == 0 {
		t.Error("the relay is ready and the route is not there")
	}
	r.Until("the filter is mended", func() bool { return has(prefix) && !has(stray) })
}
