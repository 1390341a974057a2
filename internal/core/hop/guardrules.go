package hop

import "fairlead/internal/core/trust"

// Names of the chains, in the order of GuardTable's picture.
const (
	chainOutput      = "output"
	chainPostrouting = "postrouting"
	chainLeaving     = "leaving"
	chainOutbound    = "outbound"
	chainQuoting4    = "quoting4"
	chainQuoting6    = "quoting6"
	chainQuoted      = "quoted"
	chainInput       = "input"
	chainArriving    = "arriving"
	chainInbound     = "inbound"
	chainSenders     = "senders"
	chainRelayed4    = "relayed4"
	chainRelayed6    = "relayed6"
	chainLink        = "link-" // and an index
)

// Message types and operations that only relay agents and servers use among
// themselves.
const (
	relayForward = 12 // RFC 8415 section 7.3
	relayReply   = 13
	bootRequest  = 1 // RFC 2131 section 2
	bootReply    = 2
)

// ICMP is the protocol of either family, and the types of its errors.
const (
	icmp4 = 1
	icmp6 = 58
)

var (
	errors4 = []uint32{3, 4, 5, 11, 12} // RFC 792
	errors6 = []uint32{1, 2, 3, 4}      // RFC 4443 section 3
)

func is(f GuardField, value uint32) GuardMatch {
	return GuardMatch{Fields: []GuardField{f}, Value: value}
}

func isNot(f GuardField, value uint32) GuardMatch {
	return GuardMatch{Fields: []GuardField{f}, Value: value, Not: true}
}

// of is the match of a family of addresses.
func (g *guardBuilder) of(family uint32) GuardMatch {
	if g.family == Inet {
		return is(FieldFamily, family)
	}
	if family == FamilyIPv4 {
		return is(FieldEther, EtherIPv4)
	}
	return is(FieldEther, EtherIPv6)
}

func in(set string, fields ...GuardField) GuardMatch { return GuardMatch{Fields: fields, Set: set} }

func accept(m ...GuardMatch) GuardRule { return GuardRule{Match: m, Verdict: VerdictAccept} }

func goTo(chain string, m ...GuardMatch) GuardRule {
	return GuardRule{Match: m, Verdict: VerdictGoto, Chain: chain}
}

// chains are all chains, those that are gone to before those that go there.
func (g *guardBuilder) chains(others bool) []GuardChain {
	var cs []GuardChain
	add := func(name string, rules ...GuardRule) { cs = append(cs, GuardChain{Name: name, Rules: rules}) }
	if !others {
		add(chainRelayed6, g.relayed6()...)
		add(chainRelayed4, g.relayed4()...)
		add(chainSenders, senders()...)
	}
	add(chainOutbound, g.outbound()...)
	add(chainInbound, g.inbound(others)...)
	add(chainQuoted, g.quoted()...)
	add(chainQuoting4, g.quoting(errors4, FieldQuotedProtocol4, FieldQuotedSource4, FieldQuotedDest4)...)
	add(chainQuoting6, g.quoting(errors6, FieldQuotedProtocol6, FieldQuotedSource6, FieldQuotedDest6)...)
	add(chainLeaving, gate(chainOutbound)...)
	add(chainArriving, gate(chainInbound)...)
	return append(cs,
		GuardChain{Name: chainOutput, Hook: HookOutput, Priority: priorityLast, Rules: leaving()},
		GuardChain{Name: chainPostrouting, Hook: HookPostrouting, Priority: priorityLast, Rules: postrouting()},
		GuardChain{Name: chainInput, Hook: HookInput, Priority: priorityInput, Rules: transport(chainArriving)},
	)
}

// transport sends UDP and TCP on.
func transport(chain string, before ...GuardMatch) []GuardRule {
	var rules []GuardRule
	for _, protocol := range []uint32{UDP, TCP} {
		rules = append(rules, goTo(chain, append(before[:len(before):len(before)], is(FieldProtocol, protocol))...))
	}
	return rules
}

