package network

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/engine"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

const (
	uplink = iota + 1
	linkA
	linkB
)

// rules has clients on the links d*.
func rules(link string) Inlet { return Inlet{Name: link, Clients: strings.HasPrefix(link, "d")} }

// anybody is a classifier that accepts every message.
type anybody struct{}

func (anybody) Classify(*inbound.Packet) engine.Arrival { return engine.Arrival{} }
func (anybody) AsksForChange([]byte) bool               { return false }

// openings is a network whose sockets write down what they open and close. It has one server,
// behind u0.
type openings struct {
	*Network
	logged bytes.Buffer
	trace  []string
	refuse error
	source string // the address that the kernel chooses; empty: there is no route
}

func newOpenings() *openings {
	o := new(openings)
	o.Network = New(Options{
		Log: slog.New(slog.NewTextHandler(&o.logged, nil)), Inbox: engine.NewInbox(), Family: IPv6,
		Classifier: func(*trust.Set, map[int]Inlet) engine.Classifier { return anybody{} },
	})
	server := trust.Peer{
		Name: "server", Address: netip.MustParseAddr("2001:db8:ff::2"), Prefix: netip.MustParsePrefix("2001:db8:ff::2/128"),
		Role: trust.Server, Interfaces: []string{"u0"}, Protection: trust.ProtectionNone,
	}
	o.Configure([]trust.Peer{server}, IPv6.ServerPort)
	o.Open(o)
	return o
}

func (o *openings) Send([]udp.Outgoing, func(int, error)) {}

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

// tell hands all the events over at once.
func (o *openings) tell(events ...netlink.Event) {
	o.trace = nil
	for _, e := range events {
		if e.Link != nil {
			o.Know(*e.Link)
		} else {
			o.Forget(e.Removed)
		}
	}
	o.Update(rules)
}

// again tries once more to open what is not open.
func (o *openings) again() {
	o.trace, o.retryAt = nil, 0
	o.Retry(service.Now().Boot, rules)
}

func (o *openings) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(o.trace, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(o.trace, "\n  "), strings.Join(want, "\n  "))
	}
}

// A device that was deleted and made again between two looks is not the old device, even if the
// two look the same in every way.
func TestNetworkLetsGoOfWhatIsGone(t *testing.T) {
	o := newOpenings()
	o.tell(link(10, "red", ""), link(11, "blue", ""), link(uplink, "u0", "blue"), link(linkA, "dA", "red"), link(linkB, "dB", ""))
	o.want(t, "links dA/2/red dB/3/", "open :: blue")

	o.tell(netlink.Event{Removed: "dB"}, link(linkB, "dB", ""))
	o.want(t, "links dA/2/red", "links dA/2/red dB/3/")

	o.tell(link(linkA, "dA", ""), netlink.Event{Removed: "red"}, link(12, "red", ""), link(linkA, "dA", "red"))
	o.want(t, "links dB/3/", "links dA/2/red dB/3/")

	o.tell(link(uplink, "u0", ""), netlink.Event{Removed: "blue"}, link(13, "blue", ""), link(uplink, "u0", "blue"))
	o.want(t, "close :: blue", "open :: blue")

	// A device that is gone and had no socket costs nothing.
	o.tell(netlink.Event{Removed: "blue2"}, link(linkA, "dA", "red"))
	o.want(t)
}

// A socket that cannot be opened is tried again when links change, and from time to time when
// they do not. It is logged once.
func TestNetworkRetriesWhatIsNotOpen(t *testing.T) {
	o := newOpenings()
	o.refuse = unix.EADDRNOTAVAIL
	o.tell(link(linkA, "dA", ""))
	o.tell(link(linkB, "dB", ""))
	o.want(t, "links refused", "open :: refused")
	o.trace = nil
	o.Retry(service.Now().Boot, rules)
	o.want(t, "links refused", "open :: refused")
	o.trace = nil
	o.Retry(service.Now().Boot, rules) // it is not time yet
	o.want(t)
	if n := strings.Count(o.logged.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want one for links and one for the socket:\n%s", n, &o.logged)
	}
	o.refuse = nil
	o.again()
	o.want(t, "links dA/2/ dB/3/", "open :: ")
	o.again() // there is nothing left to try
	o.want(t)
}

// A DHCPv4 server answers to giaddr, which may be another address than the one that asked it. So
// answers are heard at all addresses of the VRF, at the port that we send from (RFC 8357 section
// 5.1).
func TestAnswersToGIAddr(t *testing.T) {
	o := newOpenings()
	o.options.Family, o.source = IPv4, "192.0.2.1"
	o.Configure([]trust.Peer{{
		Name: "server", Address: netip.MustParseAddr("192.0.2.2"), Prefix: netip.MustParsePrefix("192.0.2.2/32"),
		Role: trust.Server, Interfaces: []string{"u0"}, Protection: trust.ProtectionNone,
	}}, 1067)
	o.tell(link(uplink, "u0", "blue"))
	all := udp.Local{Addr: netip.IPv4Unspecified(), VRF: "blue", Port: 1067}
	if _, open := o.locals[all]; !open || len(o.locals) != 3 {
		t.Errorf("open are %v, want %v, and the address that we send from, for the server and for others", o.locals, all)
	}
}

