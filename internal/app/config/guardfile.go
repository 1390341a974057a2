package config

import (
	"net/netip"

	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// Guard is a configuration file of "fairlead guard", checked: what protects the
// traffic of somebody else's DHCP server or relay agent on this host.
type Guard struct {
	Control Control
	Metrics Metrics
	Log     Log // without Every
	Audit   Audit
	Privacy Privacy      // of which the guard has Log and Crash
	Peers   []trust.Peer // IPv4 and IPv6, in the order of the file; at least one under IPsec
	IPsec   IPsec
	// Others: relayed messages from those who are not among the peers may come
	// in; otherwise they are dropped.
	Others bool

	// Warnings are what is not wrong and should be known all the same.
	Warnings Problems

	hops     []hop.Hop
	mentions []mention
}

// Hops are the protected hops of all peers, in the order of the file. They hold
// the keys.
func (g *Guard) Hops() []hop.Hop { return g.hops }

const defaultGuardSocket = "/run/fairlead-guard/control.sock"

// DefaultGuard is a configuration of defaults alone. It has no peers, which every
// file must name.
func DefaultGuard() *Guard {
	d := Default()
	g := &Guard{Control: d.Control, Metrics: d.Metrics, Log: d.Log, Audit: d.Audit, Privacy: d.Privacy, IPsec: d.IPsec}
	g.Log.Every = 0
	g.Control.Socket = defaultGuardSocket
	g.Metrics.Listen = netip.AddrPortFrom(netip.IPv6Loopback(), 9548)
	return g
}

// guardFile decodes the whole file over the defaults.
func (d *decoder) guardFile(text []byte) *Guard {
	g := DefaultGuard()
	whole, ok := d.top(text, "peers are needed")
	if !ok {
		return nil
	}
	whole.mapping(
		optional("control", g.Control.decode),
		optional("metrics", g.Metrics.decode),
		optional("log", func(v value) { v.mapping(g.Log.fields()...) }),
		optional("audit", g.Audit.decode),
		optional("privacy", func(v value) {
			v.mapping(optional("log", read(&g.Privacy.Log, identifiers)), optional("crash", read(&g.Privacy.Crash, identifiers)))
		}),
		required("peers", "a list of at least one peer under ipsec", func(v value) {
			for _, s := range decodePeers(v) {
				g.Peers = append(g.Peers, s.peer)
				g.hops = append(g.hops, s.hops()...)
			}
		}),
		optional("others", read(&g.Others, oneOf(choice[bool]{"refuse", false}, choice[bool]{"allow", true}))),
		optional("ipsec", g.IPsec.decode),
	)
	g.Warnings, g.mentions = d.warnings, d.mentions
	return g
}
