package config

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// Server6 is the section of the DHCPv6 server.
type Server6 struct {
	ServerID   dhcp6.DUID // nil: the DUID that the application makes and keeps
	Links      []server6.LinkRule
	Relayed    delegation.Policy // limits of clients behind relay agents
	Terms      Terms6            // for subnets and shared networks that have no terms of their own
	Options    []server6.Option
	Classes    []server6.Class
	Registers  bool
	Assignment dhcp6.OptionCode
	Subnets    []server6.Network // subnets outside of shared networks
	Shared     []server6.Network // shared networks

	plan *plan6 // as the section was read
}

// Terms6 are settings that a subnet inherits from its shared network, and a shared network from
// the server.
type Terms6 struct {
	Lifetimes   server6.Lifetimes
	RapidCommit bool
	Preference  uint8
}

// Core returns the configuration of the server's core, with the relays that it hears. serverID is
// the identifier in use. The application provides the secret, and records says how leases are
// kept.
func (s *Server6) Core(peers []trust.Peer, serverID dhcp6.DUID, secret [32]byte, records ledger.Records) server6.Config {
	return server6.Config{
		ServerID:         serverID,
		Peers:            peersOf(peers, DHCPv6, "server6"),
		Links:            s.Links,
		Relayed:          s.Relayed,
		Networks:         slices.Concat(s.Subnets, s.Shared),
		Classes:          s.Classes,
		Options:          s.Options,
		AssignmentOption: s.Assignment, Registers: s.Registers,
		Secret:  secret,
		Records: records,
	}
}

// Server6Kind is the section of the DHCPv6 server.
func Server6Kind() Kind {
	return Kind{
		Name: "server6", Family: DHCPv6, Want: "a mapping with subnets or shared-networks", Server: true,
		Default: func() Section { return defaultServer6() },
		Decode: func(v Value, c *Process) Section {
			s := defaultServer6()
			s.decode(v, c)
			return s
		},
	}
}

func defaultServer6() *Server6 {
	return &Server6{Assignment: defaultAssignment, Relayed: server6.DefaultRelayed(), Terms: Terms6{Lifetimes: server6.Lifetimes{Preferred: 3600, Valid: 7200}}}
}

// Serves reports whether a rule matches a link.
func (s *Server6) Serves(f Family, link string) bool {
	return f == DHCPv6 && slices.ContainsFunc(s.Links, func(rule server6.LinkRule) bool { return trust.MatchAny(rule.Match, link) })
}

// Changed returns the keys, without the rules for links, whose values differ in next. If a
// setting changes that subnets and shared networks inherit, their keys have changed as well.
func (s *Server6) Changed(next Section) []string {
	n := next.(*Server6)
	return changed(
		setting{"server-id", !slices.Equal(s.ServerID, n.ServerID)},
		setting{"limits", !reflect.DeepEqual(s.Relayed, n.Relayed)},
		setting{"lifetimes", s.Terms.Lifetimes != n.Terms.Lifetimes},
		setting{"rapid-commit", s.Terms.RapidCommit != n.Terms.RapidCommit},
		setting{"preference", s.Terms.Preference != n.Terms.Preference},
		setting{"address-registration", s.Registers != n.Registers},
		setting{"assignment-option", s.Assignment != n.Assignment},
		setting{"options", !reflect.DeepEqual(s.Options, n.Options)},
		setting{"client-classes", !reflect.DeepEqual(s.Classes, n.Classes)},
		setting{"subnets", !reflect.DeepEqual(s.Subnets, n.Subnets)},
		setting{"shared-networks", !reflect.DeepEqual(s.Shared, n.Shared)},
	)
}

func (s *Server6) decode(v Value, c *Process) {
	p := newPlan6(s)
	linksGiven, before := false, len(v.d.problems)
	isMapping := v.Mapping(slices.Concat([]Field{
		Optional("server-id", Read(&s.ServerID, orWord("auto", nil, duid))),
		Optional("links", func(v Value) {
			linksGiven = true
			seen := v.d.links(DHCPv6)
			v.list("links", func(v Value) { s.Links = append(s.Links, decodeServed6(v, seen)) })
			if v.isEmptyList() {
				v.Problem("no link (at least one)")
			}
		}),
		Optional("limits", func(v Value) { v.Mapping(holderLimits(&s.Relayed.ClientLimit, &s.Relayed.HostLimit)...) }),
	}, s.Terms.fields(), []Field{
		Optional("address-registration", Read(&s.Registers, truth)),
		Optional("assignment-option", Read(&s.Assignment, assignmentOption)),
		Optional("options", options6(&s.Options)),
		Optional("client-classes", func(v Value) { v.list("mappings with name", p.class) }),
		Optional("subnets", func(v Value) {
			v.list("mappings with subnet", func(v Value) { s.Subnets = append(s.Subnets, p.alone(v)) })
		}),
		Optional("shared-networks", func(v Value) {
			v.list("mappings with name and subnets", func(v Value) { s.Shared = append(s.Shared, p.shared(v)) })
		}),
	})...)
	if !isMapping {
		return
	}
	if len(p.subnets) == 0 && len(v.d.problems) == before {
		v.Problem("no subnet (subnets or shared-networks, with at least one)")
	}
	if !linksGiven && !anyRelay(c.Peers, DHCPv6, "server6") {
		v.part(v.node, v.child("links")).Problem("missing (the client-facing links, or else a peer with role: relay)")
	}
	p.check()
	p.checkHeard(peersOf(c.Peers, DHCPv6, "server6"))
	p.checkDelegable(c.Peers)
	s.plan = p
}

