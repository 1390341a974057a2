package system_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/wire/dhcp6"
)

// TestKilledRelayReturns: after kill -9 and the loss of its routes the relay
// puts every delegation back before any client speaks; on point-to-point links it does
// so where the operator says that their names are not used again. RFC 8987 S-1.
func TestKilledRelayReturns(t *testing.T) {
	for name, access := range map[string]lab.Access{"cables": lab.Cables, "switch": lab.Switch, "ppp": lab.PPP} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, lab.Plan{Clients: 2, Access: access}, "      reuse: never\n")
			first := netip.MustParsePrefix("2001:db8:1100::/56")
			second := netip.MustParsePrefix("2001:db8:1200::/48")
			server, err := script.StartServer(r.Server, lab.ServerAddress, script.Grants{
				T1: 1000, T2: 1600,
				Prefixes: func(_ script.Request, ia dhcp6.IA) []dhcp6.IAPrefix {
					p := map[uint32]netip.Prefix{1: first, 2: second}[ia.IAID]
					return []dhcp6.IAPrefix{{Prefix: p, Preferred: 2000, Valid: dhcp6.Infinity}}
				},
			}.Answer)
			need(t, err)
			r.start()
			for i := 1; i <= 2; i++ {
				c, err := script.StartClient(r.Client(i), script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, byte(i)}})
				need(t, err)
				_, err = c.Obtain(patience, uint32(i))
				need(t, err)
			}
			need(t, r.relay.Kill())
			r.routed(first, 1)
			r.routed(second, 2)
			for _, p := range []netip.Prefix{first, second} {
				_, err := r.Relay.IP("-6 route del %s", p)
				need(t, err)
				if got := r.route(p); got != "" {
					t.Fatalf("the route is still there: %s", got)
				}
			}
			heard := len(server.Received())
			r.start()
			r.routed(first, 1)
			r.routed(second, 2)
			if more := len(server.Received()) - heard; more != 0 {
				t.Errorf("the server heard %d messages meanwhile, want none", more)
			}
		})
	}
}

// TestRestartedRelayMendsItsFilter: what was done to the filter while the relay was
// away is mended by its first audit, which comes when packets pass already; and what
// was done to the routes is mended before. RFC 8987 S-1, R-3.
func TestRestartedRelayMendsItsFilter(t *testing.T) {
	r := newRig(t, lab.Plan{Clients: 1}, "")
	prefix, stray := netip.MustParsePrefix("2001:db8:1100::/56"), netip.MustParsePrefix("2001:db8:6600::/56")
	_, err := script.StartServer(r.Server, lab.ServerAddress, script.Grants{
		T1: 1000, T2: 1600,
		Prefixes: func(script.Request, dhcp6.IA) []dhcp6.IAPrefix {
			return []dhcp6.IAPrefix{{Prefix: prefix, Preferred: 2000, Valid: dhcp6.Infinity}}
		},
	}.Answer)
	need(t, err)
	r.start()
	c, err := script.StartClient(r.Client(1), script.ClientConfig{DUID: dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 1}})
	need(t, err)
	_, err = c.Obtain(patience, 1)
	need(t, err)

	const set = "source-link-56"
	has := func(p netip.Prefix) bool {
		out, err := r.Relay.Run("nft", "list", "set", "inet", "fairlead", set)
		need(t, err)
		return strings.Contains(out, p.Addr().String())
	}
	change := func(what string, p netip.Prefix) {
		_, err := r.Relay.Run("nft", what, "element", "inet", "fairlead", set, fmt.Sprintf("{ %q . %s }", r.Downlink(1), p.Addr()))
		need(t, err)
	}
	if !has(prefix) || has(stray) {
		t.Fatalf("the filter is not as it should be before anything was done")
	}
	need(t, r.relay.Kill())
	change("delete", prefix)
	change("add", stray)
	_, err = r.Relay.IP("-6 route del %s", prefix)
	need(t, err)
	r.start()
	if r.route(prefix) == "" {
		t.Error("the relay is ready and the route is not there")
	}
	need(t, lab.Until(patience, "the filter is mended", func() bool { return has(prefix) && !has(stray) }))
}
