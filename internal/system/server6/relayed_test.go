package server6_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// central is a server for the clients of some links, which takes messages of relay agents with these
// addresses alone.
func central(links int, agents ...netip.Addr) string {
	text := rig.NoMetrics + "peers:\n"
	for i, address := range agents {
		text += fmt.Sprintf("  - {name: access%d, address: %q, role: relay, interfaces: [s0], protection: none}\n", i+1, address)
	}
	text += `server6:
  lifetimes: {preferred: 2000s, valid: 3000s}
  subnets:
`
	for i := 1; i <= links; i++ {
		text += subnet(i)
	}
	return text
}

// Behind our own relay and behind those of others the server finds the subnet of each client of
// others, and the answers come back to it.
func TestBehindRelays(t *testing.T) {
	kinds := append(peer.ClientKinds, peer.Networkd)
	links := len(kinds)
	down, agents := make(map[string]netip.Addr), []netip.Addr{lab.RelayAddress}
	for i := 1; i <= links; i++ {
		down[fmt.Sprintf("d%d", i)] = lab.LinkAddress(i)
		agents = append(agents, lab.LinkAddress(i)) // dnsmasq sends from there
	}
	foreign := func(kind peer.RelayKind) func(*rig.Rig) {
		return func(r *rig.Rig) {
			_, err := peer.StartRelay(r.Relay.Node, kind, peer.RelayConfig{Down: down, Up: "u0", Server: lab.ServerAddress})
			r.Need(err)
		}
	}
	for name, begin := range map[string]func(*rig.Rig){
		"fairlead": func(r *rig.Rig) {
			r.Prepare(r.Standard())
			r.Fairlead.Start()
		},
		"dhcrelay": foreign(peer.Dhcrelay6),
		"dnsmasq":  foreign(peer.DnsmasqRelay6),
	} {
		t.Run(name, func(t *testing.T) {
			r := rig.Build(t, lab.Plan{Clients: links})
			server := r.Server.Fairlead(relay.Config{Text: central(links, agents...)})
			server.Start()
			begin(r)
			var clients []*rig.Foreign
			for i, kind := range kinds {
				clients = append(clients, r.Client(i+1).Foreign(kind, peer.ClientConfig{}))
			}
			var all []netip.Prefix
			for i, client := range clients {
				got := client.Await(1)[0]
				if !lab.Delegable(i + 1).Contains(got.Addr()) {
					t.Errorf("%s got %v, want a part of %v", client.Kind, got, lab.Delegable(i+1))
				}
				if name == "fairlead" {
					r.WantRoute(got, i+1)
				}
				all = append(all, got)
			}
			addresses, prefixes := leases(server)
			if len(addresses) != links || !slices.Equal(sorted(prefixes), sorted(all)) {
				t.Errorf("the server has the leases %v and %v, the clients %v", addresses, prefixes, all)
			}
			wantHeard(t, server, links)
			for i := range clients {
				if !slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return lab.Link(i + 1).Contains(p.Addr()) }) {
					t.Errorf("no address of %v among %v", lab.Link(i+1), addresses)
				}
			}
			for i := range peer.ClientKinds { // networkd releases nothing
				clients[i].Release()
			}
			r.Until("the server knows of the releases", func() bool {
				_, left := leases(server)
				return slices.Equal(left, all[len(peer.ClientKinds):])
			})
		})
	}
}

// wantHeard checks that the server has heard relay agents on the link of each client, and none behind
// others.
func wantHeard(t *testing.T, server *rig.Program, links int) {
	t.Helper()
	var all []api.RelayAgent
	server.Show(&all, "relays")
	var heard []netip.Addr
	for i := range all {
		x := &all[i]
		if !x.Nearest || len(x.Addresses) != 1 || x.Messages == 0 || x.Last.Before(x.First) {
			t.Errorf("the server has heard %+v", x)
		}
		heard = append(heard, x.LinkAddresses...)
	}
	for i := 1; i <= links; i++ {
		if !slices.Contains(heard, lab.LinkAddress(i)) {
			t.Errorf("no relay agent on %v among %+v", lab.LinkAddress(i), all)
		}
	}
}

// A relay agent that names no server asks all servers (RFC 8415 section 19). The server is on the
// relay agent's uplink.
func TestBehindARelayThatAsksAllServers(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	server := r.Core.Fairlead(relay.Config{Text: strings.Replace(central(1, lab.RelayAddress), "[s0]", "[k0]", 1)})
	server.Start()
	_, err := peer.StartRelay(r.Relay.Node, peer.Dhcrelay6, peer.RelayConfig{Down: map[string]netip.Addr{r.Downlink(1): {}}, Up: "u0"})
	r.Need(err)
	got := r.Client(1).Foreign(peer.Dhcpcd, peer.ClientConfig{}).Await(1)
	if _, prefixes := leases(server); !slices.Equal(prefixes, got) {
		t.Errorf("the server has the leases %v, the client %v", prefixes, got)
	}
}

// No lease that a client was told of is lost, or given to another client, when the server is
// killed: the client renews what it has, with the server's identifier that it was told. RFC 8415
// 11d and 18.3.1a.
func TestKilledServer(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2, Access: lab.Switch})
	r.Prepare(fmt.Sprintf("host: {aggregates: [{prefix: %s}]}\n", lab.Delegable(1)) + direct(1))
	r.Fairlead.Start()
	one := r.Play(1, rig.DUID(1))
	reply := one.Obtain(1, 2)
	held := rig.Held(reply)
	if len(held) != 2 {
		t.Fatalf("the client got %v, want two prefixes", held)
	}
	r.Fairlead.Kill()
	r.Fairlead.Start()
	for _, p := range held {
		r.WantRouteVia(p, r.Client(1).LinkLocal("c0").String(), "br0")
	}
	r.WantStandIn(lab.Delegable(1))
	if _, prefixes := leases(r.Fairlead); !slices.Equal(prefixes, sorted(held)) {
		t.Errorf("after the start the server has %v, the client %v", prefixes, held)
	}
	for _, p := range rig.Held(r.Play(2, rig.DUID(2)).Obtain(1, 2)) {
		if slices.Contains(held, p) {
			t.Errorf("%v was given to another client", p)
		}
	}
	if again := rig.Held(one.Renew(reply)); !slices.Equal(again, held) {
		t.Errorf("the client renewed %v and got %v", held, again)
	}
}
