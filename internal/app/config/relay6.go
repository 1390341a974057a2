package config

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// Relay6 is the section of the DHCPv6 relay.
type Relay6 struct {
	Forward        peers.Policy
	SourcePort     uint16 // 547 if not configured
	Assignment     dhcp6.OptionCode
	Infrastructure []netip.Prefix
	Defaults       relay6.LinkRule   // with which each of Links starts; without Match
	Links          []relay6.LinkRule // in the order of the file; the first that matches is used
}

// Core returns the configuration of the relay's core, with the peers that it hears. relayID is
// the identifier in use. hostname is filled into templates.
func (r *Relay6) Core(peers []trust.Peer, relayID dhcp6.DUID, hostname string) relay6.Config {
	return relay6.Config{
		Peers:      peersOf(peers, DHCPv6, "relay6"),
		Links:      r.Links,
		Forward:    r.Forward,
		RelayID:    relayID,
		SourcePort: r.SourcePort,

		AssignmentOption: r.Assignment,
		Infrastructure:   r.Infrastructure,
		Hostname:         hostname,
	}
}

// defaultAssignment is the code of the Relay Agent Assignment Notification option if the file
// names none. The registry has not assigned a code to this option. Codes that the registry does
// not list have no other meaning.
const defaultAssignment dhcp6.OptionCode = 65280

// assignmentOption parses a code that the registry has assigned to no option.
func assignmentOption(text string) (dhcp6.OptionCode, error) {
	return integer[dhcp6.OptionCode](1024, 65535)(text)
}

// Relay6Kind is the section of the DHCPv6 relay. If there are relay agents among the peers, the
// role is played without a section as well.
func Relay6Kind() Kind {
	return Kind{
		Name: "relay6", Family: DHCPv6, Want: wantRelay,
		Default: func() Section { return defaultRelay6() },
		Decode: func(v Value, c *Process) Section {
			r := defaultRelay6()
			r.decode(v, c)
			return r
		},
		Implied: func(c *Process) bool { return anyRelay(c.Peers, DHCPv6, "relay6") },
	}
}

func defaultRelay6() *Relay6 {
	interfaceID, err := links.ParseTemplate(defaultInterfaceID)
	if err != nil {
		panic("config: " + err.Error()) // the text is a constant of ours
	}
	return &Relay6{
		SourcePort: dhcp6.ServerPort,
		Assignment: defaultAssignment,
		Defaults: relay6.LinkRule{
			SharedAuto:      true,
			RoutedAuto:      true,
			InterfaceID:     interfaceID,
			InsertRelayID:   true,
			InsertLinkLayer: true,
			Delegations: delegation.Policy{
				ClientLimit: delegation.DefaultClientLimit,
				LinkLimit:   delegation.DefaultLinkLimit,
				HostLimit:   delegation.HostLimitAuto,
				Move:        delegation.MoveAuto,
			},
			Rate: defaultRate().limits(false),
			Host: defaultPolicy6(),
		},
	}
}

// Serves reports whether a rule matches a link.
func (r *Relay6) Serves(f Family, link string) bool {
	return f == DHCPv6 && slices.ContainsFunc(r.Links, func(rule relay6.LinkRule) bool { return trust.MatchAny(rule.Match, link) })
}

// Changed returns the keys, without the rules for links, whose values differ in next.
func (r *Relay6) Changed(next Section) []string {
	n := next.(*Relay6)
	return changed(
		setting{"forward", r.Forward != n.Forward},
		setting{"source-port", r.SourcePort != n.SourcePort},
		setting{"assignment-option", r.Assignment != n.Assignment},
		setting{"reserved-prefixes", !slices.Equal(r.Infrastructure, n.Infrastructure)},
	)
}

func (r *Relay6) decode(v Value, c *Process) {
	defaults := link6{rule: r.Defaults, shared: shared{family: DHCPv6, rate: defaultRate()}}
	ids := make(map[string]string)
	clear := inClear(c.Peers, DHCPv6)
	relay{
		family: DHCPv6, forward: &r.Forward, sourcePort: &r.SourcePort,
		own: []Field{
			Optional("reserved-prefixes", ReadList(&r.Infrastructure, "prefixes", prefix)),
			Optional("assignment-option", Read(&r.Assignment, assignmentOption)),
		},
		defaults: func(v Value) { defaults.decode(v, nil) },
		link: func(v Value, seen *matches) {
			entry := defaults
			entry.at, entry.id = Value{}, Value{}
			entry.decode(v, seen)
			entry.checkSensitive(v, clear, !entry.rule.SubscriberID.IsEmpty(), !entry.remote.id.IsEmpty())
			entry.checkInterfaceID(v, ids)
			r.Links = append(r.Links, entry.finish())
		},
	}.decode(v, c)
	r.Defaults = defaults.finish()
}
