//go:build vm

package vm_test

import (
	"fmt"
	"net/netip"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

// A server in a VRF may be known by any kind of address, and be spoken to from a
// given one. A relay below us may be in a VRF, too.
func TestPeersInVRF(t *testing.T) {
	r := vrfs(t)
	text := r.Fairlead.Text()
	t.Cleanup(func() { r.Fairlead.Reload(text) })
	local := r.far.LinkLocal("s2")
	const prefix = "2001:db8:a000::/56"
	for _, c := range []struct {
		name, address, from string
		join                netip.Addr
	}{
		{name: "from a given address", address: beyond(2), from: near(2)},
		{name: "link-local", address: local.String()},
		{name: "multicast", address: "ff05::1:3", join: dhcp6.AllServers},
		{name: "multicast of the link", address: "ff02::1:2", join: dhcp6.AllRelayAgentsAndServers},
	} {
		r.Run(c.name, func(t *testing.T) {
			from := "auto"
			if c.from != "" {
				from = c.from
			}
			r.Fairlead.Reload(fmt.Sprintf("metrics:\n  listen: \"off\"\npeers:\n"+
				"  - {name: server2, address: %q, local: %q, role: server, interfaces: [u2], protection: none}\n"+
				"relay6:\n  links:\n  - match: [d*, ppp*]\n", c.address, from))
			server := r.servers[2]
			if c.from == "" {
				server = r.far.Server(netip.IPv6Unspecified(), nil)
				defer server.Close()
			}
			if c.join.IsValid() {
				r.Need(server.Join("s2", c.join))
			}
			server.Become(grants{linkAddress(1): prefix}.answer)
			client := r.client(1)
			reply := obtains(t, client, prefix)
			r.routed(red, prefix, client, "d1")
			r.releases(client, reply, red, prefix)
		})
	}
}
