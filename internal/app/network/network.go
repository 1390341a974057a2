// Package network keeps the sockets of a relay, of either family, in step with links and
// configuration: on which links it hears its clients, and from which addresses it speaks to
// peers. It makes the sockets' datagrams from those that a core sends, holds back those that must
// not leave in clear, and counts those that did not leave.
package network

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"fairlead/internal/app/engine"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/dhcp6"
)

// Options are what a Network is made of.
type Options struct {
	Log    *slog.Logger
	Inbox  *engine.Inbox
	Family Family
	// Group is the multicast group of servers. It is heard on the interfaces of relay agents, except
	// those that must be protected: IPsec protects no multicast (RFC 8213 section 3). It is invalid
	// for a role that is not a server.
	Group netip.Addr
	// Classifier makes the classifier of incoming messages anew when links or peers change.
	Classifier func(peers *trust.Set, inlets map[int]Inlet) engine.Classifier
}

// Family is what differs between DHCPv6 and DHCPv4.
type Family struct {
	ServerPort  uint16 // of servers and relay agents
	Unspecified netip.Addr
	OnLoopback  string // an address that a server may have for itself, for a hint
	// AnswersElsewhere: a server may send its answers to another address than the one from which
	// it was asked (giaddr, RFC 1542 section 4.1.2).
	AnswersElsewhere bool
}

// IPv6 and IPv4 are the families.
var (
	IPv6 = Family{dhcp6.ServerPort, netip.IPv6Unspecified(), "2001:db8::547/128", false}
	IPv4 = Family{dhcp4.ServerPort, netip.IPv4Unspecified(), "192.0.2.67/32", true}
)

// Inlet is what a classifier needs to know of a link.
type Inlet struct {
	Name    string
	Clients bool // clients are on it
	Trusted bool // relay agents on it may speak for many clients, whoever they are
	Rate    admission.Limits
}

// Rules tells what the configuration says of the named link. Clients is false where the link has
// no clients of the role.
type Rules func(link string) Inlet

// Network keeps the sockets in step with links and configuration, and makes the sockets'
// datagrams from the core's. Only the loop uses it.
type Network struct {
	options Options
	log     *slog.Logger
	conn    Sockets // nil until the whole store was restored
	peers   []trust.Peer
	port    uint16
	links   map[string]links.Link
	names   map[int]string  // of links, by index
	gone    map[string]bool // names that a device has lost since the last update
	locals  map[udp.Local]struct{}
	joined  []udp.Link
	vrfs    map[string]string     // by peer name
	from    map[string]netip.Addr // our address towards each server for which the configuration names none
	last    string                // last error of SetLinks, so that it is logged once

	unopened map[udp.Local]string // why the socket is not open; kept so that each reason is logged once
	mute     map[string]string    // by the name of a server on this machine: why its answers cannot come
	retryAt  instant.Instant
}

// Sockets is host/udp.
type Sockets interface {
	engine.Sender
	SetLinks(client []udp.Link) error
	AddLocal(at udp.Local) error
	RemoveLocal(at udp.Local) error
	Source(to netip.Addr, vrf string) (netip.Addr, error)
}

// New is a Network without sockets.
func New(o Options) *Network {
	return &Network{
		options: o, log: o.Log, links: make(map[string]links.Link), names: make(map[int]string), gone: make(map[string]bool),
		locals: make(map[udp.Local]struct{}), vrfs: make(map[string]string), from: make(map[string]netip.Addr), unopened: make(map[udp.Local]string), mute: make(map[string]string),
	}
}

// Configure replaces the peers, and the port that we speak to servers from. The caller then calls
// Update.
func (n *Network) Configure(peers []trust.Peer, port uint16) {
	n.peers, n.port = peers, port
}

// Open gives the network its sockets. The caller then calls Update.
func (n *Network) Open(conn Sockets) { n.conn = conn }

// Links are all links, by name. The caller must not change them.
func (n *Network) Links() map[string]links.Link { return n.links }

