package server6_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
)

// central is a server that takes messages of the relay agent of the laboratory alone, for the
// clients of some links.
func central(links int) string {
	text := rig.NoMetrics + fmt.Sprintf(`peers:
  - name: access
    address: %s
    role: relay
    interfaces: [s0]
    protection: none
server6:
  lifetimes: {preferred: 2000s, valid: 3000s}
  subnets:
`, lab.RelayAddress)
	for i := 1; i <= links; i++ {
		text += subnet(i)
	}
	return text
}

// Behind our own relay and behind ISC dhcrelay the server finds the subnet of each client, and the
// answers come back to it.
func TestBehindRelays(t *testing.T) {
	for name, begin := range map[string]func(*rig.Rig){
		"fairlead": func(r *rig.Rig) {
			r.Prepare(r.Standard())
			r.Fairlead.Start()
		},
		"dhcrelay": func(r *rig.Rig) {
			r.Need(func() error {
				_, err := peer.StartRelay(r.Relay.Node, peer.RelayConfig{Down: r.Downlink(1), Up: "u0", Server: lab.ServerAddress})
				return err
			}())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rig.Build(t, lab.Plan{Clients: 1})
			server := r.Server.Fairlead(relay.Config{Text: central(1)})
			server.Start()
			begin(r)
			client := r.Client(1).Foreign(peer.Dhcpcd, peer.ClientConfig{})
			got := client.Await(1)
			addresses, prefixes := leases(server)
			if len(addresses) != 1 || !lab.Link(1).Contains(addresses[0].Addr()) || !slices.Equal(prefixes, got) {
				t.Errorf("the server has the leases %v and %v, the client %v", addresses, prefixes, got)
			}
			if name == "fairlead" {
				r.WantRoute(got[0], 1)
			}
			client.Release()
			r.Until("the server knows of the release", func() bool {
				_, left := leases(server)
				return len(left) == 0
			})
		})
	}
}

// A relay agent that names no server asks all servers (RFC 8415 section 19). The server is on the
// relay agent's uplink.
func TestBehindARelayThatAsksAllServers(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	server := r.Core.Fairlead(relay.Config{Text: strings.Replace(central(1), "[s0]", "[k0]", 1)})
	server.Start()
	_, err := peer.StartRelay(r.Relay.Node, peer.RelayConfig{Down: r.Downlink(1), Up: "u0"})
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
