package traffic_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
)

const (
	server  = "2001:db8:ff::2"
	spoofed = "spoofed"
	stolen  = "spoofed-link-layer"
)

// guard watches one link's filter: it throws packets at it and sees which come
// out on the other side.
type guard struct {
	*network
	*labtest.Thrower
	in *labtest.Listener
}

func watch(r *network, client int) *guard {
	return &guard{network: r, Thrower: r.throw(client), in: r.Server.Listen()}
}

// passes throws a packet with each source and waits until all have come out.
func (g *guard) passes(sources ...string) {
	g.T.Helper()
	for _, s := range sources {
		g.Send(s, server, s)
	}
	for _, s := range sources {
		g.in.Wait(s)
	}
	g.in.Forget()
}

// stops throws a packet with each source and waits until the filter has counted
// that many more, and none has come out.
func (g *guard) stops(counter string, sources ...string) {
	g.T.Helper()
	g.stopsFrom(g.Own, counter, sources...)
}

// stopsFrom is stops with another link-layer source.
func (g *guard) stopsFrom(mac net.HardwareAddr, counter string, sources ...string) {
	g.T.Helper()
	want := g.Counter(counter) + len(sources)
	for _, s := range sources {
		g.SendFrom(mac, s, server, s)
	}
	var now int
	err := lab.Until(labtest.Patience, fmt.Sprintf("%s counts %d", counter, want), func() bool {
		now = g.Counter(counter)
		return now >= want || len(g.in.Got()) > 0
	})
	if got := g.in.Got(); len(got) > 0 {
		g.T.Errorf("came through: %v", got)
	} else if err != nil || now != want {
		g.T.Errorf("%s counts %d, want %d after %v", counter, now, want, sources)
	}
	g.in.Forget()
}

// R-3: "The relay MUST provide a mechanism to dynamically update ingress filters
// permitting ingress traffic sourced from client delegated leases and blocking
// packets from invalid source prefixes. [...] The delegating relay's ingress
// filter entry MUST use the same prefix length for the delegated prefix as given
// in the IA_PD." Mode link, which is the default.
func TestRFC8987_R3_FilterFollowsGrantReleaseAndExpiry(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 2, Access: access}, "permit: [2001:db8:5555::/48]")
			p, brief := pfx("2001:db8:1100:300::/56"), pfx("2001:db8:1100:800::/60")
			g := watch(r, 1)
			g.stops(spoofed, "2001:db8:1100:300::1", "2001:db8:ff::77", "2001:db8:2::77", "2a00::1")
			// On-link and permitted sources need no delegation.
			g.passes("2001:db8:1::77", "2001:db8:5555:ffff::1")

			r.grant(1, rig.Long(p), rig.Long(brief))
			c := r.client(1)
			reply := c.Obtain(1)
			g.passes("2001:db8:1100:800::1", "2001:db8:1100:80f::1", "2001:db8:1100:300::1", "2001:db8:1100:3ff:ffff:ffff:ffff:ffff")
			g.stops(spoofed, "2001:db8:1100:2ff::1", "2001:db8:1100:400::1", "2001:db8:1100:810::1", "2001:db8:1100::1", "2a00::1")

			r.expires(c, reply, 1, brief, p)
			g.stops(spoofed, "2001:db8:1100:800::1")
			g.passes("2001:db8:1100:300::2")
			c.Release(reply)
			r.ended(p)
			g.stops(spoofed, "2001:db8:1100:300::1")
			g.passes("2001:db8:1::77")
		})
	}
}

// what is delegated on one link is no source on another, while any host of
// the same link may use it in mode link.
func TestRFC8987_R3_EachLinkHasItsOwn(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2})
	first, second := pfx("2001:db8:1100::/56"), pfx("2001:db8:1200::/56")
	r.delegate(1, first)
	r.delegate(2, second)
	g := watch(r, 1)
	g.passes("2001:db8:1100::1")
	g.stops(spoofed, "2001:db8:1200::1")
	stranger := net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	g.SendFrom(stranger, "2001:db8:1100::2", server, "from a stranger")
	g.in.Wait("from a stranger")
}

