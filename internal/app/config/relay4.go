package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// Relay4 is the section of the DHCPv4 relay.
type Relay4 struct {
	Forward    peers.Policy
	SourcePort uint16            // 67 if not configured
	Defaults   relay4.LinkRule   // with which each of Links starts; without Match
	Links      []relay4.LinkRule // in the order of the file; the first that matches is used
}

// Core returns the configuration of the relay's core, with the peers that it hears. relayID is
// what sub-option 12 carries. hostname is filled into templates.
func (r *Relay4) Core(peers []trust.Peer, relayID []byte, hostname string) relay4.Config {
	return relay4.Config{
		Peers: peersOf(peers, DHCPv4, "relay4"), Links: r.Links, Forward: r.Forward, RelayID: relayID, SourcePort: r.SourcePort, Hostname: hostname,
	}
}

// Relay4Kind is the section of the DHCPv4 relay. If there are relay agents among the peers, the
// role is played without a section as well.
func Relay4Kind() Kind {
	return Kind{
		Name: "relay4", Family: DHCPv4, Want: wantRelay,
		Default: func() Section { return defaultRelay4() },
		Decode: func(v Value, c *Process) Section {
			r := defaultRelay4()
			r.decode(v, c)
			return r
		},
		Implied: func(c *Process) bool { return anyRelay(c.Peers, DHCPv4, "relay4") },
	}
}

func defaultRelay4() *Relay4 {
	circuitID, err := links.ParseTemplate(defaultInterfaceID)
	if err != nil {
		panic("config: " + err.Error()) // the text is a constant of ours
	}
	return &Relay4{
		SourcePort: dhcp4.ServerPort,
		Defaults: relay4.LinkRule{
			HopCount: relay4.DefaultHopCount, CircuitID: circuitID, InsertRelayID: true, Rate: defaultRate().limits(false),
			Limits: relay4.LeaseLimits{Client: delegation.DefaultClientLimit, Link: relay4.DefaultLinkLimit},
			Host:   hoststate.Policy{Metric: defaultMetric},
		},
	}
}

// Serves reports whether a rule matches a link.
func (r *Relay4) Serves(f Family, link string) bool {
	return f == DHCPv4 && slices.ContainsFunc(r.Links, func(rule relay4.LinkRule) bool { return trust.MatchAny(rule.Match, link) })
}

// Changed returns the keys, without the rules for links, whose values differ in next.
func (r *Relay4) Changed(next Section) []string {
	n := next.(*Relay4)
	return changed(setting{"forward", r.Forward != n.Forward}, setting{"source-port", r.SourcePort != n.SourcePort})
}

func (r *Relay4) decode(v Value, c *Process) {
	defaults := link4{rule: r.Defaults, shared: shared{family: DHCPv4, rate: defaultRate()}}
	clear := inClear(c.Peers, DHCPv4)
	relay{
		family: DHCPv4, forward: &r.Forward, sourcePort: &r.SourcePort,
		defaults: func(v Value) { defaults.decode(v, nil) },
		link: func(v Value, seen *matches) {
			entry := defaults
			entry.at, entry.portsAt, entry.informing = Value{}, Value{}, nil
			entry.decode(v, seen)
			entry.checkSensitive(v, clear, entry.subscriber(), !entry.remote.id.IsEmpty())
			if r.SourcePort != dhcp4.ServerPort && entry.rule.AgentInformation == relay4.Off { // RFC 8357 section 5.1
				v.Problem("agent-information is off, and source-port %d needs it: a server is told of another port than 67 by option 82 (agent-information: add)", r.SourcePort)
			}
			entry.checkGIAddr(v, c.Peers)
			entry.checkPorts()
			entry.checkRenewals(v)
			r.Links = append(r.Links, entry.finish())
		},
	}.decode(v, c)
	r.Defaults = defaults.finish()
}