// A server hears relay agents that send to all servers, on the interfaces of each relay agent. One
// that must be protected is not heard so: IPsec protects no multicast.
func TestServerHearsItsGroup(t *testing.T) {
	o := newOpenings()
	o.options.Group = dhcp6.AllServers
	relay := trust.Peer{
		Name: "relay", Address: netip.MustParseAddr("2001:db8:ff::3"), Prefix: netip.MustParsePrefix("2001:db8:ff::3/128"),
		Role: trust.Relay, Interfaces: []string{"u*"}, Protection: trust.ProtectionNone,
	}
	o.Configure([]trust.Peer{relay}, IPv6.ServerPort)
	opened := func() (on []int) {
		for at := range o.locals {
			if at.Addr == dhcp6.AllServers {
				on = append(on, at.Index)
			}
		}
		slices.Sort(on)
		return on
	}
	o.tell(link(10, "u0", ""), link(11, "u1", "red"), link(12, "m0", ""))
	if got := opened(); !slices.Equal(got, []int{10, 11}) {
		t.Errorf("the group is heard on %v", got)
	}
	o.tell(netlink.Event{Removed: "u1"}, link(13, "u1", "red"))
	if got := opened(); !slices.Equal(got, []int{10, 13}) {
		t.Errorf("after u1 was made again the group is heard on %v", got)
	}
	relay.Protection = trust.ProtectionIPsec
	o.Configure([]trust.Peer{relay}, IPv6.ServerPort)
	o.Update(rules)
	if got := opened(); got != nil {
		t.Errorf("a relay agent that must be protected is heard on %v", got)
	}
}

// Where the configuration does not name our address, we speak to a server from a socket that is
// bound to the address that the kernel chooses, for as long as it chooses that address.
func TestNetworkBindsWhatTheKernelChooses(t *testing.T) {
	o := newOpenings()
	server := o.peers[0]
	from := func() netip.Addr {
		out := o.Outgoing(&effect.Send{ToPeer: true, Peer: &server})
		return out.Source
	}
	o.tell(link(uplink, "u0", ""))
	o.want(t, "open :: ")
	if from().IsValid() {
		t.Errorf("without a way to the server it is sent from %v", from())
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
		o.again()
		o.want(t, c.want...)
		if got := from(); got.String() != c.from {
			t.Errorf("%q: sent from %v, want %s", c.source, got, c.from)
		}
	}
}

// A server on this machine whose answers cannot come is shown with what would help, until they
// can come.
func TestServerOnThisMachine(t *testing.T) {
	o := newOpenings()
	has := func(name string, index int, addrs ...string) netlink.Event {
		e := link(index, name, "")
		for _, a := range addrs {
			e.Link.Addrs = append(e.Link.Addrs, netip.MustParsePrefix(a))
		}
		return e
	}
	because := func(want string) {
		t.Helper()
		o.Update(rules)
		if got := o.mute["server"]; (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("the server's answers cannot come because %q, want %q", got, want)
		}
	}
	o.source = "2001:db8:fe::1"
	o.tell(has("u0", uplink, "2001:db8:fe::1/64"))
	because("") // the server is elsewhere

	o.source = "2001:db8:ff::2"
	o.tell(has("u0", uplink), has("lo", 20, "2001:db8:ff::2/128"))
	because("no interface of u0 has another global address of ours that it could answer to: have the server listen at an address of its own")
	o.tell(has("u0", uplink, "2001:db8:fe::1/64"), has("lo", 20, "2001:db8:ff::2/128"))
	because("") // the address with which it works

	o.peers[0].Local = netip.MustParseAddr("2001:db8:fd::1")
	o.tell(has("m0", 9, "2001:db8:fd::1/64"))
	because("its answers come in on m0, which has our address 2001:db8:fd::1 and is not among the peer's interfaces u0")
	o.peers[0].Local = o.peers[0].Address
	because("it would answer itself")
	if n := strings.Count(o.logged.String(), "the server's answers cannot come"); n != 3 {
		t.Errorf("%d lines in the log, want one for each reason:\n%s", n, &o.logged)
	}
	o.Configure(nil, o.port)
	o.Update(rules)
	if len(o.mute) > 0 {
		t.Errorf("without the peer: %q", o.mute)
	}
}
