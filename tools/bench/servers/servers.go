// Package servers measures Fairlead's DHCPv6 server as a whole process against Kea, and compares
// it with the bars that it has to reach.
//
// The server has the first processor to itself. On the other one, a relay agent sends the
// messages of its clients: perfdhcp if that has time left, else `fairlead load`. Both servers
// delegate a /60 to each client from the same pool, keep their leases in a file on the same file
// system, and log only warnings.
package servers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/relay"
	"fairlead/internal/wire/dhcp6"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// The servers that take part.
const (
	ours = "fairlead"
	kea  = "kea"
)

const (
	subnet    = "2001:db8:1::/64"
	delegated = 60 // length of the prefix that a client gets, in bits
)

// serverID is the DUID of our server, by which clients name it.
var serverID = dhcp6.DUID{0, 3, 0, 1, 2, 0, 0, 0, 0, 0xff}

// Suite is the part of docs/performance.md that is about servers.
type Suite struct {
	*harness.Run
	Length time.Duration // of one run of a load

	clients int // how many clients have asked: each exchange is for a new lease
	leases  map[string]*server
}

// New returns the part of a run that is about servers.
func New(r *harness.Run, length time.Duration) *Suite {
	return &Suite{Run: r, Length: length, leases: map[string]*server{}}
}

// Benches returns the benches of a run, in the order in which they are measured.
func (s *Suite) Benches() []harness.Bench {
	return []harness.Bench{s.contest(), s.allocations(), s.memory(), s.fullPool(), s.start()}
}

// server is a server in a network of its own.
type server struct {
	*network.Network
	fairlead *relay.Relay // nil: the server is Kea
}

// begin starts a server, with an empty store or with what fill writes into it.
func (s *Suite) begin(who, pool string, fill func(state string) error) (*server, error) {
	n, err := network.New(s.Run, network.Options{Generator: s.Fairlead, Pinned: true, Server: true})
	if err != nil {
		return nil, err
	}
	one := &server{Network: n}
	dir := filepath.Join(s.Folder, n.Relay.Namespace)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if who == kea {
		return one, one.startKea(dir, pool)
	}
	if fill != nil {
		if err := fill(filepath.Join(dir, "state")); err != nil {
			return nil, err
		}
	}
	return one, one.startOurs(s.Fairlead, dir, pool)
}

func (s *server) startOurs(program, dir, pool string) (err error) {
	wrapper := filepath.Join(dir, ours)
	text := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(harness.Pinned(network.RelayCore), " "), program)
	if err := os.WriteFile(wrapper, []byte(text), 0o755); err != nil {
		return err
	}
	if s.fairlead, err = relay.New(s.Relay, relay.Config{Binary: wrapper, Name: ours, Text: configuration(dir, pool)}); err != nil {
		return err
	}
	if err := s.fairlead.Start(); err != nil {
		return err
	}
	s.Processes = []*lab.Proc{s.fairlead.Proc()}
	return nil
}

// configuration returns the configuration of our server.
func configuration(dir, pool string) string {
	return fmt.Sprintf(`state: %s
metrics: {listen: off}
log: {level: warn}
peers:
  - name: agent
    address: %s
    role: relay
    interfaces: [d0]
    protection: none
server6:
  server-id: %x
  lifetimes: {preferred: 2000s, valid: 3000s}
  subnets:
    - subnet: %s
      pd-pools:
        - prefix: %s
          delegated-length: %d
`, filepath.Join(dir, "state"), network.AgentAddress, []byte(serverID), subnet, pool, delegated)
}

// object is an object of Kea's configuration.
type object = map[string]any

// startKea starts Kea with memfile, which writes each lease into a file and does not sync the
// file.
func (s *server) startKea(dir, pool string) error {
	prefix, bits, _ := strings.Cut(pool, "/")
	text, err := json.Marshal(object{"Dhcp6": object{
		"interfaces-config": object{"interfaces": []string{"d0/" + network.LinkAddress}},
		"lease-database":    object{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
		"server-id":         object{"type": "LL", "htype": 1, "identifier": "0200000000ff", "persist": false},
		"data-directory":    dir,
		"renew-timer":       1000, "rebind-timer": 1600, "preferred-lifetime": 2000, "valid-lifetime": 3000,
		"subnet6": []object{{
			"id": 1, "subnet": subnet,
			"pd-pools": []object{{"prefix": prefix, "prefix-len": json.Number(bits), "delegated-len": delegated}},
		}},
		"loggers": []object{{"name": "kea-dhcp6", "severity": "WARN", "output_options": []object{{"output": "stderr"}}}},
	}})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "kea.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return err
	}
	p, err := s.Relay.Start(lab.Command{
		Name: kea, Args: harness.Pinned(network.RelayCore, "/usr/sbin/kea-dhcp6", "-c", file),
		Env: []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=" + dir, "KEA_LOGGER_DESTINATION=stderr"},
	})
	if err != nil {
		return err
	}
	s.Processes = []*lab.Proc{p}
	if err := s.Listens(s.Relay); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Log())
	}
	return nil
}

// Units that package network does not have.
const (
	busy   = "generator-share" // share of the generator's processor
	window = "window"
)

// mostBusy is how busy the generator's processor may be: above that, the generator is measured,
// and not the server.
const mostBusy = 0.9

// Titles returns the names and versions of the servers, for the document.
func Titles() []string {
	return []string{
		"server6: fairlead: this tree",
		"server6: kea: Kea's kea-dhcp6 with memfile, " + harness.Debian("kea-dhcp6-server"),
	}
}