// leaving sends on packets that may carry a message, or quote one.
func leaving(before ...GuardMatch) []GuardRule {
	quotes := func(chain string, protocol uint32) GuardRule {
		return goTo(chain, append(before[:len(before):len(before)], is(FieldProtocol, protocol))...)
	}
	return append(transport(chainLeaving, before...), quotes(chainQuoting4, icmp4), quotes(chainQuoting6, icmp6))
}

// postrouting sends on the packets that this host made itself, and not those that it only
// forwards. In a VRF the host's own packet seems to have come in from the VRF device, but
// it has a socket.
func postrouting() []GuardRule {
	return append(leaving(is(FieldIndexIn, 0)), leaving(isNot(FieldUser, nobody))...)
}

// quoting sends on errors that quote UDP or TCP of one of the ports. An error that is too
// short to have the ports has nothing of a message either.
func (g *guardBuilder) quoting(types []uint32, protocol, source, dest GuardField) []GuardRule {
	var others []GuardMatch
	for _, t := range types {
		others = append(others, isNot(FieldICMPType, t))
	}
	rules := []GuardRule{
		accept(is(FieldESPOut, 1)),
		accept(others...),
		accept(isNot(protocol, UDP), isNot(protocol, TCP)),
	}
	if g.sets[ports] == nil {
		return rules
	}
	for _, e := range g.sets[ports].Elements {
		rules = append(rules, goTo(chainQuoted, is(dest, uint32(e.Port))), goTo(chainQuoted, is(source, uint32(e.Port))))
	}
	return rules
}

// quoted drops errors to a peer.
func (g *guardBuilder) quoted() []GuardRule {
	var rules []GuardRule
	look := func(family uint32, set string, key ...GuardField) {
		if g.sets[set] != nil {
			m := in(set, key...)
			m.Count = true
			rules = append(rules, GuardRule{Match: []GuardMatch{is(FieldFamily, family), m}, Verdict: VerdictDrop})
		}
	}
	look(FamilyIPv4, setTo+"4", FieldDest4)
	look(FamilyIPv6, setTo+"6", FieldDest6)
	look(FamilyIPv4, setTo+"4-link", FieldLinkOut, FieldDest4)
	look(FamilyIPv6, setTo+"6-link", FieldLinkOut, FieldDest6)
	return rules
}

// gate sends on packets with one of the ports at either end: a peer may answer from
// another port.
func gate(chain string) []GuardRule {
	return []GuardRule{goTo(chain, in(ports, FieldDestPort)), goTo(chain, in(ports, FieldSourcePort))}
}

// outbound drops packets that would go to a peer in clear, whatever their source.
func (g *guardBuilder) outbound() []GuardRule {
	return append([]GuardRule{accept(is(FieldESPOut, 1))}, g.clear(setOut, FieldDest4, FieldDest6, FieldLinkOut)...)
}

// inbound drops packets that came from a peer in clear. A fragment after the first has no
// ports and passes, but without the first it is never put together.
func (g *guardBuilder) inbound(others bool) []GuardRule {
	proven, rest := accept(is(FieldESPIn, 1)), []GuardRule(nil)
	if !others {
		proven = goTo(chainSenders, is(FieldESPIn, 1))
		rest = []GuardRule{goTo(chainSenders)}
	}
	rules := append([]GuardRule{proven}, g.clear(setIn, FieldSource4, FieldSource6, FieldLinkIn, FieldSlaveIn)...)
	return append(rules, rest...)
}

// clear drops packets that the maps of one direction match, by either port.
func (g *guardBuilder) clear(kind string, four, six GuardField, links ...GuardField) []GuardRule {
	var rules []GuardRule
	look := func(family uint32, set string, key ...GuardField) {
		if g.sets[set] == nil {
			return
		}
		for _, port := range []GuardField{FieldDestPort, FieldSourcePort} {
			m := in(set, append(key[:len(key):len(key)], port)...)
			m.Count = true
			rules = append(rules, GuardRule{Match: []GuardMatch{g.of(family), m}, Verdict: VerdictDrop})
		}
	}
	look(FamilyIPv4, kind+"4", four)
	look(FamilyIPv6, kind+"6", six)
	for _, link := range links {
		look(FamilyIPv4, kind+"4-link", link, four)
		look(FamilyIPv6, kind+"6-link", link, six)
	}
	return rules
}

