package server6_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// direct is a server for the clients on a link of the machine itself: addresses of the link's own
// prefix, and prefixes of what the laboratory has for it.
func direct(links int) string {
	text := rig.NoMetrics + `server6:
  lifetimes: {preferred: 2000s, valid: 3000s}
  links:
    - match: ["d*", br0]
  subnets:
`
	for i := 1; i <= links; i++ {
		text += subnet(i)
	}
	return text
}

// subnet is the subnet of an access link.
func subnet(link int) string {
	p := lab.Link(link)
	base := p.Addr().String()
	return fmt.Sprintf(`    - subnet: %s
      pools:
        - pool: %s1000-%s1fff
      pd-pools:
        - prefix: %s
          delegated-length: 56
`, p, base, base, lab.Delegable(link))
}

// leases are the leases of the server, by kind: addresses, and prefixes.
func leases(p *rig.Program) (addresses, prefixes []netip.Prefix) {
	var all []api.Delegation
	p.Show(&all, "leases")
	for i := range all {
		if all[i].Prefix.IsSingleIP() {
			addresses = append(addresses, all[i].Prefix)
		} else {
			prefixes = append(prefixes, all[i].Prefix)
		}
	}
	return addresses, prefixes
}

// served is a client of others that has an address and a prefix from the server on its link.
func served(t *testing.T, kind peer.ClientKind) (r *rig.Rig, client *rig.Foreign, prefix netip.Prefix) {
	r = rig.Build(t, lab.Plan{Clients: 1})
	r.Prepare(direct(1))
	r.Fairlead.Start()
	client = r.Client(1).Foreign(kind, peer.ClientConfig{})
	prefix = client.Await(1)[0]
	if !lab.Delegable(1).Contains(prefix.Addr()) || prefix.Bits() != 56 {
		t.Errorf("the client got %v, want a /56 of %v", prefix, lab.Delegable(1))
	}
	r.WantRoute(prefix, 1)
	addresses, prefixes := leases(r.Fairlead)
	if len(addresses) != 1 || !lab.Link(1).Contains(addresses[0].Addr()) || !slices.Equal(prefixes, []netip.Prefix{prefix}) {
		t.Errorf("the server has the leases %v and %v, the client %v", addresses, prefixes, prefix)
	}
	return r, client, prefix
}

// Clients of others get an address and a prefix from the server on their link, and release them.
func TestClientsOfOthers(t *testing.T) {
	for _, kind := range peer.ClientKinds {
		t.Run(string(kind), func(t *testing.T) {
			r, client, prefix := served(t, kind)
			client.Release()
			r.Until("the server knows of the release", func() bool {
				_, left := leases(r.Fairlead)
				return len(left) == 0
			})
			r.WantNoRoute(prefix)
		})
	}
}

// systemd-networkd gives an address of its prefix to its home network, which is reached, and has the
// same prefix again after it was started anew.
func TestNetworkd(t *testing.T) {
	r, client, prefix := served(t, peer.Networkd)
	r.Server.Reaches(netip.Addr{}, client.Inside())
	r.Need(client.Proc().Stop())
	r.Until("the prefix is gone from the client", func() bool { return len(client.Prefixes()) == 0 })
	r.Need(client.Start())
	if again := client.Await(1)[0]; again != prefix {
		t.Errorf("started anew, the client got %v, want %v", again, prefix)
	}
}

// sorted are prefixes in their order.
func sorted(all []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(all), netip.Prefix.Compare)
}
