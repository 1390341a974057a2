//go:build vm

package ipsec4_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/control"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
)

// end is one host of a hop: a node, its strongSwan, and the guard that keeps the
// hop protected for the DHCP program beside it.
type end struct {
	t      *testing.T
	node   *lab.Node
	charon *ike.Charon // nil where keys are made by hand
	file   string      // the configuration
	socket string      // of the control interface
	proc   *lab.Proc
}

// pace is how often a guard is asked: it looks at its hops once a second.
const pace = 200 * time.Millisecond

// table is the name of the guard's table.
const table = "fairlead-guard-guard"

func newEnd(t *testing.T, d *lab.Node) *end {
	t.Helper()
	dir, err := d.Folder("guard")
	need(t, err)
	return &end{t: t, node: d, file: filepath.Join(dir, "guard.yaml"), socket: filepath.Join(dir, "guard.sock")}
}

// strongswan starts a charon at this end. It gives up on a silent peer within a
// few seconds instead of minutes.
func (e *end) strongswan() {
	e.t.Helper()
	var err error
	e.charon, err = ike.Start(e.node, ike.Config{Charon: "retransmit_timeout = 1.0\nretransmit_tries = 3"})
	need(e.t, err)
}

// configure writes the configuration, with peers in YAML.
func (e *end) configure(peers string) {
	e.t.Helper()
	text := "metrics:\n  listen: \"off\"\ncontrol:\n  socket: " + e.socket + "\npeers:\n" + peers
	if e.charon != nil {
		text += "ipsec:\n  strongswan: " + e.charon.Socket + "\n"
	}
	need(e.t, os.WriteFile(e.file, []byte(text), 0o644))
}

// start starts the guard and waits until it can be asked.
func (e *end) start() {
	e.t.Helper()
	program, err := os.Executable()
	need(e.t, err)
	e.proc, err = e.node.Start(lab.Command{Name: "guard", Args: []string{program, "guard", "--config", e.file}})
	need(e.t, err)
	need(e.t, lab.Until(patience, "the guard answers", func() bool {
		_, err := e.status()
		return err == nil || !e.proc.Running()
	}))
	if !e.proc.Running() {
		e.t.Fatalf("the guard has ended:\n%s", e.proc.Log())
	}
}

func (e *end) status() (control.GuardStatus, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return control.NewGuardClient(e.socket).Status(ctx)
}

// says is what "fairlead guard status" prints.
func (e *end) says() string {
	e.t.Helper()
	program, err := os.Executable()
	need(e.t, err)
	out, err := e.node.Run(program, "guard", "status", "--socket", e.socket)
	need(e.t, err)
	return out
}

// hops are those of all peers.
func (e *end) hops() (hops []control.Hop) {
	e.t.Helper()
	status, err := e.status()
	need(e.t, err)
	for i := range status.Peers {
		hops = append(hops, status.Peers[i].Hops...)
	}
	return hops
}

// becomes waits until something is true of the end's hops.
func (e *end) becomes(what string, is func([]control.Hop) bool) []control.Hop {
	e.t.Helper()
	var hops []control.Hop
	late := lab.Until(patience, e.node.Name+": "+what, func() bool {
		hops = e.hops()
		if is(hops) {
			return true
		}
		time.Sleep(pace) // each question is work for the machine
		return false
	})
	if late != nil {
		e.t.Fatalf("%v; its hops are %+v", late, hops)
	}
	return hops
}

// becomesProtected waits until all hops are protected.
func (e *end) becomesProtected() []control.Hop {
	e.t.Helper()
	return e.becomes("all hops are protected", func(hops []control.Hop) bool {
		for i := range hops {
			if !hops[i].Protected {
				return false
			}
		}
		return len(hops) > 0
	})
}

// notices waits until one of the hops has, or has had since then, a problem with
// a text in it.
func (e *end) notices(since time.Time, text string) {
	e.t.Helper()
	e.becomes(text+" is noticed", func(hops []control.Hop) bool {
		for i := range hops {
			h := &hops[i]
			if strings.Contains(h.Problem, text) || h.LastErrorAt.After(since) && strings.Contains(h.LastError, text) {
				return true
			}
		}
		return false
	})
}

// strangers is how many messages of nobody that is configured were dropped.
func (e *end) strangers() uint64 {
	e.t.Helper()
	status, err := e.status()
	need(e.t, err)
	return status.Strangers.Packets
}

// reload has the guard take its configuration anew.
func (e *end) reload() {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	need(e.t, control.NewGuardClient(e.socket).Reload(ctx))
}

// allow lets messages of relays in that are not configured.
func (e *end) allow() {
	e.t.Helper()
	text, err := os.ReadFile(e.file)
	need(e.t, err)
	need(e.t, os.WriteFile(e.file, append(text, "others: allow\n"...), 0o644))
	e.reload()
}