// link4 is a rule for links of the DHCPv4 relay while it is being read. Each rule starts as a
// copy of the defaults, so nothing in it may be written through a pointer.
type link4 struct {
	shared
	rule      relay4.LinkRule
	informing []Value // where the entry says what belongs into option 82
	portsAt   Value   // where the entry itself says its ports
}

// decode reads one entry of links, or the defaults if seen is nil.
func (l *link4) decode(v Value, seen *matches) {
	r := &l.rule
	at := linkPlace{seen: seen, match: &r.Match, key: "giaddr", address: &r.GIAddr, parse: giaddrAddress, borrow: &r.Borrow}
	inform := func(key string, read func(Value)) Field {
		return Optional(key, func(v Value) {
			l.informing = append(l.informing, v)
			read(v)
		})
	}
	v.Mapping(slices.Concat(at.fields(), []Field{
		Optional("trusted", Read(&r.Trusted, truth)),
		Optional("leasequery", Read(&r.AllowLeasequery, truth)),
		Optional("hops", Read(&r.HopCount, integer[uint8](0, relay4.MaxHopCount))),
		Optional("secs", Read(&r.Secs, integer[uint16](0, 65535))),
		Optional("agent-information", Read(&r.AgentInformation, oneOf(
			choice[relay4.Insertion]{"off", relay4.Off}, choice[relay4.Insertion]{"add", relay4.Add},
			choice[relay4.Insertion]{"replace", relay4.Replace}))),
		inform("max-size", Read(&r.MaxSize, orWord("auto", 0, integer(dhcp4.MinMessageSize-28, 65507)))),
		inform("circuit-id", Read(&r.CircuitID, orWord("none", links.Template{}, subOptionTemplate))),
		inform("remote-id", func(v Value) { l.remoteID(v) }),
		inform("subscriber-id", Read(&r.SubscriberID, orWord("none", links.Template{}, subOptionTemplate))),
		inform("ports", l.ports),
		inform("relay-id", Read(&r.InsertRelayID, truth)),
		inform("access-network", l.accessNetwork),
		Optional("sensitive", l.sensitive),
		inform("link-selection", Read(&r.LinkSelection, truth)),
		inform("server-id-override", Read(&r.ServerIDOverride, truth)),
		inform("relay-flags", Read(&r.RelayFlags, truth)),
		inform("vss", Read(&r.VSS, vss)),
		Optional("limits", func(v Value) { limits(v, &r.Limits.Client, &r.Limits.Link, &r.Limits.Host) }),
		Optional("rate", l.rate.decode),
		Optional("host-routes", Read(&r.HostRoutes, truth)),
	}, kernelFields(&r.Host, prefixIPv4, hoststate.FilterOff, hoststate.FilterStrict))...)
	at.check()
	if seen != nil && r.AgentInformation == relay4.Off {
		for _, v := range l.informing {
			v.Problem("it belongs to option 82, and agent-information is off (agent-information: add, or leave it out)")
		}
	}
}

// finish returns the rule that was read.
func (l *link4) finish() relay4.LinkRule {
	r := l.rule
	r.Rate = l.rate.limits(r.Trusted)
	r.RemoteID, r.SensitiveRemoteID = l.remote.id, l.remote.sensitive && !l.remote.id.IsEmpty()
	r.AccessNetwork = l.network.octets()
	return r
}

// subscriber reports whether the rule has a subscriber-id for any link.
func (l *link4) subscriber() bool {
	if !l.rule.SubscriberID.IsEmpty() {
		return true
	}
	for _, p := range l.rule.Ports {
		if p.SubscriberID != "" {
			return true
		}
	}
	return false
}

