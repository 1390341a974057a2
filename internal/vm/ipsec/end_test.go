//go:build vm

package ipsec_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/control"
	"fairlead/internal/lab"
	"fairlead/internal/lab/ike"
)

// end is one host of a hop: a node, its strongSwan, and the fairlead that keeps
// the hop protected, be it the relay itself or a guard.
type end struct {
	t      *testing.T
	node   *lab.Node
	charon *ike.Charon // nil where keys are made by hand
	guards bool        // "fairlead guard"; else "fairlead run"
	dir    string
	file   string // the configuration
	socket string // of the control interface
	relay6 string // more of the relay's section of that name, in YAML
	proc   *lab.Proc
}

// newEnd prepares an end without starting anything.
func newEnd(t *testing.T, d *lab.Node, guards bool) *end {
	t.Helper()
	e := &end{t: t, node: d, guards: guards}
	var err error
	e.dir, err = d.Folder(e.name())
	need(t, err)
	e.file, e.socket = filepath.Join(e.dir, "fairlead.yaml"), filepath.Join(e.dir, "control.sock")
	return e
}

func (e *end) name() string {
	if e.guards {
		return "guard"
	}
	return "fairlead"
}

// strongswan starts a charon at this end.
func (e *end) strongswan() {
	e.t.Helper()
	var err error
	e.charon, err = ike.Start(e.node, ike.Config{})
	need(e.t, err)
}

// configure writes the configuration: peers in YAML, and for a relay the links.
func (e *end) configure(peers string) {
	e.t.Helper()
	text := "metrics:\n  listen: \"off\"\ncontrol:\n  socket: " + e.socket + "\npeers:\n" + peers
	if e.charon != nil {
		text += "ipsec:\n  strongswan: " + e.charon.Socket + "\n"
	}
	if !e.guards {
		text += "state: " + filepath.Join(e.dir, "state") + "\nrelay6:\n" + e.relay6 + "  links:\n    - match: \"d*\"\n"
	}
	need(e.t, os.WriteFile(e.file, []byte(text), 0o644))
}

// start starts the program and waits until it can be asked.
func (e *end) start() {
	e.t.Helper()
	e.launch()
	need(e.t, lab.Until(patience, e.name()+" answers", func() bool {
		_, err := e.hops()
		return err == nil || !e.proc.Running()
	}))
	if !e.proc.Running() {
		e.t.Fatalf("%s ended:\n%s", e.name(), e.proc.Log())
	}
}

// launch starts the program.
func (e *end) launch() {
	e.t.Helper()
	program, err := os.Executable()
	need(e.t, err)
	args := []string{program, "run", "--config", e.file}
	if e.guards {
		args = []string{program, "guard", "--config", e.file}
	} else {
		need(e.t, os.MkdirAll(filepath.Join(e.dir, "state"), 0o700))
	}
	e.proc, err = e.node.Start(lab.Command{Name: e.name(), Args: args})
	need(e.t, err)
}

// strangers is how many relayed messages of nobody that is configured a guard has
// dropped.
func (e *end) strangers() uint64 {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status, err := control.NewGuardClient(e.socket).Status(ctx)
	need(e.t, err)
	return status.Strangers.Packets
}

// hops is what the program says of its hops.
func (e *end) hops() (hops []control.Hop, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if e.guards {
		status, err := control.NewGuardClient(e.socket).Status(ctx)
		for i := range status.Peers {
			hops = append(hops, status.Peers[i].Hops...)
		}
		return hops, err
	}
	peers, err := control.NewClient(e.socket).Peers(ctx)
	for i := range peers {
		hops = append(hops, peers[i].Hops...)
	}
	return hops, err
}

// becomes waits until something is true of the end's hops.
func (e *end) becomes(what string, is func([]control.Hop) bool) []control.Hop {
	e.t.Helper()
	var hops []control.Hop
	var err error
	late := lab.Until(patience, e.node.Name+": "+what, func() bool {
		hops, err = e.hops()
		return err == nil && is(hops)
	})
	if late != nil {
		e.t.Fatalf("%v; its hops are %+v, %v", late, hops, err)
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

// noticesSince waits until one of the hops has, or has had since then, a problem
// with a text in it.
func (e *end) noticesSince(since time.Time, text string) {
	e.t.Helper()
	e.becomes(fmt.Sprintf("%q is noticed", text), func(hops []control.Hop) bool {
		for i := range hops {
			h := &hops[i]
			if strings.Contains(h.Problem, text) || h.LastErrorAt.After(since) && strings.Contains(h.LastError, text) {
				return true
			}
		}
		return false
	})
}

// table is the name of the end's guard table.
func (e *end) table() string {
	if e.guards {
		return "fairlead-guard-guard"
	}
	return "fairlead-relay-guard"
}
