package relays

import (
	"slices"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/lab/relay"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

// role has what is measured of the relay of one family, and with which relays it is compared.
type role struct {
	*Suite
	name       string // the role's name, with which the names of its bars begin
	mark       string // distinguishes the names of its figures from those of the other role
	family     loadgen.Family
	contenders []contender
	blindVsISC float64 // how far the blind forwarder must be ahead of ISC dhcrelay; else a run is void
	plainMix   string  // a mix that changes nothing
	plainTitle string
	fullMix    string // new leases, renewals, and other messages
	ask        string // a mix of first messages only
	held       func(n *network.Network, f *relay.Relay) (leases int, err error)
	configure  func(p plan) (section string)
	benchmarks [2]string // of its core: for a message of a client, and for one of a server
	neighbours string    // the file in which the kernel says how many neighbours it has room for

	loaded map[string]*loaded // the relays that most benches share, once they are started
}

func (s *Suite) relay6() *role {
	return &role{
		Suite: s, name: "relay6", family: loadgen.DHCPv6, contenders: contenders6, blindVsISC: 3.5,
		plainMix: network.Plain, plainTitle: "Solicit and Advertise, Information-request and Reply", ask: "solicit=1", fullMix: "request=10,renew=50,solicit=20,information-request=20",
		held: func(n *network.Network, _ *relay.Relay) (int, error) { return routes(n) }, configure: section6, benchmarks: [2]string{"Solicit", "Advertise"},
		neighbours: "/proc/sys/net/ipv6/neigh/default/gc_thresh3", loaded: map[string]*loaded{},
	}
}

func (s *Suite) relay4() *role {
	return &role{
		Suite: s, name: "relay4", mark: "4", family: loadgen.DHCPv4, contenders: contenders4, blindVsISC: 1.75,
		plainMix: network.Plain4, plainTitle: "Discover and Offer", ask: "discover=1", fullMix: "request=10,rebind=50,discover=40",
		held: onView, configure: section4, benchmarks: [2]string{"Discover", "Offer"},
		neighbours: "/proc/sys/net/ipv4/neigh/default/gc_thresh3", loaded: map[string]*loaded{},
	}
}

// bar returns the full name of a bar.
func (s *role) bar(name string) string { return s.name + "-" + name }

// bench returns the full name of a bench, and of its figures in the Go benchmark format.
func (s *role) bench(name string) string { return name + s.mark }

// named returns the name of figures in the Go benchmark format.
func (s *role) named(bench, load, who string) string {
	return s.bench(bench) + "/load=" + load + "/relay=" + who
}

// of returns the name of figures of a bench with one load.
func (s *role) of(bench, who string) string { return s.bench(bench) + "/relay=" + who }

// between returns the names of the contenders that take part.
func (s *role) between() (names []string) {
	only := harness.Words(s.only)
	for _, c := range s.contenders {
		switch {
		case s.against != "" && c.name == limit:
			names = append(append(names, limit), s.fairleads()...)
		case s.against == "" && (len(only) == 0 || slices.Contains(only, c.name)):
			names = append(names, c.name)
		}
	}
	return names
}

// contender returns the contender with that name.
func (s *role) contender(name string) *contender {
	for i := range s.contenders {
		if s.contenders[i].name == name {
			return &s.contenders[i]
		}
	}
	return s.contender(ours) // it is one of two versions
}
