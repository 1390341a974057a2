//go:build vm

package ipsec4_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// enough is how long a client asks that is not to get an answer: several times.
const enough = 5 * time.Second

// A server that reads frames hears what a relay without protection sends, though
// there is a guard: IPsec and nft see a copy that is dropped. Kea answers in clear,
// by a packet socket, and the guard holds that back; dhcpd answers by a UDP socket,
// which is protected. Of what comes in ESP neither understands anything. The guard
// says so of both.
func TestServersThatReadFrames(t *testing.T) {
	w := newWorld(t)
	w.protect("manual", giaddr1)
	w.server.Start()
	w.relays(peer.DnsmasqRelay)
	for _, c := range []struct {
		kind    peer.Server4Kind
		program string
		frames  bool // it answers by a packet socket
	}{
		{peer.Kea4Raw, "kea-dhcp4", true},
		{peer.Dhcpd4, "dhcpd", false},
	} {
		w.Run(string(c.kind), func(t *testing.T) {
			program := w.serve(c.kind)
			warns(w.server, c.program, program.Pid())
			from, out, held := len(w.wire.Lines()), w.wire.ESP(server, giaddr1), heldBack(w.server)
			if got, err := w.asks(w.c1, enough); err == nil {
				t.Errorf("the client got %s, want that no answer comes in clear, and that the relay cannot read ESP", got)
			}
			w.Until("an answer is held back or in ESP", func() bool {
				return heldBack(w.server) > held || w.wire.ESP(server, giaddr1) > out
			})
			if answered(w.wire, from) {
				t.Errorf("an answer in clear:\n%s", strings.Join(w.wire.Lines()[from:], "\n"))
			}
			if got := heldBack(w.server) > held; got != c.frames {
				t.Errorf("answers held back: %v, want %v", got, c.frames)
			}
			if got := w.wire.ESP(server, giaddr1) > out; got == c.frames {
				t.Errorf("answers in ESP: %v, want %v", got, !c.frames)
			}
			w.Need(program.Stop())
		})
	}
	w.relay.Start()
	for _, kind := range []peer.Server4Kind{peer.Kea4Raw, peer.Dhcpd4} {
		w.Run("protected "+string(kind), func(t *testing.T) {
			program := w.serve(kind)
			from, in := len(w.wire.Lines()), w.wire.ESP(giaddr1, server)
			if got, err := w.asks(w.c1, enough); err == nil {
				t.Errorf("the client got %s, want that the server hears nothing", got)
			}
			w.Until("a request comes in ESP", func() bool { return w.wire.ESP(giaddr1, server) > in })
			w.wire.OnlyESP(from)
			w.Need(program.Stop())
		})
	}
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
	w.Until("requests and answers are in ESP", func() bool {
		return w.wire.ESP(uplink, server) > 0 && w.wire.ESP(server, giaddr1) > 0
	})
	w.wire.OnlyESP(0)
	heard := record(w.c1, "c0")
	send(w.m, netip.AddrPortFrom(server, 67), netip.AddrPortFrom(giaddr1, 67), w.offer(giaddr1))
	w.Until("a client hears the host on the wire", func() bool {
		return strings.Contains(strings.Join(heard.Lines("-v"), "\n"), "Your-IP "+forgedLease)
	})
}

// heldBack is how many packets to the peer the guard has kept from leaving in
// clear.
func heldBack(e *protected.End) (packets uint64) {
	e.Net.T.Helper()
	hops, err := e.Hops()
	e.Net.Need(err)
	for i := range hops {
		packets += hops[i].DroppedOut.Packets
	}
	return packets
}

// warns waits until the guard knows of a program, and checks that "fairlead guard
// status" names it and warns.
func warns(e *protected.End, program string, pid int) {
	e.Net.T.Helper()
	e.Net.Until("the guard finds "+program, func() bool {
		status, err := e.GuardStatus()
		e.Net.Need(err)
		return slices.ContainsFunc(status.Programs, func(p api.Program) bool { return p.PID == pid })
	})
	want := fmt.Sprintf("program %s (%d): reads packets past IPsec", program, pid)
	if said := e.Says(); !strings.Contains(said, want) || strings.Contains(said, "All is well.") {
		e.Net.T.Errorf("the guard says\n%s\nwant %q, and that not all is well", said, want)
	}
}

// answered reports whether the server has answered in clear since the line of
// that number.
func answered(x *protected.Wire, from int) bool {
	for _, line := range readable(x, from) {
		if strings.Contains(line, "BOOTP/DHCP, Reply") {
			return true
		}
	}
	return false
}

// readable are the lines since that number with DHCPv4 that anybody can read.
func readable(x *protected.Wire, from int) (lines []string) {
	for _, line := range x.Lines()[from:] {
		if strings.Contains(line, "BOOTP/DHCP") {
			lines = append(lines, line)
		}
	}
	return lines
}
