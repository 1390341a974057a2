package trouble_test

import (
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/rig"
)

// Other programs with sockets at our port, which other people have started first or
// start later, take none of the answers of the server, and are named in the log and in
// status.
func TestPortIsShared(t *testing.T) {
	for name, run := range map[string]func(r *network) *lab.Proc{
		"dhcpd": func(r *network) *lab.Proc {
			return r.Relay.Serve(peer.Dhcpd, peer.ServerConfig{Interface: "u0", Address: lab.RelayAddress})
		},
		"dhcrelay": func(r *network) *lab.Proc {
			return r.Relay.Start("dhcrelay", "dhcrelay", "-6", "-d", "--no-pid", "-l", "d2", "-u", "2001:db8:ff::77%u0")
		},
	} {
		for _, first := range []bool{true, false} {
			when := map[bool]string{true: " first", false: " later"}[first]
			t.Run(name+when, func(t *testing.T) {
				r := build(t, plan{clients: 2})
				var other *lab.Proc
				if first {
					other = run(r)
					r.Until("the other program has its sockets", func() bool { return other.Listens(547) })
				}
				r.Fairlead.Start()
				if !first {
					other = run(r)
					r.Until("the other program has its sockets", func() bool { return other.Listens(547) })
				}
				r.obtain(r.Play(1, rig.DUID(1)), 1)
				named := func() bool {
					return slices.ContainsFunc(r.status().Degraded, func(line string) bool { return strings.HasPrefix(line, "port: "+name+" (process ") })
				}
				if !first {
					return // it is looked for when a server is silent, and at the start
				}
				r.Until("status names it", named)
				r.Fairlead.Logged("level=WARN", `msg="another program has a socket at our port`, name+" (process ")
				r.Need(other.Stop())
			})
		}
	}
}
