//go:build vm

package ipsec4_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
)

// enough is how long a client asks that is not to get an answer: many times.
const enough = 8 * time.Second

// A server that reads frames hears what a relay without protection sends, though
// there is a guard: IPsec and nft see a copy that is dropped. Kea even answers in
// clear. dhcpd answers by a UDP socket, which is protected. Of what comes in ESP
// neither understands anything. The guard says so of both.
func TestServersThatReadFrames(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", giaddr1)
	w.server.start()
	w.relays(peer.DnsmasqRelay)
	for _, c := range []struct {
		kind    peer.Server4Kind
		program string
		clear   bool // it answers in clear
	}{
		{peer.Kea4Raw, "kea-dhcp4", true},
		{peer.Dhcpd4, "dhcpd", false},
	} {
		t.Run(string(c.kind), func(t *testing.T) {
			w.under(t)
			program := w.serve(c.kind)
			w.server.warns(c.program, program.Pid())
			from, out := len(w.wire.lines()), w.wire.esp(server, giaddr1)
			_, err := w.asks(w.c1, enough)
			if got := err == nil; got != c.clear {
				t.Errorf("the client got an address: %v (%v), want %v", got, err, c.clear)
			}
			if got := w.wire.answered(from); got != c.clear {
				t.Errorf("answers in clear: %v, want %v:\n%s", got, c.clear, strings.Join(w.wire.lines()[from:], "\n"))
			}
			if got := w.wire.esp(server, giaddr1) > out; got == c.clear {
				t.Errorf("answers in ESP: %v, want %v", got, !c.clear)
			}
			need(t, program.Stop())
		})
	}
	w.under(t)
	w.relay.start()
	for _, kind := range []peer.Server4Kind{peer.Kea4Raw, peer.Dhcpd4} {
		t.Run("protected "+string(kind), func(t *testing.T) {
			w.under(t)
			program := w.serve(kind)
			from, in := len(w.wire.lines()), w.wire.esp(giaddr1, server)
			if got, err := w.asks(w.c1, enough); err == nil {
				t.Errorf("the client got %s, want that the server hears nothing", got)
			}
			w.wire.onlyESP(from)
			if w.wire.esp(giaddr1, server) == in {
				t.Error("no request came in ESP")
			}
			need(t, program.Stop())
		})
	}
	w.under(t)
}

// dhcrelay sends by a UDP socket, which is protected, and reads frames: it never
// hears an answer. The guard says so.
func TestRelayThatReadsFrames(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", uplink, giaddr1)
	w.guard()
	w.serve(peer.Kea4UDP)
	program := w.relays(peer.Dhcrelay)
	w.relay.warns("dhcrelay", program.Pid())
	if got, err := w.asks(w.c1, enough); err == nil {
		t.Errorf("the client got %s, want that the relay hears no answer", got)
	}
	w.wire.onlyESP(0)
	if to, from := w.wire.esp(uplink, server), w.wire.esp(server, giaddr1); to == 0 || from == 0 {
		t.Errorf("%d ESP packets to the server and %d to giaddr, want some of both", to, from)
	}
	if n := w.server.hops()[1].Out.Packets; n == 0 {
		t.Error("the server's guard has counted no answer in ESP")
	}
}

// warns waits until "fairlead guard status" names a program and its warning.
func (e *end) warns(program string, pid int) {
	e.t.Helper()
	want := fmt.Sprintf("program %s (%d): reads and sends packets past IPsec", program, pid)
	var said string
	if err := lab.Until(patience, "the guard warns of "+program, func() bool {
		said = e.says()
		return strings.Contains(said, want)
	}); err != nil {
		e.t.Errorf("%v; it says\n%s", err, said)
	}
}

// under has what goes wrong from now on be that test's fault.
func (w *world) under(t *testing.T) { w.t, w.relay.t, w.server.t, w.wire.t = t, t, t, t }

// answered reports whether the server has answered in clear since the line of
// that number.
func (x *wire) answered(from int) bool {
	x.t.Helper()
	for _, line := range x.clear(from) {
		if strings.Contains(line, "BOOTP/DHCP, Reply") {
			return true
		}
	}
	return false
}
