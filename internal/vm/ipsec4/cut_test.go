//go:build vm

package ipsec4_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/peer"
	"fairlead/internal/system/protected"
)

// cuts are tried at both ends.
var cuts = []protected.Cut{
	protected.StrongSwanKilled,
	protected.SAsDeleted,
	policiesDeleted,
	protected.GuardDeleted,
	protected.RulesetFlushed,
}

var policiesDeleted = protected.Cut{Name: "policies deleted", Notice: []string{"policy is missing", "the block policy"}, Happen: func(e *protected.End) { e.IP("xfrm policy deleteall") }}

// Whatever is taken away at either end: not one octet of DHCPv4 passes in clear,
// it is noticed, and it comes back by itself. All the while a client asks, and a
// host on the wire sends in clear what both ends would. Before there are guards,
// it is heard.
func TestRFC8213_3_FailsClosed4(t *testing.T) {
	w := newWorld(t)
	w.protect("psk", giaddr1)
	w.cuts(w.forger(), cuts)
}

// forger has programs of others run at both ends, heard by a host on the wire, and
// then guards.
func (w *world) forger() *forger {
	w.T.Helper()
	f := &forger{w: w, relay: giaddr1, program: w.serve(peer.Dnsmasq4), heard: record(w.c1, "c0")}
	w.relays(peer.DnsmasqRelay)
	w.Until("server and client hear the host on the wire", func() bool {
		f.forge() // again: the relay may not be there yet
		atServer, atClient := f.taken()
		return atServer > 0 && atClient > 0
	})
	w.guard()
	w.leases(w.c1, "10.1.0.0/16")
	return f
}

// cuts tries ways to take the protection away at both ends.
func (w *world) cuts(f *forger, list []protected.Cut) {
	for _, c := range list {
		for _, at := range []*protected.End{w.relay, w.server} {
			w.Run(c.Name+" at "+at.Node.Name, func(t *testing.T) {
				w.during(f, at, c)
			})
		}
	}
}

// during has traffic go on while a hop is cut and until both ends are protected
// again.
func (w *world) during(f *forger, at *protected.End, c protected.Cut) {
	w.T.Helper()
	w.relay.BecomesProtected()
	w.server.BecomesProtected()
	from := len(w.wire.Lines())
	atServer, atClient := f.taken()
	stop := f.start()
	defer stop()
	noticed, recovered := c.Try(at, w.relay, w.server)
	stop()
	w.leases(w.c1, "10.1.0.0/16")
	_, esp := w.wire.OnlyESP(from)
	w.T.Logf("noticed after %v, protected again %v later; %d ESP packets", noticed, recovered, esp)
	if s, c := f.taken(); s != atServer || c != atClient {
		w.T.Errorf("taken in clear: %d messages at the server, %d at the client", s-atServer, c-atClient)
	}
}

// forger is a host on the wire that sends as if it were either end.
type forger struct {
	w       *world
	relay   netip.Addr      // the relay's end of the hop
	program *lab.Proc       // the server
	heard   *protected.Wire // a client's link
}

// forge sends one message to each end, from the other's address.
func (f *forger) forge() {
	relayPort, serverPort := netip.AddrPortFrom(f.relay, 67), netip.AddrPortFrom(server, 67)
	send(f.w.m, relayPort, serverPort, f.w.request(f.relay))
	send(f.w.m, serverPort, relayPort, f.w.offer(f.relay))
}

// taken are how many of the messages the server and a client have heard.
func (f *forger) taken() (atServer, atClient int) {
	return strings.Count(f.program.Log(), "DHCPDISCOVER(s0) "+forgedMAC), strings.Count(strings.Join(f.heard.Lines("-v"), "\n"), "Your-IP "+forgedLease)
}

// start forges, and has a client ask, until it is stopped.
func (f *forger) start() (stop func()) {
	end := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(100 * time.Millisecond):
				f.forge()
				_, _ = f.w.asks(f.w.c1, time.Second) // whether it is answered does not matter now
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		done.Wait()
	})
}

// A hop whose ends have two keys lets nothing pass, says so, and recovers when
// one gets the other's.
//
// RFC 8213 3p and 3q.
func TestRFC8213_3p_WrongKey4(t *testing.T) {
	w := newWorld(t)
	w.protect("psk", giaddr1)
	right := w.server.Program.Text()
	_, other := protected.Preshared(w.Net, server, giaddr1)
	_, wrong, _ := strings.Cut(right, "    ike:\n")
	_, wrong, _ = strings.Cut(wrong, "\n")
	before, _, _ := strings.Cut(right, "    ike:\n")
	w.server.Program.Write(before + other + wrong)
	w.serve(peer.Kea4UDP)
	w.relays(peer.DnsmasqRelay)
	started := time.Now()
	w.guard()
	if got, err := w.asks(w.c1, enough); err == nil {
		t.Errorf("the client got %s with two keys", got)
	}
	w.relay.Notices(started, "AUTHENTICATION_FAILED")
	if _, esp := w.wire.OnlyESP(0); esp > 0 {
		t.Errorf("%d ESP packets with two keys", esp)
	}
	w.server.Program.Write(right)
	w.server.Reload()
	w.leases(w.c1, "10.1.0.0/16")
	w.wire.OnlyESP(0)
}
