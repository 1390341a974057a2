package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"fairlead/internal/lab"
)

// startKea starts the server. It is told to have prefixes for one subscriber, by
// what the relay next to the client says.
func (c *chain) startKea() error {
	dir, err := c.server.Folder("kea-dhcp6")
	if err != nil {
		return err
	}
	type m map[string]any
	text, err := json.MarshalIndent(m{"Dhcp6": m{
		"data-directory":    dir,
		"interfaces-config": m{"interfaces": []string{"s0/" + addressServer.String()}},
		"lease-database":    m{"type": "memfile", "persist": false},
		"server-id":         m{"type": "LL", "htype": 1, "identifier": "0200000000ff", "persist": false},
		"client-classes":    []m{{"name": "known", "test": keaTest}},
		"subnet6": []m{{
			"id": 1, "subnet": chainLink.String(),
			"pd-pools": []m{{"prefix": chainPool.Addr().String(), "prefix-len": chainPool.Bits(), "delegated-len": 56, "client-class": "known"}},
		}},
		"loggers": []m{{"name": "kea-dhcp6", "severity": "INFO", "output_options": []m{{"output": "stderr", "flush": true}}}},
	}}, "", "  ")
	if err != nil {
		return fmt.Errorf("demo: kea: %w", err)
	}
	file := filepath.Join(dir, "kea.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("demo: kea: %w", err)
	}
	p, err := c.server.Start(lab.Command{
		Name: "kea-dhcp6",
		Args: []string{"kea-dhcp6", "-c", file},
		Env:  []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=" + dir, "KEA_LOGGER_DESTINATION=stderr"},
	})
	if err != nil {
		return err
	}
	return p.Logged(patience, "DHCP6_STARTED")
}

// keaTest is how Kea knows the subscriber: option 38 of the relay next to the
// client, whatever other relays there are.
const keaTest = "relay6[-1].option[38].hex == '" + subscriber + "'"

// startDhcrelay starts ISC's relay in the place of Fairlead on relaya.
func (c *chain) startDhcrelay() (*lab.Proc, error) {
	args := []string{"dhcrelay", "-6", "-d", "--no-pid", "-s", subscriber, "-l", "d1", "-u", addressBelow.String() + "%u0"}
	p, err := c.relaya.Start(lab.Command{Name: "dhcrelay", Args: args})
	if err != nil {
		return nil, err
	}
	c.command(commandLine(inside(c.relaya, args))+" &", "", 0)
	return p, p.Logged(patience, "Sending on   Socket/d1")
}