// Name is the name of the link of an index; empty: there is none.
func (n *Network) Name(index int) string { return n.names[index] }

// Know takes in the present state of a link. The index of the link now belongs to its name.
func (n *Network) Know(l links.Link) {
	if name := n.names[l.Index]; name != l.Name && n.links[name].Index == l.Index {
		delete(n.links, name)
	}
	n.links[l.Name], n.names[l.Index] = l, l.Name
}

// Forget takes in that a link is gone.
func (n *Network) Forget(name string) {
	delete(n.names, n.links[name].Index)
	delete(n.links, name)
	n.gone[name] = true
}

// Update opens the sockets that links and configuration ask for, and closes the others.
func (n *Network) Update(rules Rules) {
	if n.conn == nil {
		return
	}
	n.letGo()
	n.updateLinks(rules)
	n.updateLocals()
}

// retryEvery is how long we wait until we try again to open a socket, if no link or address
// changes meanwhile: another process may have used the port.
const retryEvery = 5 * time.Second

// Retry tries again to open the sockets that are not open, if it is time.
func (n *Network) Retry(at instant.Instant, rules Rules) {
	if at < n.retryAt || n.conn == nil {
		return
	}
	n.retryAt = at.After(retryEvery)
	if n.last != "" || len(n.unopened) > 0 || n.moved() {
		n.Update(rules)
	}
}

// letGo closes the sockets of devices that are gone, even if there is a new device of the same
// name: a socket that is bound to a deleted VRF hears nothing, and the kernel has forgotten the
// group memberships of a deleted link, also where the new link has the same index.
func (n *Network) letGo() {
	if len(n.gone) == 0 {
		return
	}
	left := slices.DeleteFunc(slices.Clone(n.joined), func(l udp.Link) bool { return n.gone[l.Name] || n.gone[l.VRF] })
	if len(left) < len(n.joined) {
		n.setLinks(left)
	}
	for k := range n.locals {
		if n.gone[k.VRF] {
			n.closeLocal(k)
		}
	}
	clear(n.gone)
}

func (n *Network) updateLinks(rules Rules) {
	var want []udp.Link
	inlets, limits := make(map[int]Inlet), make(map[int]admission.Limits)
	for name, l := range n.links {
		if !l.Up || l.Index <= 0 {
			continue
		}
		in := rules(name)
		if in.Clients {
			limits[l.Index] = in.Rate
		}
		inlets[l.Index] = in
		if in.Clients || n.hearsRelay(name) {
			want = append(want, clientLink(l))
		}
	}
	n.options.Inbox.Configure(n.options.Classifier(trust.NewSet(n.peers), inlets), limits)
	slices.SortFunc(want, func(a, b udp.Link) int { return a.Index - b.Index })
	if slices.EqualFunc(want, n.joined, sameLink) && n.last == "" {
		return
	}
	n.setLinks(want)
}

func (n *Network) setLinks(want []udp.Link) {
	text := ""
	if err := n.conn.SetLinks(want); err != nil {
		text = err.Error()
		if text != n.last {
			n.log.Warn("client links not all open", "error", err)
		}
	}
	n.joined, n.last = want, text
}

func sameLink(a, b udp.Link) bool {
	return a.Index == b.Index && a.Name == b.Name && a.MTU == b.MTU && a.Ethernet == b.Ethernet && a.VRF == b.VRF &&
		a.Source == b.Source && slices.Equal(a.MAC, b.MAC)
}

func clientLink(l links.Link) udp.Link {
	u := udp.Link{Index: l.Index, Name: l.Name, MTU: l.MTU, VRF: l.VRF}
	if l.HardwareType == unix.ARPHRD_ETHER && l.LinkLayer.Len() == 6 {
		u.Ethernet, u.MAC = true, net.HardwareAddr(l.LinkLayer.Append(nil))
	}
	for _, a := range l.Addrs {
		if a.Addr().IsLinkLocalUnicast() {
			u.Source = a.Addr()
			break
		}
	}
	return u
}

