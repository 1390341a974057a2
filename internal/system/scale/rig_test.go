package scale

import (
	"fmt"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/reflector"
	"fairlead/internal/system/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// network is a rig with a server that answers everybody, and a relay that is not
// started yet.
type network struct{ *rig.Rig }

// build prepares the relay for the links that match, with the strictest filter
// and no limits but those that are told.
func build(t *testing.T, plan lab.Plan, match string) *network {
	t.Helper()
	r := &network{rig.Build(t, plan)}
	var server *reflector.Server
	r.Server.Do(func() (err error) {
		server, err = reflector.Listen(lab.ServerAddress)
		return err
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	r.OnClose(func() error {
		server.Close()
		return <-served
	})
	r.Prepare(fmt.Sprintf(`log:
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
`, lab.ServerAddress, match))
	return r
}

// routes is how many routes of ours the kernel has.
func (r *network) routes() int {
	r.T.Helper()
	return strings.Count(r.Relay.IP("-6 -N route show proto 87 table all"), "\n")
}

// elements is how many elements a set of the filter has; none if it was never
// made.
func (r *network) elements(set string) int {
	r.T.Helper()
	out, err := r.Relay.Node.Run("nft", "-j", "list", "set", "inet", "fairlead", set)
	if err != nil && strings.Contains(err.Error(), "No such file") {
		return 0
	}
	r.Need(err)
	return strings.Count(out, `"concat"`)
}
