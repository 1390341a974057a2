package scale

import (
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

// build prepares the relay with the strictest filter and no limits but those that are
// told.
func build(t *testing.T, plan lab.Plan) *network {
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
	r.Prepare("log: {level: warn}\n" + r.Standard("filter: strict", "loop-drop: drop",
		"limits: {link: 1000000}", "rate: {link: unlimited, source: unlimited, newcomers: unlimited}"))
	return r
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