// senders sorts out the datagrams to which the roles of peers apply.
func senders() []GuardRule {
	return []GuardRule{
		goTo(chainRelayed6, is(FieldProtocol, UDP), is(FieldFamily, FamilyIPv6), in(ports6, FieldDestPort)),
		goTo(chainRelayed4, is(FieldProtocol, UDP), is(FieldFamily, FamilyIPv4), in(ports4, FieldDestPort)),
	}
}

// relayed6 accepts a Relay-forward from relays, a Relay-reply from servers, and other
// messages from any source.
func (g *guardBuilder) relayed6() []GuardRule {
	rules := []GuardRule{accept(isNot(FieldFirst, relayForward), isNot(FieldFirst, relayReply))}
	rules = append(rules, g.wider(FamilyIPv6, FieldSource6, relayForward, relayReply)...)
	rules = append(rules, g.from(FamilyIPv6, setRelays+"6", FieldSource6, is(FieldFirst, relayForward))...)
	rules = append(rules, g.from(FamilyIPv6, setServers+"6", FieldSource6, is(FieldFirst, relayReply))...)
	return append(rules, GuardRule{Counter: CounterStrangers, Verdict: VerdictDrop})
}

// relayed4 accepts requests from clients, which have no giaddr, and from relays, and
// replies from servers.
func (g *guardBuilder) relayed4() []GuardRule {
	rules := []GuardRule{accept(is(FieldFirst, bootRequest), is(FieldGiaddr, 0))}
	rules = append(rules, g.wider(FamilyIPv4, FieldSource4, bootRequest, bootReply)...)
	rules = append(rules, g.from(FamilyIPv4, setRelays+"4", FieldSource4, is(FieldFirst, bootRequest))...)
	rules = append(rules, g.from(FamilyIPv4, setServers+"4", FieldSource4, is(FieldFirst, bootReply))...)
	return append(rules, GuardRule{Counter: CounterStrangers, Verdict: VerdictDrop})
}

// from accepts packets from an address in a set, and from its interface where the set has
// that.
func (g *guardBuilder) from(family uint32, set string, address GuardField, m GuardMatch) []GuardRule {
	var rules []GuardRule
	if g.sets[set] != nil {
		rules = append(rules, accept(is(FieldFamily, family), m, in(set, address)))
	}
	if set += "-link"; g.sets[set] != nil {
		for _, link := range []GuardField{FieldLinkIn, FieldSlaveIn} {
			rules = append(rules, accept(is(FieldFamily, family), m, in(set, link, address)))
		}
	}
	return rules
}

// wider accepts messages from peers that are a prefix and not one address. relay is the
// first octet of a relay's message, server that of a server's.
func (g *guardBuilder) wider(family uint32, address GuardField, relay, server uint32) []GuardRule {
	var rules []GuardRule
	for _, p := range g.wide {
		prefix, _ := p.wide()
		if prefix.Addr().Is4() != (family == FamilyIPv4) {
			continue
		}
		first := server
		if p.Role == trust.Relay {
			first = relay
		}
		m := []GuardMatch{is(FieldFamily, family), is(FieldFirst, first)}
		if prefix.Bits() > 0 {
			m = append(m, GuardMatch{Fields: []GuardField{address}, Prefix: prefix})
		}
		if p.Link == "" {
			rules = append(rules, accept(m...))
			continue
		}
		for _, link := range []GuardField{FieldLinkIn, FieldSlaveIn} {
			rules = append(rules, accept(append(m[:len(m):len(m)], GuardMatch{Fields: []GuardField{link}, Link: p.Link})...))
		}
	}
	return rules
}
