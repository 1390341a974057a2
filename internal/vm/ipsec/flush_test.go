//go:build vm

package ipsec_test

import (
	"strings"
	"syscall"
	"testing"

	"fairlead/internal/app/api"
	"fairlead/internal/system/protected"
)

// flushes are what a restart of a firewall does, or somebody who sweeps up: each takes
// one barrier, and at the relay, where user space is one more, they come together.
func flushes(together bool) []protected.Cut {
	flush := func(name string, commands ...string) protected.Cut {
		return protected.Cut{Name: name, Happen: func(e *protected.End) {
			for range 3 { // again, once what it took is on its way back
				e.Run("sh", "-c", strings.Join(commands, " && "))
			}
		}}
	}
	all := []protected.Cut{
		flush("ruleset flushed", "nft flush ruleset"),
		flush("policies and SAs flushed", "ip xfrm policy flush", "ip xfrm state flush"),
	}
	if together {
		all = append(all, flush("everything flushed", "nft flush ruleset", "ip xfrm policy flush", "ip xfrm state flush"))
	}
	return all
}

// Nothing passes in clear, and nothing in clear is believed, whichever barrier somebody
// flushes: with strongSwan there, and killed. RFC 8213 3b and 3p.
func TestRFC8213_3_FailsClosedFlushed(t *testing.T) {
	w := protectedWorld(t, "psk")
	for _, at := range []*protected.End{w.relay, w.server} {
		for _, c := range flushes(at == w.relay) {
			for _, running := range []bool{true, false} {
				name := c.Name + " at " + at.Node.Name
				if !running {
					name += " without strongSwan"
				}
				w.Run(name, func(t *testing.T) {
					if running {
						w.during(at, c)
						return
					}
					gone := c
					gone.Happen = func(e *protected.End) {
						e.Net.Need(e.Charon.Kill())
						c.Happen(e)
					}
					gone.Heal = func(e *protected.End) { e.Net.Need(e.Charon.Start()) }
					w.during(at, gone)
				})
			}
		}
	}
}

// Everything flushed at a guard, which has no user space between the program and the
// kernel: what passes in clear meanwhile is not ours to stop, but both barriers come
// back by themselves, whether strongSwan runs or not, and hold from then on.
func TestRFC8213_3_FailsClosedAgainAtAGuard(t *testing.T) {
	w := protectedWorld(t, "psk")
	all := flushes(true)
	everything := all[len(all)-1]
	for _, running := range []bool{true, false} {
		name := "with strongSwan"
		if !running {
			name = "without strongSwan"
		}
		w.Run(name, func(t *testing.T) {
			w.becomesProtected()
			if !running {
				w.Need(w.server.Charon.Kill())
			}
			meanwhile := w.busy()
			everything.Happen(w.server)
			w.Until("both barriers are back", func() bool { return w.s.Barriers(w.server.Table()) })
			meanwhile.stop()
			from := len(w.wire.Lines())
			f := w.busyAs(later)
			w.Until("the client has solicited twenty times", func() bool { return f.solicited() >= 20 })
			if !running {
				w.Need(w.server.Charon.Start())
			}
			w.relay.BecomesProtected()
			w.server.BecomesProtected()
			if atClient, atServer := f.stop(); atClient+atServer > 0 {
				t.Errorf("taken in clear: %d messages at the client, %d at the server", atClient, atServer)
			}
			w.exchange()
			w.wire.OnlyESP(from)
		})
	}
}

// A strongSwan that hangs, at either end: messages pass in ESP as before, both ends say
// so, and neither ends the SAs, although the other's strongSwan asks in vain.
func TestRFC8213_3_StrongSwanHangs(t *testing.T) {
	w := protectedWorld(t, "psk")
	for _, c := range []struct{ hangs, asks *protected.End }{{w.relay, w.server}, {w.server, w.relay}} {
		w.Run("at "+c.hangs.Node.Name, func(t *testing.T) {
			w.becomesProtected()
			from := len(w.wire.Lines())
			w.Need(c.hangs.Charon.Proc().Signal(syscall.SIGSTOP))
			defer func() { w.Need(c.hangs.Charon.Proc().Signal(syscall.SIGCONT)) }()
			begun := len(c.asks.Charon.Log())
			w.Until("the other strongSwan has asked three times", func() bool {
				return strings.Contains(c.asks.Charon.Log()[begun:], "retransmit 2 of request")
			})
			c.hangs.Becomes("what hangs is told, and that the peer is protected", func(h []api.Hop) bool {
				return len(h) == 1 && h[0].Protected && strings.Contains(strings.Join(h[0].Warnings, " "), "strongSwan cannot be reached")
			})
			w.drained()
			for _, e := range []*protected.End{w.relay, w.server} {
				if log := e.Program.Log(); strings.Contains(log, "nothing passes") {
					t.Errorf("%s: a false alarm:\n%s", e.Node.Name, log)
				}
			}
			spis := w.wire.SPIs(from, relayAddress)
			if len(spis) != 1 {
				t.Errorf("the relay sent under the SPIs %v, want one", spis)
			}
			w.wire.OnlyESP(from)
		})
		w.becomesProtected()
	}
}
