//go:build vm

package ipsec_test

import (
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/control"
	"fairlead/internal/lab"
)

// cut is one way to take a hop's protection away, at one end.
type cut struct {
	name   string
	notice string // in what the end says of it; empty: it may be over before it looks
	happen func(*end)
	heal   func(*end) // nil: fairlead does it alone
}

// ip and nft run that command at the end, in words as people type them.
func (e *end) ip(words string) {
	e.t.Helper()
	_, err := e.node.IP("%s", words)
	need(e.t, err)
}

func (e *end) nft(words string) {
	e.t.Helper()
	_, err := e.node.Run(append([]string{"nft"}, strings.Fields(words)...)...)
	need(e.t, err)
}

// Somebody takes away what is in the kernel.
var cutsInKernel = []cut{
	{name: "SAs deleted", notice: "SA", happen: func(e *end) { e.ip("xfrm state deleteall") }},
	{name: "output policies deleted", notice: "policy is missing", happen: func(e *end) { e.ip("xfrm policy deleteall dir out") }},
	{name: "input policies deleted", notice: "policy is missing", happen: func(e *end) { e.ip("xfrm policy deleteall dir in") }},
	{name: "guard deleted", notice: "guard table", happen: func(e *end) { e.nft("delete table inet " + e.table()) }},
	{name: "guard emptied", notice: "guard table", happen: func(e *end) { e.nft("flush table inet " + e.table()) }},
}

// strongSwan is not what it was.
var cutsOfCharon = []cut{
	{
		name: "strongSwan killed", notice: "strongSwan cannot be reached",
		happen: func(e *end) { need(e.t, e.charon.Kill()) }, heal: func(e *end) { need(e.t, e.charon.Start()) },
	},
	{
		name: "strongSwan stopped", notice: "strongSwan cannot be reached",
		happen: func(e *end) { need(e.t, e.charon.Stop()) }, heal: func(e *end) { need(e.t, e.charon.Start()) },
	},
	{name: "SA expired", happen: func(e *end) { e.expire() }},
	{
		name: "connections unloaded", notice: "connection", happen: func(e *end) {
			_, err := e.charon.Swanctl("--load-conns")
			need(e.t, err)
		},
	},
}

// expire has the kernel end the SAs of an end at their next packet, as they may
// carry no more, and waits until there are new ones: they come at once, so that
// nothing need be missed in between.
func (e *end) expire() {
	e.t.Helper()
	started := time.Now()
	out, err := e.node.IP("-o xfrm state")
	need(e.t, err)
	ended := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(strings.ReplaceAll(line, `\`, " "))
		// src A dst B proto esp spi S reqid R ...
		if len(f) < 10 || f[4] != "proto" {
			e.t.Fatalf("ip xfrm state says %q", line)
		}
		_, err := e.node.IP("xfrm state update %s mode transport reqid %s aead rfc4106(gcm(aes)) 0x%s 128 limit packet-hard 1",
			strings.Join(f[:8], " "), f[9], strings.Repeat("ab", 20))
		if err == nil {
			ended++
		}
	}
	if ended == 0 { // the second of a pair goes with the first
		e.t.Fatalf("no SA was there to expire:\n%s", out)
	}
	e.becomes("new SAs are in use", func(hops []control.Hop) bool {
		return len(hops) == 1 && hops[0].Protected && time.Duration(hops[0].Age) < time.Since(started)
	})
}

// during has traffic go on while a hop is cut and until both ends are protected
// again, and fails if anything passes in clear or an intruder is heard.
func (w *world) during(at *end, c cut) {
	w.t.Helper()
	w.settled()
	from := len(w.wire.lines())
	f := w.busy()
	started := time.Now()
	c.happen(at)
	if c.notice != "" {
		at.noticesSince(started, c.notice)
	}
	noticed := time.Since(started)
	if c.heal != nil {
		c.heal(at)
	}
	healed := time.Now()
	w.relay.becomesProtected()
	w.server.becomesProtected()
	recovered := time.Since(healed)
	atClient, atServer := f.stop()
	w.exchange()
	if atClient+atServer > 0 {
		w.t.Errorf("taken in clear: %d messages at the client, %d at the server", atClient, atServer)
	}
	_, esp := w.wire.onlyESP(from)
	w.t.Logf("%s at %s: noticed after %v, protected again %v later; %d solicits, %d answers, %d ESP packets",
		c.name, at.node.Name, noticed, recovered, f.sent, f.answers, esp)
}

// cuts tries ways to take the protection away at both ends.
func (w *world) cuts(t *testing.T, list []cut) {
	for _, c := range list {
		for _, at := range []*end{w.relay, w.server} {
			t.Run(c.name+" at "+at.node.Name, func(t *testing.T) {
				outer := w.t
				w.under(t)
				defer w.under(outer)
				w.during(at, c)
			})
		}
	}
}

// Whatever is taken away in the kernel: not one message leaves or is taken in
// clear, it is noticed, and it comes back by itself.
func TestRFC8213_3_FailsClosedInKernel(t *testing.T) {
	protected(t, "psk").cuts(t, cutsInKernel)
}

// The same where strongSwan ends, or forgets, and where the peer falls silent.
func TestRFC8213_3_FailsClosedWithoutStrongSwan(t *testing.T) {
	w := protected(t, "psk")
	w.cuts(t, cutsOfCharon)
	bridge := func(words string) func(*end) {
		return func(*end) {
			_, err := w.m.IP("link set m1 %s", words)
			need(w.t, err)
		}
	}
	w.cuts(t, []cut{{name: "cable cut", notice: "the peer does not answer", happen: bridge("nomaster"), heal: bridge("master br0")}})
}

// The same with manual keys.
func TestRFC8213_3_FailsClosedManual(t *testing.T) {
	protected(t, "manual").cuts(t, cutsInKernel)
}

// Manual keys that are not the other end's: what is sent in ESP is not taken, and
// nothing is sent otherwise. With the right ones it goes on.
func TestRFC8213_3_FailsClosedManualKeysWrong(t *testing.T) {
	w := newWorld(t)
	atRelay, atServer := byHand(t, w.Dir(), relayAddress, serverAddress)
	relay, server := stanzas(atRelay, atServer)
	w.relay.configure(relay)
	w.server.configure(server)
	w.serve()
	w.relay.start()
	w.server.start()
	w.settled()
	wrong, _ := byHand(t, w.Dir(), relayAddress, serverAddress)
	wrong, _ = stanzas(wrong, "")
	w.relay.configure(wrong)
	w.relay.reload()
	from, heard := len(w.wire.lines()), len(w.scripted.Received())
	failed := w.server.counter("XfrmInStateProtoError")
	f := w.busy()
	need(t, lab.Until(patience, "packets fail authentication", func() bool {
		return w.server.counter("XfrmInStateProtoError") >= failed+10
	}))
	if atClient, atServer := f.stop(); atClient+atServer+f.answers > 0 {
		t.Errorf("%d and %d messages of an intruder were taken, %d answered", atClient, atServer, f.answers)
	}
	if now := len(w.scripted.Received()); now != heard {
		t.Errorf("the server has received %d messages", now-heard)
	}
	w.wire.onlyESP(from)
	w.relay.configure(relay)
	w.relay.reload()
	w.settled()
}
