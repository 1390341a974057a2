// Package relays measures the relay as a whole process against other relays, and compares it with
// the bars that it has to reach; or, with -against, it compares the relay with that of another
// revision of this tree. The bars of the server (tools/bench/servers) follow those of the relay.
//
// It needs root, two processors, and the packages of scripts/packages bench. Every contender has
// a network of its own (tools/bench/network). The relay has the first processor to itself.
// Contenders take turns, and those that wait are stopped.
//
// The CPU time of a relay is the time that its threads ran (/proc/PID/task/*/schedstat). On veth,
// this includes the work on a packet until it is queued at the receiver, for every contender in
// the same way.
package relays

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/servers"
)

// Suite is the benches of docs/performance.md.
type Suite struct {
	*harness.Run

	only    string
	length  time.Duration
	clients int
	present int
	against string
	keys    string

	programs map[string]string // the fairleads that take part, by name
}

// Flags implements harness.Suite.
func (s *Suite) Flags(f *flag.FlagSet) {
	f.DurationVar(&s.length, "length", 2500*time.Millisecond, "how long one run of the load generator takes")
	f.IntVar(&s.clients, "clients", 256, "clients in the plain load")
	f.IntVar(&s.present, "present", 100_000, "delegations that are there beforehand")
	f.StringVar(&s.only, "only", "", "contenders, with commas: "+strings.Join(names(), ", "))
	f.StringVar(&s.against, "against", "", "a revision, or a program of one, that -fairlead is compared with, instead of with other relays")
	f.StringVar(&s.keys, "keys", "", "keys of the configuration that the other program knows by an older name: NEW=OLD, with commas")
}

// Benches implements harness.Suite.
func (s *Suite) Benches(r *harness.Run) ([]harness.Bench, error) {
	s.Run = r
	if err := s.check(); err != nil {
		return nil, err
	}
	s.programs = map[string]string{ours: r.Fairlead}
	if s.against != "" {
		return s.versions()
	}
	six, four := s.relay6(), s.relay4()
	return append([]harness.Bench{
		// Benches that add delegations come late.
		six.contest(), six.allocations(), six.memory(), six.coldClients(), six.manyAddresses(), six.restore(), six.grantGrowth(), six.grants(),
		six.slowDisk(), six.flood(), six.floodElsewhere(),
		four.contest(), four.allocations(), four.manyAddresses(), four.flood(),
	}, servers.New(r, s.length).Benches()...), nil
}

func (s *Suite) check() error {
	if s.clients < 1 || s.present < 1 {
		return errors.New("clients and present must be at least 1")
	}
	for _, name := range harness.Words(s.only) {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no contender %q", name)
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if runtime.NumCPU() < 2 {
		return errors.New("two cores are needed: one for the relay, one for the clients and the server")
	}
	if _, err := os.Stat(s.Fairlead); err != nil {
		return fmt.Errorf("%w (make build/fairlead)", err)
	}
	if kind := harness.FileSystem(s.Folder); kind == "tmpfs" || kind == "ramfs" {
		return fmt.Errorf("store: %s is on a file system in memory: --dir names a better place", s.Folder)
	}
	return nil
}

// fairleads returns the names of the fairleads that take part.
func (s *Suite) fairleads() []string { return slices.Sorted(maps.Keys(s.programs)) }
