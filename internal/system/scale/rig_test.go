package scale

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/reflector"
	"fairlead/internal/lab/relay"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// rig is a topology with a server that answers everybody, and a relay that is
// not started yet.
type rig struct {
	*lab.Topology
	t     *testing.T
	relay *relay.Relay
}

// newRig prepares the relay for the links that match, with the strictest filter
// and no limits but those that are told.
func newRig(t *testing.T, plan lab.Plan, match string) *rig {
	t.Helper()
	top, err := lab.ForTest(t).Topology(plan)
	labtest.Need(t, err)
	var server *reflector.Server
	labtest.Need(t, top.Server.Do(func() (err error) {
		server, err = reflector.Listen(lab.ServerAddress)
		return err
	}))
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	top.OnClose(func() error {
		server.Close()
		return <-served
	})
	r, err := relay.New(top.Relay, relay.Config{Binary: labtest.Program(), Text: fmt.Sprintf(`log:
  level: warn
peers:
  - name: server
    address: %s
    role: server
    interfaces: [u0]
    protection: none
relay6:
  defaults:
    filter: strict
    loop-drop: drop
    limits:
      link: 1000000
    rate:
      link: unlimited
      source: unlimited
      newcomers: unlimited
  links:
    - match: %q
`, lab.ServerAddress, match)})
	labtest.Need(t, err)
	return &rig{Topology: top, t: t, relay: r}
}

// routes is how many routes of ours the kernel has.
func (r *rig) routes() int {
	r.t.Helper()
	out, err := r.Relay.IP("-6 -N route show proto 87 table all")
	labtest.Need(r.t, err)
	return strings.Count(out, "\n")
}

// elements is how many elements a set of the filter has; none if it was never
// made.
func (r *rig) elements(set string) int {
	r.t.Helper()
	out, err := r.Relay.Run("nft", "-j", "list", "set", "inet", "fairlead", set)
	if err != nil && strings.Contains(err.Error(), "No such file") {
		return 0
	}
	labtest.Need(r.t, err)
	return strings.Count(out, `"concat"`)
}

// descriptors is how many files and sockets the relay has open.
func (r *rig) descriptors() int {
	r.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.relay.Proc().Pid()))
	labtest.Need(r.t, err)
	return len(all)
}

// resident is the memory of the relay in MiB.
func (r *rig) resident() int {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", r.relay.Proc().Pid()))
	labtest.Need(r.t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	labtest.Need(r.t, err)
	return pages * os.Getpagesize() >> 20
}
