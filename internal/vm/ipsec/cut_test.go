//go:build vm

package ipsec_test

import (
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/system/protected"
)

// Somebody takes away what is in the kernel.
var cutsInKernel = []protected.Cut{
	protected.SAsDeleted,
	{Name: "output policies deleted", Notice: []string{"policy is missing", "the block policy"}, Happen: func(e *protected.End) { e.IP("xfrm policy deleteall dir out") }},
	{Name: "input policies deleted", Notice: []string{"policy is missing", "the block policy"}, Happen: func(e *protected.End) { e.IP("xfrm policy deleteall dir in") }},
	protected.GuardDeleted,
	{Name: "guard emptied", Notice: []string{"guard table"}, Happen: func(e *protected.End) { e.NFT("flush table inet " + e.Table()) }},
}

// strongSwan is not what it was.
var cutsOfCharon = []protected.Cut{
	protected.StrongSwanKilled,
	{
		Name: "strongSwan stopped", Notice: []string{"strongSwan cannot be reached"},
		Happen: func(e *protected.End) { e.Net.Need(e.Charon.Stop()) }, Heal: func(e *protected.End) { e.Net.Need(e.Charon.Start()) },
	},
	{Name: "SA expired", Happen: expire},
	{
		// strongSwan takes apart what belongs to one before the connection itself is gone.
		Name: "connections unloaded", Notice: []string{"has not got the connection", "policy is missing", "no SA"}, Happen: func(e *protected.End) {
			_, err := e.Charon.Swanctl("--load-conns")
			e.Net.Need(err)
		},
	},
}

// expire has the kernel end the SAs of an end at their next packet, as they may
// carry no more, and waits until there are new ones: they come at once, so that
// nothing need be missed in between.
func expire(e *protected.End) {
	e.Net.T.Helper()
	started := time.Now()
	out := e.IP("-o xfrm state")
	ended := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(strings.ReplaceAll(line, `\`, " "))
		// src A dst B proto esp spi S reqid R ...
		if len(f) < 10 || f[4] != "proto" {
			e.Net.T.Fatalf("ip xfrm state says %q", line)
		}
		_, err := e.Node.IP("xfrm state update %s mode transport reqid %s aead rfc4106(gcm(aes)) 0x%s 128 limit packet-hard 1",
			strings.Join(f[:8], " "), f[9], strings.Repeat("ab", 20))
		if err == nil {
			ended++
		}
	}
	if ended == 0 { // the second of a pair goes with the first
		e.Net.T.Fatalf("no SA was there to expire:\n%s", out)
	}
	e.Becomes("new SAs are in use", func(hops []api.Hop) bool {
		return len(hops) == 1 && hops[0].Protected && time.Duration(hops[0].Age) < time.Since(started)
	})
}

// during has traffic go on while a hop is cut and until both ends are protected
// again, and fails if anything passes in clear or an intruder is heard.
func (w *world) during(at *protected.End, c protected.Cut) {
	w.T.Helper()
	w.becomesProtected()
	from := len(w.wire.Lines())
	f := w.busy()
	noticed, recovered := c.Try(at, w.relay, w.server)
	atClient, atServer := f.stop()
	w.exchange()
	if atClient+atServer > 0 {
		w.T.Errorf("taken in clear: %d messages at the client, %d at the server", atClient, atServer)
	}
	_, esp := w.wire.OnlyESP(from)
	w.T.Logf("%s at %s: noticed after %v, protected again %v later; %d solicits, %d answers, %d ESP packets",
		c.Name, at.Node.Name, noticed, recovered, len(f.sent), f.answers, esp)
}

// cuts tries ways to take the protection away at both ends.
func (w *world) cuts(list []protected.Cut) {
	for _, c := range list {
		for _, at := range []*protected.End{w.relay, w.server} {
			w.Run(c.Name+" at "+at.Node.Name, func(t *testing.T) {
				w.during(at, c)
			})
		}
	}
}

// Whatever is taken away in the kernel: not one message leaves or is taken in
// clear, it is noticed, and it comes back by itself.
func TestRFC8213_3_FailsClosedInKernel(t *testing.T) {
	protectedWorld(t, "psk").cuts(cutsInKernel)
}

// The same where strongSwan ends, or forgets, and where the peer falls silent.
func TestRFC8213_3_FailsClosedWithoutStrongSwan(t *testing.T) {
	w := protectedWorld(t, "psk")
	w.cuts(cutsOfCharon)
	bridge := func(words string) func(*protected.End) {
		return func(*protected.End) {
			w.m.IP("link set m1 %s", words)
		}
	}
	w.cuts([]protected.Cut{{Name: "cable cut", Notice: []string{"the peer does not answer"}, Happen: bridge("nomaster"), Heal: bridge("master br0")}})
}

// The same with manual keys.
func TestRFC8213_3_FailsClosedManual(t *testing.T) {
	protectedWorld(t, "manual").cuts(cutsInKernel)
}

// Manual keys that are not the other end's: what is sent in ESP is not taken, and
// nothing is sent otherwise. With the right ones it goes on.
func TestRFC8213_3_FailsClosedManualKeysWrong(t *testing.T) {
	w := newWorld(t)
	atRelay, atServer := protected.ByHand(w.Net, serverAddress, relayAddress)
	relay, server := stanzas(atRelay, atServer)
	w.relay.Configure(relay)
	w.server.Configure(server)
	w.serve()
	w.relay.Start()
	w.server.Start()
	w.becomesProtected()
	wrong, _ := protected.ByHand(w.Net, serverAddress, relayAddress)
	wrong, _ = stanzas(wrong, "")
	w.drained()
	w.relay.Configure(wrong)
	w.relay.Reload()
	from, heard := len(w.wire.Lines()), len(w.scripted.Received())
	failed := w.server.XFRM("XfrmInStateProtoError")
	f := w.busy()
	w.Until("packets fail authentication", func() bool {
		return w.server.XFRM("XfrmInStateProtoError") >= failed+10
	})
	if atClient, atServer := f.stop(); atClient+atServer+f.answers > 0 {
		t.Errorf("%d and %d messages of an intruder were taken, %d answered", atClient, atServer, f.answers)
	}
	if now := len(w.scripted.Received()); now != heard {
		t.Errorf("the server has received %d messages", now-heard)
	}
	w.wire.OnlyESP(from)
	w.relay.Configure(relay)
	w.relay.Reload()
	w.becomesProtected()
}
