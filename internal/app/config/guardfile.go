package config

import "net/netip"

// Guard is a configuration file of "fairlead guard", checked: what protects the
// traffic of somebody else's DHCP server or relay agent on this host.
type Guard struct {
	// Process has peers of both families, of which one at least is under IPsec; Log is
	// without Every, and of Privacy there are Log and Crash.
	Process
	// Others: relayed messages from those who are not among the peers may come
	// in; otherwise they are dropped.
	Others bool
}

const defaultGuardSocket = "/run/fairlead-guard/control.sock"

// DefaultGuard is a configuration of defaults alone. It has no peers, which every
// file must name.
func DefaultGuard() *Guard {
	g := &Guard{Process: Default().Process}
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
