package peer

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"fairlead/internal/lab"
)

// m is an object of Kea's configuration.
type m = map[string]any

// RunKea starts a Kea for the family 6 or 4, by a name of the caller's, and waits until it has
// started. config is the object Dhcp6 or Dhcp4 of its configuration. RunKea adds the log, and for
// IPv6 the place of its files, in the node's folder of that name. Further logs may be in
// "loggers" of config. config itself is not changed.
func RunKea(d *lab.Node, name string, family int, config map[string]any) (*lab.Proc, error) {
	dir, err := d.Folder(name)
	if err != nil {
		return nil, err
	}
	program := fmt.Sprintf("kea-dhcp%d", family)
	config = maps.Clone(config)
	loggers, _ := config["loggers"].([]m)
	config["loggers"] = append(loggers, keaLogger(program, m{"severity": "INFO"}))
	if family == 6 {
		config["data-directory"] = dir
	}
	text, err := json.MarshalIndent(m{fmt.Sprintf("Dhcp%d", family): config}, "", "  ")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "kea.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	p, err := d.Start(lab.Command{
		Name: name,
		Args: []string{"/usr/sbin/" + program, "-c", file},
		Env:  []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=" + dir, "KEA_LOGGER_DESTINATION=stderr"},
	})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, fmt.Sprintf("DHCP%d_STARTED", family))
}

// keaLogger returns a logger of Kea's with its level, which writes to standard error.
func keaLogger(name string, level m) m {
	level["name"], level["output_options"] = name, []m{{"output": "stderr", "flush": true}}
	return level
}

// runDhcpd starts a dhcpd of the family "-4" or "-6" with a configuration, and waits until it
// listens on the interface.
func runDhcpd(d *lab.Node, name, family, config, link string) (*lab.Proc, error) {
	dir, err := d.Folder(name)
	if err != nil {
		return nil, err
	}
	file, leases := filepath.Join(dir, "dhcpd.conf"), filepath.Join(dir, "leases")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return nil, fmt.Errorf("peer: %w", err)
	}
	if err := touch(leases); err != nil {
		return nil, err
	}
	p, err := d.Start(lab.Command{
		Name: name,
		Args: []string{"/usr/sbin/dhcpd", family, "-d", "-f", "--no-pid", "-user", "root", "-group", "root", "-cf", file, "-lf", leases, link},
	})
	if err != nil {
		return nil, err
	}
	return p, p.Logged(ready, "Server starting service")
}

// touch makes an empty file that the program needs.
func touch(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	return file.Close()
}
