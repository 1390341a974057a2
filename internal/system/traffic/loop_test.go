package traffic_test

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/system/rig"
)

// loop watches packets for a prefix whose client has forgotten it, so that it
// sends them back to the relay by its default route.
type loop struct {
	*network
	record *rig.Capture
}

// forgetful delegates a prefix to client 1, which never puts it anywhere, and
// records what passes its link.
func forgetful(r *network, p netip.Prefix) *loop {
	r.T.Helper()
	r.delegate(1, p)
	r.WantRoute(p, 1)
	record := r.Client(1).Record("c0", fmt.Sprintf("icmp6 or udp port %d", labtest.MarkerPort))
	return &loop{network: r, record: record}
}

// hops are the hop limits with which packets to an address were on the link, as
// tcpdump reads them: a packet that goes round has another one each time.
func (l *loop) hops(to string) map[string]bool {
	l.T.Helper()
	out, err := l.Client(1).Node.Run("tcpdump", "-n", "-v", "-r", l.record.File, "udp", "and", "dst", "host", to)
	if err != nil {
		return nil // the file ends inside a packet
	}
	found := map[string]bool{}
	for _, m := range hopLimit.FindAllStringSubmatch(out, -1) {
		found[m[1]] = true
	}
	return found
}

var hopLimit = regexp.MustCompile(`hlim (\d+)`)

// ends sends a packet from the server to an address and fails unless it came
// down to the client and up again, and no further.
func (l *loop) ends(to string) {
	l.T.Helper()
	l.fromServer(to, "ends")
	l.Until("the packet has come back from the client", func() bool { return len(l.hops(to)) >= 2 })
	for range 3 { // a packet that goes on is down again before a later one is answered
		l.Server.Reaches(netip.Addr{}, l.home())
	}
	if got := l.hops(to); len(got) != 2 {
		l.T.Errorf("the packet to %s was on the link with %d hop limits, want 2: down and up", to, len(got))
	}
}

// loops sends packets from the server to an address and waits until they have
// gone round many times. (One alone may be lost on its way.)
func (l *loop) loops(to string) {
	l.T.Helper()
	l.Until("a packet to "+to+" goes round", func() bool {
		l.fromServer(to, "loops")
		return len(l.hops(to)) > 20
	})
}

// fromServer sends one test packet from the server.
func (r *network) fromServer(to, name string) {
	r.T.Helper()
	_, err := r.Server.Feed(name, "socat", "-u", "-", fmt.Sprintf("UDP6-SENDTO:[%s]:%d,sourceport=%d", to, labtest.MarkerPort, labtest.MarkerPort))
	r.Need(err)
}

// home is an address of client 1 on its link.
func (l *loop) home() netip.Addr {
	l.T.Helper()
	home := netip.MustParseAddr("2001:db8:1::c1")
	list, err := l.Client(1).Addresses("c0")
	l.Need(err)
	if !slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Addr() == home }) {
		l.Client(1).Address("c0", home.String()+"/64")
	}
	return home
}

// anySource lets packets from elsewhere turn around at all: the filter of R-3
// takes them for spoofed.
const anySource = "filter: off"

// R-5: "To prevent routing loops, the relay SHOULD implement a configurable
// policy to drop potential looping packets received on any DHCP-PD client-facing
// interfaces. [...] For point-to-point links, when the packet's ingress and
// egress interfaces match. For multi-access links, when the packet's ingress and
// egress interface match, and the source link-layer and next-hop link-layer
// addresses match."
func TestRFC8987_R5_LoopsEndOnEveryKindOfLink(t *testing.T) {
	for name, access := range accesses {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access}, anySource)
			l := forgetful(r, pfx("2001:db8:1100::/56"))
			before := r.Counter("looped")
			l.ends("2001:db8:1100::77")
			if n := r.Counter("looped") - before; n != 1 {
				t.Errorf("nft counts %d looped packets, want 1", n)
			}
			// An ICMPv6 error is the choice of others.
			rows := l.record.Fields("icmpv6.type == 1 && icmpv6.code == 6", "frame.number")
			if len(rows) > 0 {
				t.Errorf("%d ICMPv6 errors of type 1 code 6, want none without reject", len(rows))
			}
		})
	}
}

