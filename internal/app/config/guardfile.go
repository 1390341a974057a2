package config

import "net/netip"

// Guard has what a configuration file of "fairlead guard" says for the guard alone, which
// protects the traffic of another program's DHCP server or relay agent on this host. The file has
// peers of both families, of which at least one is protected by IPsec. Its Log has no Every, and
// its Privacy has only Log and Crash.
type Guard struct {
	// Others says that relayed messages of senders that are not among the peers may come in;
	// otherwise they are dropped.
	Others bool
}

// GuardName is the name of the guard's section, which is the whole file.
const GuardName = "guard"

// Changed returns the keys whose values differ in next.
func (g *Guard) Changed(next Section) []string {
	if g.Others == next.(*Guard).Others {
		return nil
	}
	return []string{"others"}
}

// Serves returns false: a guard has no clients.
func (g *Guard) Serves(Family, string) bool { return false }

const defaultGuardSocket = "/run/fairlead-guard/control.sock"

// DefaultGuard returns a configuration of defaults alone. It has no peers, which every file must
// name.
func DefaultGuard() *Config {
	g := &Config{Process: Default().Process, Sections: map[string]Section{GuardName: new(Guard)}}
	g.Log.Every = 0
	g.Control.Socket = defaultGuardSocket
	g.Metrics.Listen = netip.AddrPortFrom(netip.IPv6Loopback(), 9548)
	return g
}

// guardFile decodes the whole file, on top of the defaults.
func (d *decoder) guardFile(text []byte) *Config {
	g := DefaultGuard()
	own := g.Sections[GuardName].(*Guard)
	whole, ok := d.top(text, "peers are needed")
	if !ok {
		return nil
	}
	whole.Mapping(
		Optional("control", g.Control.decode),
		Optional("metrics", g.Metrics.decode),
		Optional("log", func(v Value) { v.Mapping(g.Log.fields()...) }),
		Optional("audit", g.Audit.decode),
		Optional("privacy", func(v Value) {
			v.Mapping(Optional("log", Read(&g.Privacy.Log, identifiers)), Optional("crash", Read(&g.Privacy.Crash, identifiers)))
		}),
		Required("peers", "a list of at least one peer under ipsec", func(v Value) {
			peers, _ := decodePeers(v, false)
			for _, s := range peers {
				g.Peers = append(g.Peers, s.peer)
				g.hops = append(g.hops, s.hops()...)
			}
		}),
		Optional("others", Read(&own.Others, oneOf(choice[bool]{"refuse", false}, choice[bool]{"allow", true}))),
		Optional("ipsec", g.IPsec.decode),
	)
	d.warnings.sort()
	g.Warnings, g.mentions = d.warnings, d.mentions
	return g
}