// hearsRelay reports whether a relay on the link may send to ff02::1:2. IPsec does not protect
// that address: a relay that must be protected is heard at our own address alone.
func (n *Network) hearsRelay(name string) bool {
	for i := range n.peers {
		p := &n.peers[i]
		if p.Role == trust.Relay && p.Protection == trust.ProtectionNone && p.Address.IsLinkLocalUnicast() && p.On(name) {
			return true
		}
	}
	return false
}

// localOf is our address towards a peer. Where the configuration names none for a server, it is
// the one that the kernel would choose now: a socket that is bound to it gets the server's
// answers before the wildcard sockets of other programs at our port. An invalid address stands
// for the wildcard socket.
func (n *Network) localOf(p *trust.Peer, vrf string) netip.Addr {
	if p.Local.IsValid() || p.Role != trust.Server || p.Address.IsMulticast() {
		return p.Local
	}
	if p.Address.IsLinkLocalUnicast() {
		l := n.links[p.Zone]
		u := clientLink(l)
		return u.Source
	}
	a, err := n.conn.Source(p.Address, vrf)
	switch {
	case err != nil || !a.IsGlobalUnicast():
		return netip.Addr{}
	case a == p.Address:
		return n.otherThan(p)
	}
	return a
}

// otherThan is our address towards a server that runs on this machine too and has an address of
// its own. If we sent from the server's address, the server would send its answers to itself. A
// packet to an address of this machine comes in on the interface that has the address: so ours
// must be on one of the interfaces that the server is heard on. It is invalid where there is no
// such address.
func (n *Network) otherThan(p *trust.Peer) netip.Addr {
	for _, name := range slices.Sorted(maps.Keys(n.links)) {
		if !p.On(name) {
			continue
		}
		for _, a := range n.links[name].Addrs {
			if a := a.Addr(); a.IsGlobalUnicast() && a != p.Address {
				return a
			}
		}
	}
	return netip.Addr{}
}

// linkWith is the link that has this address of the machine.
func (n *Network) linkWith(a netip.Addr) (name string, ok bool) {
	for name, l := range n.links {
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return name, true
		}
	}
	return "", false
}

// muteBecause tells why the answers of a server on this machine cannot come, and what an operator
// can do about it. It is empty where they can come, or the server is elsewhere.
func (n *Network) muteBecause(p *trust.Peer, local netip.Addr) string {
	if p.Role != trust.Server || p.Address.IsMulticast() {
		return ""
	}
	if _, here := n.linkWith(p.Address); !here {
		return ""
	}
	way := "have the server listen at an address of its own, such as " + n.options.Family.OnLoopback + " on lo, and name an interface that has another global address among the peer's interfaces"
	on, ours := n.linkWith(local)
	switch {
	case !local.IsValid():
		return fmt.Sprintf("it is on this machine, and no interface of %s has another global address of ours that it could answer to: %s", strings.Join(p.Interfaces, ", "), way)
	case local == p.Address:
		return fmt.Sprintf("it is on this machine at %s, which is our own address towards it: it would answer itself: %s", p.Address, way)
	case ours && !p.On(on):
		return fmt.Sprintf("it is on this machine, and its answers come in on %s, which has our address %s and is not among the peer's interfaces %s", on, local, strings.Join(p.Interfaces, ", "))
	}
	return ""
}

// noteMute remembers why a server's answers cannot come, and logs a reason that is new.
func (n *Network) noteMute(p *trust.Peer, local netip.Addr) {
	why := n.muteBecause(p, local)
	if why == n.mute[p.Name] {
		return
	}
	if n.mute[p.Name] = why; why == "" {
		delete(n.mute, p.Name)
		return
	}
	n.log.Warn("the server's answers cannot come", "peer", p.Name, "why", why)
}

// moved reports whether the kernel would now choose another address towards some server than the
// one that we use. Routes change, and the kernel does not tell us.
func (n *Network) moved() bool {
	return slices.ContainsFunc(n.peers, func(p trust.Peer) bool {
		return !p.Local.IsValid() && n.localOf(&p, n.vrfs[p.Name]) != n.from[p.Name]
	})
}