// R-5 is a policy: forward lets the packet go round until its hops are used up.
func TestRFC8987_R5_ForwardByConfiguration(t *testing.T) {
	r := start(t, lab.Plan{Clients: 1}, anySource, "loop-drop: forward")
	l := forgetful(r, pfx("2001:db8:1100::/56"))
	l.loops("2001:db8:1100::77")
}

// R-5: "The policy SHOULD be configurable on a per-client or per-destination
// basis."
func TestRFC8987_R5_ExemptDestination(t *testing.T) {
	for name, access := range map[string]lab.Access{"switch": lab.Switch, "ppp": lab.PPP} {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access}, anySource, "loop-exempt:", `  destinations: ["2001:db8:1100:4::/64"]`)
			l := forgetful(r, pfx("2001:db8:1100::/56"))
			l.loops("2001:db8:1100:4::77")
			l.ends("2001:db8:1100:5::77")
		})
	}
}

// R-5, per client.
func TestRFC8987_R5_ExemptClient(t *testing.T) {
	for number, want := range map[int]string{1: "loops", 2: "is dropped"} {
		t.Run(want, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: lab.Switch}, anySource, "loop-exempt:", fmt.Sprintf("  clients: [%q]", rig.DUID(number).String()))
			l := forgetful(r, pfx("2001:db8:1100::/56"))
			if number == 1 {
				l.loops("2001:db8:1100::77")
			} else {
				l.ends("2001:db8:1100::77")
			}
		})
	}
}

// R-5: "An ICMPv6 Type 1, Code 6 (Destination Unreachable, reject route to
// destination) error message MAY be sent as per [RFC4443], Section 3.1. The ICMP
// policy SHOULD be configurable." The error goes to the packet's source.
func TestRFC8987_R5_RejectSendsICMPv6(t *testing.T) {
	for name, access := range map[string]lab.Access{"switch": lab.Switch, "ppp": lab.PPP} {
		t.Run(name, func(t *testing.T) {
			r := start(t, lab.Plan{Clients: 1, Access: access}, anySource, "loop-drop: reject")
			l := forgetful(r, pfx("2001:db8:1100::/56"))
			errors := r.Server.Record("s0", "icmp6")
			l.ends("2001:db8:1100::77")
			rows := errors.Wait("icmpv6.type == 1", "icmpv6.code", "ipv6.dst")
			if len(rows) != 1 || rows[0][0] != "6" || !strings.HasSuffix(rows[0][1], "2001:db8:1100::77") || !strings.HasPrefix(rows[0][1], server) {
				t.Errorf("ICMPv6 errors (code, destination and that of the quoted packet): %v, want one of code 6 to %s", rows, server)
			}
			if n := r.Counter("looped-rejected"); n != 1 {
				t.Errorf("nft counts %d rejected packets, want 1", n)
			}
		})
	}
}

// R-5, multi-access: a packet turns around at the interface for good reason if
// it comes from a neighbour of the next hop, and from no other.
func TestRFC8987_R5_NeighboursReachEachOther(t *testing.T) {
	r := start(t, lab.Plan{Clients: 2, Access: lab.Switch})
	first, second := pfx("2001:db8:1100::/56"), pfx("2001:db8:1100:100::/56")
	r.delegate(1, first)
	r.delegate(2, second)
	one, two := r.AddressIn(1, first), r.AddressIn(2, second)
	r.Client(1).Reaches(one, two)
	r.Client(2).Reaches(two, one)
	if n := r.Counter("looped"); n > 0 {
		t.Errorf("nft counts %d looped packets between neighbours, want none", n)
	}
	// From the next hop's own address into its own prefix: a loop.
	g := r.throw(1)
	before := r.Counter("looped")
	g.Send("2001:db8:1100::1", "2001:db8:1100:9::9", "round")
	r.Until("the packet of the next hop is counted", func() bool { return r.Counter("looped") == before+1 })
	g.SendFrom(net.HardwareAddr{2, 0, 0, 0, 0, 0x99}, "2001:db8:1100::1", "2001:db8:1100:9::9", "turned")
	g.Send("2001:db8:1100::1", "2001:db8:1100:9::9", "round")
	r.Until("the second packet of the next hop is counted", func() bool { return r.Counter("looped") >= before+2 })
	// The turned packet itself comes back from the next hop, which sends it to
	// the relay once more, and there it ends.
	r.Until("the turned packet ends where it comes from the next hop", func() bool { return r.Counter("looped") >= before+3 })
}