// ports reads what the file says of single links, by their names.
func (l *link4) ports(v Value) {
	l.portsAt = v
	ports := make(map[string]relay4.Port)
	v.list("mappings with name", func(v Value) {
		var name string
		var at Value
		var p relay4.Port
		v.Mapping(
			Required("name", "the name of a link", func(v Value) {
				at = v
				Read(&name, interfaceName)(v)
			}),
			Optional("circuit-id", Read(&p.CircuitID, subOptionText)),
			Optional("remote-id", Read(&p.RemoteID, subOptionText)),
			Optional("subscriber-id", Read(&p.SubscriberID, subOptionText)),
		)
		if _, twice := ports[name]; twice && name != "" {
			at.Problem("the port %q is there already (once)", name)
		}
		ports[name] = p
	})
	l.rule.Ports = ports
}

// checkGIAddr reports a giaddr that no hop of a protected server is for: the server answers to
// giaddr (RFC 2131 section 4.1), and a hop is between two addresses (RFC 8213 section 3).
func (l *link4) checkGIAddr(v Value, peers []trust.Peer) {
	for i := range peers {
		p := &peers[i]
		if p.Role == trust.Server && p.Protection == trust.ProtectionIPsec && p.Local.Is4() && l.rule.GIAddr != p.Local {
			v.Problem("the answers of peer %q go to giaddr, and are protected at its local address alone (giaddr: %s; link-selection tells it the client's subnet)", p.Name, p.Local)
		}
	}
}

// checkRenewals reports an entry by which the kernel follows leases although the relay would not
// hear of renewals: a client renews by unicast with the server that it knows (RFC 2131 section
// 4.4.5).
func (l *link4) checkRenewals(v Value) {
	r := &l.rule
	if !r.WantsKernel() || r.ServerIDOverride && r.AgentInformation != relay4.Off {
		return
	}
	what := "host-routes: true"
	if r.Host.Filter != hoststate.FilterOff {
		what = "filter: " + r.Host.Filter.String()
	}
	v.Problem("with %s the relay has to hear of renewals, which clients send directly to the server: a client that has renewed would be cut off when its first lease ends (server-id-override: true, with agent-information: add)", what)
}

// checkPorts reports ports whose names the entry does not match.
func (l *link4) checkPorts() {
	if l.portsAt.node == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.rule.Ports)) {
		if !trust.MatchAny(l.rule.Match, name) {
			l.portsAt.warn(fmt.Sprintf("the port %q is of no link that this entry matches", name))
		}
	}
}

// vss parses the VPN of RFC 6607: a name, or 0x and a VPN-ID of 7 octets (RFC 2685).
func vss(text string) (*dhcp4.VSS, error) {
	switch {
	case text == "none":
		return nil, nil //nolint:nilnil // no VPN is sent then, and nothing is wrong
	case text == "global":
		return &dhcp4.VSS{Type: dhcp4.VSSGlobal}, nil
	}
	digits, isID := strings.CutPrefix(text, "0x")
	if !isID {
		name, err := subOptionText(text)
		return &dhcp4.VSS{Type: dhcp4.VSSName, Information: []byte(name)}, err
	}
	id, err := hex.DecodeString(digits)
	if err != nil || len(id) != 7 {
		return nil, fmt.Errorf("%q is no VPN-ID (0x and 7 octets in hexadecimal, such as 0x00005e00000001; none, global, or a name)", text)
	}
	return &dhcp4.VSS{Type: dhcp4.VSSVPNID, Information: id}, nil
}

// maxSubOption is the length of the longest text of a sub-option: the option around it has at
// most 255 octets (RFC 3046 section 2.0).
const maxSubOption = 253

func subOptionText(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("empty (a text of 1 to 253 octets)")
	case len(text) > maxSubOption:
		return "", fmt.Errorf("%d octets long (at most %d)", len(text), maxSubOption)
	}
	return text, nil
}

// subOptionTemplate parses a template whose text has to fit into a sub-option.
func subOptionTemplate(text string) (links.Template, error) {
	if len(text) > maxSubOption {
		return links.Template{}, fmt.Errorf("%d octets long (at most %d)", len(text), maxSubOption)
	}
	return template(text)
}
