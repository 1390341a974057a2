//go:build vm

package ipsec4_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/control"
	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// enough is how long a client asks that is not to get an answer: several times.
const enough = 5 * time.Second

// A server that reads frames hears what a relay without protection sends, though
// there is a guard: IPsec and nft see a copy that is dropped. Kea even answers in
// clear. dhcpd answers by a UDP socket, which is protected. Of what comes in ESP
// neither understands anything. The guard says so of both.
func TestServersThatReadFrames(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", giaddr1)
	w.server.Start()
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
			warns(w.server, c.program, program.Pid())
			from, out := len(w.wire.Lines()), w.wire.ESP(server, giaddr1)
			if c.clear {
				w.leases(w.c1, "10.1.0.0/16")
			} else if got, err := w.asks(w.c1, enough); err == nil {
				t.Errorf("the client got %s, want that answers go into ESP, which the relay cannot read", got)
			}
			need(t, lab.Until(patience, "an answer is on the wire", func() bool {
				return answered(w.wire, from) || w.wire.ESP(server, giaddr1) > out
			}))
			if got := answered(w.wire, from); got != c.clear {
				t.Errorf("answers in clear: %v, want %v:\n%s", got, c.clear, strings.Join(w.wire.Lines()[from:], "\n"))
			}
			if got := w.wire.ESP(server, giaddr1) > out; got == c.clear {
				t.Errorf("answers in ESP: %v, want %v", got, !c.clear)
			}
			need(t, program.Stop())
		})
	}
	w.under(t)
	w.relay.Start()
	for _, kind := range []peer.Server4Kind{peer.Kea4Raw, peer.Dhcpd4} {
		t.Run("protected "+string(kind), func(t *testing.T) {
			w.under(t)
			program := w.serve(kind)
			from, in := len(w.wire.Lines()), w.wire.ESP(giaddr1, server)
			if got, err := w.asks(w.c1, enough); err == nil {
				t.Errorf("the client got %s, want that the server hears nothing", got)
			}
			need(t, lab.Until(patience, "a request comes in ESP", func() bool { return w.wire.ESP(giaddr1, server) > in }))
			w.wire.OnlyESP(from)
			need(t, program.Stop())
		})
	}
	w.under(t)
}

// dhcrelay sends by a UDP socket, which is protected, and reads frames: it never
// hears an answer that comes in ESP, and passes on what anybody sends in clear.
// The guard says so.
func TestRelayThatReadsFrames(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", uplink, giaddr1)
	w.guard()
	w.serve(peer.Kea4UDP)
	program := w.relays(peer.Dhcrelay)
	warns(w.relay, "dhcrelay", program.Pid())
	if got, err := w.asks(w.c1, enough); err == nil {
		t.Errorf("the client got %s, want that the relay hears no answer", got)
	}
	need(t, lab.Until(patience, "requests and answers are in ESP", func() bool {
		return w.wire.ESP(uplink, server) > 0 && w.wire.ESP(server, giaddr1) > 0
	}))
	w.wire.OnlyESP(0)
	heard := record(t, w.c1, "c0")
	send(t, w.m, netip.AddrPortFrom(server, 67), netip.AddrPortFrom(giaddr1, 67), offer(t, giaddr1))
	need(t, lab.Until(patience, "a client hears the host on the wire", func() bool {
		return strings.Contains(strings.Join(heard.Lines("-v"), "\n"), "Your-IP "+forgedLease)
	}))
}

// warns waits until the guard knows of a program, and checks that "fairlead guard
// status" names it and warns.
func warns(e *protected.End, program string, pid int) {
	e.T.Helper()
	need(e.T, lab.Until(patience, "the guard finds "+program, func() bool {
		status, err := e.GuardStatus()
		need(e.T, err)
		return slices.ContainsFunc(status.Programs, func(p control.Program) bool { return p.PID == pid })
	}))
	want := fmt.Sprintf("program %s (%d): reads and sends packets past IPsec", program, pid)
	if said := e.Says(); !strings.Contains(said, want) || strings.Contains(said, "All is well.") {
		e.T.Errorf("the guard says\n%s\nwant %q, and that not all is well", said, want)
	}
}

// under has what goes wrong from now on be that test's fault.
func (w *world) under(t *testing.T) { w.t, w.relay.T, w.server.T, w.wire.T = t, t, t, t }

// answered reports whether the server has answered in clear since the line of
// that number.
func answered(x *protected.Wire, from int) bool {
	x.T.Helper()
	for _, line := range readable(x, from) {
		if strings.Contains(line, "BOOTP/DHCP, Reply") {
			return true
		}
	}
	return false
}

// readable are the lines since that number with DHCPv4 that anybody can read.
func readable(x *protected.Wire, from int) (lines []string) {
	x.T.Helper()
	for _, line := range x.Lines()[from:] {
		if strings.Contains(line, "BOOTP/DHCP") {
			lines = append(lines, line)
		}
	}
	return lines
}