// R-3, mode strict: a delegated source passes from its client's link-layer
// address alone. Theft is counted apart from invention.
func TestRFC8987_R3_StrictBindsToTheLinkLayerAddress(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2, Access: lab.Switch}, "filter: strict")
	first, second := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	_, _ = r.delegate(1, first)
	c, reply := r.delegate(2, second)
	g := watch(r, 1)
	g.passes("2001:db8:1100:1::1", "2001:db8:1::77")
	g.stops(stolen, "2001:db8:1100:100::1", "2001:db8:1100:1ff::1")
	g.stops(spoofed, "2001:db8:1100:200::1")
	stranger := net.HardwareAddr{2, 0, 0, 0, 0, 0x99}
	g.stopsFrom(stranger, stolen, "2001:db8:1100:1::1")
	c.Release(reply)
	r.ended(second)
	g.stops(spoofed, "2001:db8:1100:100::1")
}

// R-3, modes are the operator's: off lets everything in, and a reload to another
// mode holds at once and back.
func TestRFC8987_R3_ModesByConfiguration(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, "filter: off")
	p := pfx("2001:db8:1100::/56")
	r.delegate(1, p)
	g := watch(r, 1)
	g.passes("2001:db8:1100::1", "2a00::1", "2001:db8:ff::77")
	for _, mode := range []string{"link", "strict"} {
		r.Fairlead.Reload(r.Standard("filter: " + mode))
		g.stops(spoofed, "2a00::1")
		g.passes("2001:db8:1100::1")
	}
	r.Fairlead.Reload(r.Standard("filter: off"))
	g.passes("2a00::1")
}

// an interface that is deleted and made anew is checked from its first
// packet, and its delegated prefixes pass.
func TestRFC8987_R3_GuardSurvivesTheInterface(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	r.delegate(1, p)
	before := r.Relay.Interface("d1")
	r.Relay.IP("link del d1")
	r.WantStandIn(p)
	if got := r.Permitted("d1"); len(got) == 0 {
		t.Error("the filter forgot d1 with the interface")
	}
	r.Veth(r.Relay, "d1", r.Client(1), "c0")
	for node, name := range map[*rig.Host]string{r.Relay: "d1", r.Client(1): "c0"} {
		node.LinkLocal(name) // what is sent before the cable carries anything is lost
	}
	after := r.Relay.Interface("d1")
	if before.Index == after.Index {
		t.Fatalf("the new interface has the index %d of the old one: the test shows nothing", after.Index)
	}
	g := watch(r, 1)
	g.stops(spoofed, "2a00::1")
	g.passes("2001:db8:1100::1")
}

// the filter is there after kill -9 and a start, and was there in between.
func TestRFC8987_R3_FilterSurvivesTheRelay(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	p := pfx("2001:db8:1100::/56")
	r.delegate(1, p)
	g := watch(r, 1)
	r.Fairlead.Kill()
	g.passes("2001:db8:1100::1")
	g.stops(spoofed, "2a00::1")
	r.Fairlead.Start()
	g.passes("2001:db8:1100::1")
	g.stops(spoofed, "2a00::1")
}

// elements of a length appear in the set of that length, and nowhere else.
func TestRFC8987_R3_ElementsHaveTheLengthDelegated(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1})
	var sets []string
	for i, text := range []string{"2001:db8:1101::/48", "2001:db8:1102:300::/56", "2001:db8:1103:40::/60", "2001:db8:1104:5::/64"} {
		p := netip.MustParsePrefix(text)
		r.grant(uint32(i+1), rig.Long(p))
		r.clientOnce(1).Obtain(uint32(i + 1))
		for _, e := range r.Permitted(`"` + p.Addr().String() + `"`) {
			if name, _, _ := strings.Cut(e, " "); !strings.Contains(name, "loop") && !strings.Contains(name, "holder") {
				sets = append(sets, name)
			}
		}
	}
	slices.Sort(sets)
	if diff := cmp.Diff([]string{"source-link-48", "source-link-56", "source-link-60", "source-link-64"}, sets); diff != "" {
		t.Errorf("sets with the sources (-want +got):\n%s", diff)
	}
}
