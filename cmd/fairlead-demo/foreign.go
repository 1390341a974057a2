package main

import (
	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// startKea starts the server. Its configuration has prefixes for one subscriber, whom it knows by
// what the relay next to the client says.
func (c *chain) startKea() error {
	type m = map[string]any
	_, err := peer.RunKea(c.server, "kea-dhcp6", 6, m{
		"interfaces-config": m{"interfaces": []string{"s0/" + addressServer.String()}},
		"lease-database":    m{"type": "memfile", "persist": false},
		"server-id":         m{"type": "LL", "htype": 1, "identifier": "0200000000ff", "persist": false},
		"client-classes":    []m{{"name": "known", "test": keaTest}},
		"subnet6": []m{{
			"id": 1, "subnet": chainLink.String(),
			"pd-pools": []m{{"prefix": chainPool.Addr().String(), "prefix-len": chainPool.Bits(), "delegated-len": 56, "client-class": "known"}},
		}},
	})
	return err
}

// keaTest is how Kea recognises the subscriber: by option 38 of the relay next to the client,
// however many other relays there are.
const keaTest = "relay6[-1].option[38].hex == '" + subscriber + "'"

// startDhcrelay starts ISC's relay in the place of Fairlead on relaya.
func (c *chain) startDhcrelay() (*lab.Proc, error) {
	args := []string{"dhcrelay", "-6", "-d", "--no-pid", "-s", subscriber, "-l", "d1", "-u", addressBelow.String() + "%u0"}
	p, err := c.relaya.Start(lab.Command{Name: "dhcrelay", Args: args})
	if err != nil {
		return nil, err
	}
	c.command(commandLine(inside(c.relaya, args))+" &", "", 0)
	return p, p.Logged(ample, "Sending on   Socket/d1")
}
