package relay

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// openings is sockets that write down what is opened and closed.
type openings struct {
	*played
	trace  []string
	refuse error
	source string // what the kernel chooses; empty: it knows no way
}

func (o *openings) Source(netip.Addr, string) (netip.Addr, error) {
	if o.source == "" {
		return netip.Addr{}, unix.ENETUNREACH
	}
	return netip.ParseAddr(o.source)
}

func (o *openings) SetLinks(links []udp.Link) error {
	if o.refuse != nil {
		o.trace = append(o.trace, "links refused")
		return o.refuse
	}
	line := "links"
	for _, l := range links {
		line += fmt.Sprintf(" %s/%d/%s", l.Name, l.Index, l.VRF)
	}
	o.trace = append(o.trace, line)
	return nil
}

func (o *openings) AddLocal(at udp.Local) error {
	if o.refuse != nil {
		o.trace = append(o.trace, fmt.Sprintf("open %s refused", at.Addr))
		return o.refuse
	}
	o.trace = append(o.trace, fmt.Sprintf("open %s %s", at.Addr, at.VRF))
	return nil
}

func (o *openings) RemoveLocal(at udp.Local) error {
	o.trace = append(o.trace, fmt.Sprintf("close %s %s", at.Addr, at.VRF))
	return nil
}

func link(index int, name, vrf string) netlink.Event {
	return netlink.Event{Link: &links.Link{Index: index, Name: name, VRF: vrf, Up: true, Running: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}}}
}

// tell hands events over as one burst.
func (o *openings) tell(l *played, events ...netlink.Event) {
	o.trace = nil
	var eff effect.Effects
	for _, e := range events {
		l.LinkChanged(l.Core, e, &eff)
	}
	l.LinksChanged(l.Core)
}

func (o *openings) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(o.trace, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(o.trace, "\n  "), strings.Join(want, "\n  "))
	}
}

// A device that was deleted and made anew between two looks is not the old one,
// even if it is like it in every way that can be seen.
func TestNetworkLetsGoOfWhatIsGone(t *testing.T) {
	l := quietPlayed(t)
	o := &openings{played: l}
	l.net.conn = o
	o.tell(l, link(10, "red", ""), link(11, "blue", ""), link(uplink, "u0", "blue"), link(linkA, "dA", "red"), link(linkB, "dB", ""))
	o.want(t, "links dA/2/red dB/3/", "open :: blue")

	o.tell(l, netlink.Event{Removed: "dB"}, link(linkB, "dB", ""))
	o.want(t, "links dA/2/red", "links dA/2/red dB/3/")

	o.tell(l, link(linkA, "dA", ""), netlink.Event{Removed: "red"}, link(12, "red", ""), link(linkA, "dA", "red"))
	o.want(t, "links dB/3/", "links dA/2/red dB/3/")

	o.tell(l, link(uplink, "u0", ""), netlink.Event{Removed: "blue"}, link(13, "blue", ""), link(uplink, "u0", "blue"))
	o.want(t, "close :: blue", "open :: blue")

	// What is gone and does not matter costs nothing.
	o.tell(l, netlink.Event{Removed: "blue2"}, link(linkA, "dA", "red"))
	o.want(t)
}

// What cannot be opened is tried again, when links change and now and then
// without, and is told once.
func TestNetworkRetriesWhatIsNotOpen(t *testing.T) {
	l := quietPlayed(t)
	var out bytes.Buffer
	l.net.log = slog.New(slog.NewTextHandler(&out, nil))
	o := &openings{played: l, refuse: unix.EADDRNOTAVAIL}
	l.net.conn = o
	o.tell(l, link(linkA, "dA", ""))
	o.tell(l, link(linkB, "dB", ""))
	o.want(t, "links refused", "open :: refused")
	o.trace = nil
	l.net.retry(service.Now().Boot, l.Core)
	o.want(t, "links refused", "open :: refused")
	o.trace = nil
	l.net.retry(service.Now().Boot, l.Core) // the time is not there yet
	o.want(t)
	if n := strings.Count(out.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want one for links and one for the socket:\n%s", n, &out)
	}
	o.refuse, l.net.retryAt = nil, 0
	l.net.retry(service.Now().Boot, l.Core)
	o.want(t, "links dA/2/ dB/3/", "open :: ")
	o.trace, l.net.retryAt = nil, 0
	l.net.retry(service.Now().Boot, l.Core) // nothing is left to try
	o.want(t)
}