// decodeServed6 reads a rule for links of the server.
func decodeServed6(v Value, seen *matches) server6.LinkRule {
	r := server6.LinkRule{Router: true, Host: defaultPolicy6(), Limits: delegation.Policy{
		ClientLimit: delegation.DefaultClientLimit, LinkLimit: delegation.DefaultLinkLimit, HostLimit: delegation.HostLimitAuto, Move: delegation.MoveAuto,
	}}
	rate := defaultRate()
	v.Mapping(slices.Concat([]Field{
		Required("match", "a name, a glob, or a list of them", func(v Value) { seen.decode(v, &r.Match) }),
		Optional("limits", func(v Value) { limits(v, &r.Limits.ClientLimit, &r.Limits.LinkLimit, &r.Limits.HostLimit) }),
		Optional("rate", rate.decode),
		leaseMove(&r.Limits.Move),
		Optional("router", Read(&r.Router, truth)),
	}, kernelFields6(&r.Host, &r.LoopExemptClient))...)
	r.Rate = rate.limits(false)
	return r
}

func (t *Terms6) fields() []Field {
	return []Field{
		Optional("lifetimes", t.lifetimes),
		Optional("rapid-commit", Read(&t.RapidCommit, truth)),
		Optional("preference", Read(&t.Preference, integer[uint8](0, 255))),
	}
}

// lifetimes reads the lifetimes that the mapping sets; all others are inherited.
func (t *Terms6) lifetimes(v Value) {
	l := &t.Lifetimes
	before := len(v.d.problems)
	v.Mapping(
		Optional("preferred", Read(&l.Preferred, lifetime(0))),
		Optional("valid", Read(&l.Valid, lifetime(time.Second))),
		Optional("t1", Read(&l.T1, orWord("auto", 0, lifetime(time.Second)))),
		Optional("t2", Read(&l.T2, orWord("auto", 0, lifetime(time.Second)))),
	)
	if len(v.d.problems) == before {
		checkLifetimes(v, l)
	}
}

// checkLifetimes reports a lifetime that is above another one although it must not be (RFC 8415
// sections 21.4 and 21.6). The problem stands at one of the two that is in the mapping.
func checkLifetimes(v Value, l *server6.Lifetimes) {
	type part struct {
		key   string
		value dhcp6.Lifetime
		text  string
	}
	said := func(key string, value, auto dhcp6.Lifetime) part {
		if value == 0 {
			return part{key, auto, "auto, which is " + lifetimeText(auto)}
		}
		return part{key, value, lifetimeText(value)}
	}
	preferred := part{"preferred", l.Preferred, lifetimeText(l.Preferred)}
	order := []part{preferred, {"valid", l.Valid, lifetimeText(l.Valid)}}
	if l.Preferred > 0 { // with 0, an address is deprecated from the start, and nothing can be below it
		half, most := l.Preferred, l.Preferred
		if l.Preferred != dhcp6.Infinity {
			half, most = l.Preferred/2, dhcp6.Lifetime(uint64(l.Preferred)*4/5)
		}
		order = slices.Insert(order, 0, said("t1", l.T1, half), said("t2", l.T2, most))
	}
	for i := range order[1:] {
		low, high := order[i], order[i+1]
		if low.value <= high.value {
			continue
		}
		at := v
		for _, key := range []string{low.key, high.key} {
			if v.has(key) {
				at = v.at(key)
			}
		}
		at.Problem("%s is %s, and %s is %s (t1, t2, preferred and valid in rising order)", low.key, low.text, high.key, high.text)
		return
	}
}

// lifetime returns a parser of lifetimes.
func lifetime(least time.Duration) func(string) (dhcp6.Lifetime, error) {
	return orWord("infinity", dhcp6.Infinity, seconds(least, 36500*day))
}

// seconds returns a parser of durations in whole seconds.
func seconds(least, most time.Duration) func(string) (dhcp6.Lifetime, error) {
	parse := duration(least, most)
	return func(text string) (dhcp6.Lifetime, error) {
		t, err := parse(text)
		if err == nil && t%time.Second != 0 {
			err = fmt.Errorf("%q (whole seconds, such as 90s, 12h or 30d)", text)
		}
		return dhcp6.Lifetime(t / time.Second), err
	}
}

func lifetimeText(l dhcp6.Lifetime) string {
	if l == dhcp6.Infinity {
		return "infinity"
	}
	return shortTime(l.Duration())
}
