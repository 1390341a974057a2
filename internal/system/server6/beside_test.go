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

// beside is a network of two links: the clients of the first are relayed, those of the second are
// served.
type beside struct {
	*rig.Rig
	relayed, served netip.Prefix
	inside          [2]netip.Addr // an address of each client in its prefix
	filter          [2]int        // elements of each prefix in the filter
}

// besideText is the configuration for a relay on some links and a server on others. The kernel is
// compared where something has happened, and not by the clock.
func besideText(r *rig.Rig, relayed, served string) string {
	return strings.Replace(r.Standard(), `"d*"`, relayed, 1) + `host: {compare: 1d}
log: {every: 1s}
server6:
  lifetimes: {preferred: 2000s, valid: 3000s}
  links:
    - match: ` + served + `
  subnets:
` + subnet(1) + subnet(2)
}

func (r *beside) of(client int) netip.Prefix { return [...]netip.Prefix{r.relayed, r.served}[client-1] }

// whole waits until both prefixes have their routes and their parts of the filter, and reaches
// both clients.
func (r *beside) whole(when string) {
	r.T.Helper()
	r.Until("the filter is there "+when, func() bool {
		_, missing := r.Relay.Node.Run("nft", "list", "table", "inet", "fairlead")
		return missing == nil
	})
	for client := 1; client <= 2; client++ {
		p := r.of(client)
		r.WantRoute(p, client)
		r.Until(p.String()+" is in the filter "+when, func() bool {
			return len(r.Permitted(p.Addr().String())) == r.filter[client-1]
		})
		r.Server.Reaches(netip.Addr{}, r.inside[client-1])
	}
}

// One machine relays for the clients of one link and serves those of another: what each role
// delegates has its route and its part of the filter; both are there again after a kill, and
// whatever another program takes away of either, and no role takes away what is the other's.
func TestBesideTheRelay(t *testing.T) {
	r := &beside{Rig: rig.Build(t, lab.Plan{Clients: 2})}
	r.Prepare(besideText(r.Rig, "d1", "d2"))
	r.Kea()
	r.Fairlead.Start()
	clients := [2]*rig.Client{r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))}
	r.relayed, r.served = rig.Held(clients[0].Obtain(1))[0], rig.Held(clients[1].Obtain(1))[0]
	for client := 1; client <= 2; client++ {
		if p := r.of(client); !lab.Delegable(client).Contains(p.Addr()) {
			t.Fatalf("client %d got %v, want a part of %v", client, p, lab.Delegable(client))
		}
		r.filter[client-1] = len(r.Permitted(r.of(client).Addr().String()))
		if r.filter[client-1] == 0 {
			t.Fatalf("%v is not in the filter", r.of(client))
		}
		r.inside[client-1] = r.AddressIn(client, r.of(client))
	}
	r.whole("at first")
	var status api.Status
	r.Fairlead.Show(&status, "status")
	if h := status.Host; h.Delegations != 2 || h.Routes != 2 {
		t.Errorf("%d delegations and %d routes in status, want two of each", h.Delegations, h.Routes)
	}

	for _, deed := range []string{
		"ip -6 route del " + r.relayed.String(), "ip -6 route del " + r.served.String(), "ip -6 route flush proto 87",
		"nft flush ruleset", "nft flush table inet fairlead",
	} {
		r.Relay.Run(strings.Fields(deed)...)
		r.whole("after " + deed)
	}

	stray := netip.MustParsePrefix("2001:db8:dead::/48")
	r.Fairlead.Kill()
	r.Relay.IP("-6 route add unreachable %s proto 87", stray)
	r.Fairlead.Start()
	if len(r.RouteOf(stray)) != 0 {
		t.Errorf("%v, which nobody wants, is there after the start", stray)
	}
	for client := 1; client <= 2; client++ { // from the start on
		if len(r.RouteOf(r.of(client))) != 1 {
			t.Errorf("%v has no route after the start", r.of(client))
		}
	}
	r.whole("after the kill")
	r.Fairlead.Kill()
	r.Relay.IP("-6 route del %s", r.relayed)
	r.Relay.IP("-6 route del %s", r.served)
	r.Relay.Run("nft", "flush", "ruleset")
	r.Fairlead.Start()
	r.whole("after a kill and a reboot")

	r.Fairlead.Stop()
	r.Fairlead.Purge()
	for client := 1; client <= 2; client++ {
		r.WantNoRoute(r.of(client))
	}
}

// A reload takes a link from the relay to the server and back: whoever has it has its part of the
// filter, whichever of the two was first with what it changes.
func TestLinkGoesFromRoleToRole(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2})
	r.Prepare(besideText(r, "[d1, d2]", "d9"))
	r.Kea()
	r.Fairlead.Start()
	onLink := lab.Link(2).Addr().String()
	want := r.Permitted(onLink)
	if len(want) == 0 {
		t.Fatalf("the prefix of d2 is not in the filter")
	}
	checked := func() int { return strings.Count(strings.Join(r.Permitted("d2"), "\n"), "checked") }
	if checked() != 1 {
		t.Fatalf("%q: d2 is not checked", r.Permitted("d2"))
	}
	for i, links := range [][2]string{{"d1", "d2"}, {"[d1, d2]", "d9"}, {"d1", "d2"}} {
		r.Fairlead.Reload(besideText(r, links[0], links[1]))
		r.Until("the part of d2 is in the filter", func() bool { return slices.Equal(r.Permitted(onLink), want) && checked() == 1 })
		client := r.Play(2, rig.DUID(i+2))
		reply := client.Obtain(1)
		got := rig.Held(reply)[0]
		r.WantRoute(got, 2)
		if _, prefixes := leases(r.Fairlead); slices.Contains(prefixes, got) != (links[1] == "d2") {
			t.Errorf("%q: %v is a lease of the server: want %v", links, got, links[1] == "d2")
		}
		client.Release(reply)
		r.WantNoRoute(got)
		client.Close()
	}
}