// updateLocals opens the sockets from which we speak to peers.
func (n *Network) updateLocals() {
	want := make(map[udp.Local]struct{})
	maps.DeleteFunc(n.mute, func(name, _ string) bool {
		return !slices.ContainsFunc(n.peers, func(p trust.Peer) bool { return p.Name == name })
	})
	for i := range n.peers {
		p := &n.peers[i]
		vrf := n.vrfOf(p)
		n.vrfs[p.Name] = vrf
		local := n.localOf(p, vrf)
		n.from[p.Name] = local
		n.noteMute(p, local)
		k := udp.Local{Addr: local, VRF: vrf}
		if !local.IsValid() {
			k.Addr = n.options.Family.Unspecified
		} else if local.IsLinkLocalUnicast() {
			k.Index = n.links[p.Zone].Index
		}
		if p.Role == trust.Server && n.port != n.options.Family.ServerPort {
			k.Port = n.port
		}
		if local.IsGlobalUnicast() && p.Role == trust.Server && p.Address.IsGlobalUnicast() {
			only := k
			only.Peer = netip.AddrPortFrom(p.Address, n.options.Family.ServerPort)
			want[only] = struct{}{}
		}
		want[k] = struct{}{}
		if p.Role == trust.Server && n.options.Family.AnswersElsewhere {
			want[udp.Local{Addr: n.options.Family.Unspecified, VRF: k.VRF, Port: k.Port}] = struct{}{}
		}
		if p.Role == trust.Relay && p.Protection == trust.ProtectionNone && n.options.Group.IsValid() {
			for name, l := range n.links {
				if p.On(name) {
					want[udp.Local{Addr: n.options.Group, Index: l.Index}] = struct{}{}
				}
			}
		}
	}
	for k := range n.locals {
		if _, ok := want[k]; !ok {
			n.closeLocal(k)
		}
	}
	maps.DeleteFunc(n.unopened, func(k udp.Local, _ string) bool { _, ok := want[k]; return !ok })
	for k := range want {
		if _, ok := n.locals[k]; !ok {
			n.openLocal(k)
		}
	}
}

func (n *Network) openLocal(k udp.Local) {
	if err := n.conn.AddLocal(k); err != nil {
		if text := err.Error(); n.unopened[k] != text {
			n.unopened[k] = text
			n.log.Warn("socket for peers not open yet", "local", k.String(), "error", err)
		}
		return
	}
	n.locals[k] = struct{}{}
	if _, ok := n.unopened[k]; ok {
		delete(n.unopened, k)
		n.log.Info("socket for peers open", "local", k.String())
	}
}

func (n *Network) closeLocal(k udp.Local) {
	if err := n.conn.RemoveLocal(k); err != nil {
		n.log.Warn("socket not closed", "local", k.String(), "error", err)
	}
	delete(n.locals, k)
}

// vrfOf is the VRF of the interfaces that lead to a peer. Where they are in several VRFs, it is
// that of the first by name.
func (n *Network) vrfOf(p *trust.Peer) string {
	first := ""
	for name, l := range n.links {
		if l.VRF != "" && (first == "" || name < first) && p.On(name) {
			first = name
		}
	}
	return n.links[first].VRF
}

// Outgoing makes the sockets' datagram from one of the core's.
func (n *Network) Outgoing(s *effect.Send) udp.Outgoing {
	o := udp.Outgoing{Link: s.Link, Source: s.Source, SourcePort: s.SourcePort, Dest: s.Dest, HopLimit: s.HopLimit, Payload: s.Payload}
	if s.ToPeer {
		o.Kind = udp.ToPeer
		if o.VRF = s.VRF; s.Peer != nil {
			o.VRF = n.vrfs[s.Peer.Name]
			if !o.Source.IsValid() {
				o.Source = n.from[s.Peer.Name]
			}
		}
		return o
	}
	o.MACLen = uint8(len(s.LinkLayer.Append(o.MAC[:0])))
	return o
}
