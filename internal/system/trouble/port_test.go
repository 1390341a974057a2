package trouble_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
)

// Other programs with sockets at our port, which other people have started first or
// start later, take none of the answers of the server, and are named in the log and in
// status.
func TestPortIsShared(t *testing.T) {
	for name, run := range map[string]func(r *rig) (*lab.Proc, error){
		"dhcpd": func(r *rig) (*lab.Proc, error) {
			return peer.StartServer(r.Relay, peer.Dhcpd, peer.ServerConfig{Interface: "u0", Address: lab.RelayAddress})
		},
		"dhcrelay": func(r *rig) (*lab.Proc, error) {
			return r.Relay.Start(lab.Command{Name: "dhcrelay", Args: []string{"dhcrelay", "-6", "-d", "--no-pid", "-l", "d2", "-u", "2001:db8:ff::77%u0"}})
		},
	} {
		for _, first := range []bool{true, false} {
			when := map[bool]string{true: " first", false: " later"}[first]
			t.Run(name+when, func(t *testing.T) {
				parallel(t)
				r := build(t, plan{clients: 2})
				var other *lab.Proc
				var err error
				if first {
					other, err = run(r)
					need(t, err)
					until(t, "the other program has its sockets", func() bool { return r.holdsPort(name) })
				}
				need(t, r.relay.Start())
				if !first {
					other, err = run(r)
					need(t, err)
					until(t, "the other program has its sockets", func() bool { return r.holdsPort(name) })
				}
				r.obtain(r.client(1, duid(1)), 1)
				named := func() bool {
					return slices.ContainsFunc(r.status().Degraded, func(line string) bool { return strings.HasPrefix(line, "port: "+name+" (process ") })
				}
				if !first {
					return // it is looked for when a server is silent, and at the start
				}
				until(t, "status names it", named)
				r.logged("level=WARN", `msg="another program has a socket at our port`, name+" (process ")
				labtest.Need(t, other.Stop())
			})
		}
	}
}

// holdsPort reports whether a program has a socket at port 547 in the relay's node.
func (r *rig) holdsPort(name string) bool {
	r.t.Helper()
	out, err := r.Relay.Run("ss", "-Hulnp6", "sport = :547")
	need(r.t, err)
	return strings.Contains(out, `"`+name+`"`)
}