// Where the configuration leaves our address to us, a server is talked to from a
// socket that is bound to the address which the kernel chooses, for as long as it
// chooses that one.
func TestNetworkBindsWhatTheKernelChooses(t *testing.T) {
	l := quietPlayed(t)
	o := &openings{played: l}
	l.net.conn = o
	server := l.net.peers[0]
	from := func() netip.Addr {
		out := l.net.outgoing(&effect.Send{ToPeer: true, Peer: &server})
		return out.Source
	}
	o.tell(l, link(uplink, "u0", ""))
	o.want(t, "open :: ")
	if from().IsValid() {
		t.Errorf("without a way to the server it is sent from %v", from())
	}
	again := func() {
		o.trace, l.net.retryAt = nil, 0
		l.net.retry(service.Now().Boot, l.Core)
	}
	for _, c := range []struct {
		source string
		want   []string
		from   string
	}{
		{"2001:db8:fe::1", []string{"close :: ", "open 2001:db8:fe::1 ", "open 2001:db8:fe::1 "}, "2001:db8:fe::1"},
		{"2001:db8:fe::1", nil, "2001:db8:fe::1"},
		{"2001:db8:fd::1", []string{"close 2001:db8:fe::1 ", "close 2001:db8:fe::1 ", "open 2001:db8:fd::1 ", "open 2001:db8:fd::1 "}, "2001:db8:fd::1"},
		{"", []string{"close 2001:db8:fd::1 ", "close 2001:db8:fd::1 ", "open :: "}, "invalid IP"},
	} {
		o.source = c.source
		again()
		o.want(t, c.want...)
		if got := from(); got.String() != c.from {
			t.Errorf("%q: sent from %v, want %s", c.source, got, c.from)
		}
	}
}

// A server on this machine whose answers cannot come is told of, with what would let
// them come, until they can.
func TestServerOnThisMachine(t *testing.T) {
	l := quietPlayed(t)
	var out bytes.Buffer
	l.net.log = slog.New(slog.NewTextHandler(&out, nil))
	l.net.conn = &openings{played: l, source: "2001:db8:ff::2"} // the kernel's choice towards an address of its own
	has := func(name string, index int, addrs ...string) netlink.Event {
		e := link(index, name, "")
		for _, a := range addrs {
			e.Link.Addrs = append(e.Link.Addrs, netip.MustParsePrefix(a))
		}
		return e
	}
	o := l.net.conn.(*openings)
	because := func(want string) {
		t.Helper()
		l.net.retryAt = 0
		l.net.update(l.Core)
		if got := l.net.mute["server"]; (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("the server's answers cannot come because %q, want %q", got, want)
		}
	}
	o.source = "2001:db8:fe::1"
	o.tell(l, has("u0", uplink, "2001:db8:fe::1/64"))
	because("") // it is elsewhere

	o.source = "2001:db8:ff::2"
	o.tell(l, has("u0", uplink), has("lo", 20, "2001:db8:ff::2/128"))
	because("no interface of u0 has another global address of ours that it could answer to: have the server listen at an address of its own")
	o.tell(l, has("u0", uplink, "2001:db8:fe::1/64"), has("lo", 20, "2001:db8:ff::2/128"))
	because("") // the way that works

	l.net.peers[0].Local = netip.MustParseAddr("2001:db8:fd::1")
	o.tell(l, has("m0", 9, "2001:db8:fd::1/64"))
	because("its answers come in on m0, which has our address 2001:db8:fd::1 and is not among the peer's interfaces u0")
	l.net.peers[0].Local = l.net.peers[0].Address
	because("it would answer itself")
	if n := strings.Count(out.String(), "the server's answers cannot come"); n != 3 {
		t.Errorf("%d lines in the log, want one for each reason:\n%s", n, &out)
	}
	l.net.configure(nil, l.net.port)
	l.net.update(l.Core)
	if len(l.net.mute) > 0 {
		t.Errorf("without the peer: %q", l.net.mute)
	}
}
