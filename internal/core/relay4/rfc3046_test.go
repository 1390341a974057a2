package relay4_test

import (
	"bytes"
	"strings"
	"testing"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay4"
)

// Section 2.1: "Overall adding of the DHCP relay agent option SHOULD be configurable, and
// SHOULD be disabled by default."
func TestRFC3046_2_1a_OffByDefault(t *testing.T) {
	if mode := new(relay4.LinkRule).AgentInformation; mode != relay4.Off {
		t.Errorf("by default %v", mode)
	}
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Off }), everySubOption)
	w.same("off", w.asks(alice, from(alice)), forwarded(from(alice), lan0Addr, nil))
	w = newWorld(t)
	w.same("on", w.asks(alice, from(alice)), forwarded(from(alice), lan0Addr, agent(circuit("lan0"))))
}

// everySubOption configures all there are, and leaves open whether there is an option.
func everySubOption(w *world) {
	w.cfg.RelayID, w.cfg.SourcePort, w.cfg.Hostname = []byte("relay"), 1067, "edge"
	rule(func(r *relay4.LinkRule) {
		r.CircuitID, r.RemoteID, r.SubscriberID = template("{interface}"), template("{hostname}/{link-layer}"), template("s-{index}")
		r.LinkSelection, r.RelayFlags, r.ServerIDOverride, r.InsertRelayID = true, true, true, true
		r.AccessNetwork = append(option(13, 0, 4), option(14, []byte("ssid")...)...)
	})(w)
}

// Section 2.1: "Relay agents SHOULD have separate configurables for each sub-option to
// control whether it is added to client-to-server packets."
func TestRFC3046_2_1b_EachSubOptionApart(t *testing.T) {
	none := func(w *world) { w.cfg.Links[0].CircuitID = template("") }
	for code, change := range map[byte]func(*world){
		1: rule(func(r *relay4.LinkRule) { r.CircuitID = template("x") }), 2: rule(func(r *relay4.LinkRule) { r.RemoteID = template("x") }),
		5: rule(func(r *relay4.LinkRule) { r.LinkSelection = true }), 6: rule(func(r *relay4.LinkRule) { r.SubscriberID = template("x") }),
		10: rule(func(r *relay4.LinkRule) { r.RelayFlags = true }), 11: rule(func(r *relay4.LinkRule) { r.ServerIDOverride = true }),
		12: func(w *world) { w.cfg.RelayID, w.cfg.Links[0].InsertRelayID = []byte("x"), true },
		13: rule(func(r *relay4.LinkRule) { r.AccessNetwork = option(13, 0, 4) }),
		19: config(func(c *relay4.Config) { c.SourcePort = 1067 }),
	} {
		w := newWorld(t, none, protected, change)
		got := w.subOptions(w.asks(alice, from(alice)))
		if _, ok := got[code]; !ok || len(got) != 1 {
			t.Errorf("sub-option %d alone: %q", code, got)
		}
	}
	w := newWorld(t, none)
	w.same("without any there is no option", w.asks(alice, from(alice)), forwarded(from(alice), lan0Addr, nil))
	if n := w.counters("lan0").AgentInformationOmitted; n != 0 {
		t.Errorf("%d omitted, although there was nothing to add", n)
	}
}

// Section 2.1: the relay agent "SHALL add it as the last option (but before 'End Option' 255,
// if present) in the DHCP options field of any recognized BOOTP or DHCP packet forwarded from
// a client to a server."
func TestRFC3046_2_1c_LastOption(t *testing.T) {
	for name, change := range map[string]func(*message){
		"DHCP":                         func(*message) {},
		"no End option":                func(m *message) { m.pads = -1 },
		"octets behind the End option": with([]byte{255, 82, 2, 1, 0}),
		"pads before the End option":   with([]byte{0, 0}),
		"BOOTP with options":           func(m *message) { m.options, m.pads = option(12, 'x'), 80 },
		"an unknown type":              ofType(200),
		"a message of no options":      func(m *message) { m.options, m.pads = nil, 80 },
	} {
		w := newWorld(t)
		in := from(alice, change)
		w.same(name, w.asks(alice, in), forwarded(in, lan0Addr, agent(circuit("lan0"))))
	}
	w := newWorld(t)
	w.same("BOOTP without an options field", w.asks(alice, from(alice, bootp)), forwarded(from(alice, bootp), lan0Addr, nil))
	if n := w.counters("lan0").AgentInformationOmitted; n != 1 {
		t.Errorf("%d omitted, want 1", n)
	}
}

// foreign is an option 82 of somebody else.
var foreign = agent(circuit("port 7"), option(2, []byte("them")...))

// inFile puts options into the file field, and says so by option 52.
func inFile(options []byte) func(*message) {
	return func(m *message) {
		m.file = options
		m.options = append(m.options, option(52, 1)...)
	}
}

// Section 2.1: "Relay agents receiving a DHCP packet from an untrusted circuit with giaddr
// set to zero [...] but with a Relay Agent Information option already present in the packet
// SHALL discard the packet and increment an error count."
func TestRFC3046_2_1d_UntrustedCircuit(t *testing.T) {
	for _, mode := range []relay4.Insertion{relay4.Off, relay4.Add} {
		w := newWorld(t, rule(func(r *relay4.LinkRule) { r.AgentInformation = mode }))
		for name, in := range map[string][]byte{
			"at the end": from(alice, with(foreign)), "split": from(alice, with(foreign, option(12, 'x'), foreign)),
			"empty": from(alice, with(option(82))), "malformed": from(alice, with(option(82, 1, 9, 9))),
			"in the file field": from(alice, inFile(foreign)),
			"in the sname field": from(alice, func(m *message) {
				m.sname = foreign
				m.options = append(m.options, option(52, 2)...)
			}),
		} {
			before := w.counters("lan0").Drops[effect.DropAgentInformation]
			w.dropped(name, w.says(alice, in), effect.DropAgentInformation)
			if n := w.counters("lan0").Drops[effect.DropAgentInformation]; n != before+1 {
				t.Errorf("%v: %s: %d counted, want 1", mode, name, n-before)
			}
		}
	}
}

// Section 2.1: from a trusted circuit "the relay agent does NOT add a "second" relay agent
// option, but forwards the DHCP packet per normal DHCP relay agent operations, setting the
// giaddr field as it deems appropriate."
func TestRFC3046_2_1e_TrustedCircuit(t *testing.T) {
	for _, mode := range []relay4.Insertion{relay4.Off, relay4.Add} {
		w := newWorld(t, trusted, rule(func(r *relay4.LinkRule) { r.AgentInformation = mode }))
		for name, in := range map[string][]byte{
			"at the end": from(alice, with(foreign)), "empty": from(alice, with(option(82))),
			"malformed": from(alice, with(option(82, 1, 9, 9))), "in the file field": from(alice, inFile(foreign)),
		} {
			w.same(mode.String()+": "+name, w.asks(alice, in), forwarded(in, lan0Addr, nil))
		}
	}
}

// What the operator may choose instead: the option that came is replaced by ours.
func TestReplace(t *testing.T) {
	for _, change := range []func(*world){func(*world) {}, trusted} {
		w := newWorld(t, change, rule(func(r *relay4.LinkRule) { r.AgentInformation = relay4.Replace }))
		plain := from(alice)
		want := forwarded(plain, lan0Addr, agent(circuit("lan0")))
		w.same("nothing to replace", w.asks(alice, plain), want)
		w.same("replaced", w.asks(alice, from(alice, with(foreign))), want)
		w.same("replaced twice", w.asks(alice, from(alice, with(foreign, foreign))), want)
		w.dropped("one that is out of reach", w.says(alice, from(alice, inFile(foreign))), effect.DropAgentInformation)
		in := answer(want, typeOffer, true)
		w.same("the reply", w.delivers(lan0Index, in).Payload, answer(want, typeOffer, false))
	}
}

// Section 2.1: "Packets which, after appending the Relay Agent Information option, would
// exceed this configured maximum size shall be forwarded WITHOUT adding the Agent Information
// option. An error counter SHOULD be incremented in this case."
func TestRFC3046_2_1f_ConfiguredMaximumSize(t *testing.T) {
	in := from(alice)
	whole := forwarded(in, lan0Addr, agent(circuit("lan0")))
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.MaxSize = len(whole) }))
	w.same("just fits", w.asks(alice, in), whole)
	w = newWorld(t, rule(func(r *relay4.LinkRule) { r.MaxSize = len(whole) - 1 }))
	w.same("an octet too much", w.asks(alice, in), forwarded(in, lan0Addr, nil))
	if n := w.counters("lan0").AgentInformationOmitted; n != 1 {
		t.Errorf("%d omitted, want 1", n)
	}
	w = newWorld(t, rule(func(r *relay4.LinkRule) { r.MaxSize = 4000 })) // above the MTU, by the operator's word
	if got := w.asks(alice, from(alice, func(m *message) { m.pads = 3000 })); optionOf(got, 82) == nil {
		t.Error("not added below the configured size")
	}
	// Nor is it added where it has no room for what it is to hold.
	for _, long := range []func(*relay4.LinkRule){
		func(r *relay4.LinkRule) { r.CircuitID = template(strings.Repeat("x", 254)) },
		func(r *relay4.LinkRule) { r.CircuitID = template(strings.Repeat("x", 300)) },
		func(r *relay4.LinkRule) {
			r.CircuitID, r.RemoteID = template(strings.Repeat("x", 128)), template(strings.Repeat("x", 128))
		},
	} {
		w := newWorld(t, rule(long))
		w.same("more than an option holds", w.asks(alice, in), forwarded(in, lan0Addr, nil))
	}
}

// Section 2.1: "In the absence of this configurable, the agent SHALL NOT increase a forwarded
// DHCP packet size to exceed the MTU of the interface on which it is forwarded."
func TestRFC3046_2_1g_MTU(t *testing.T) {
	added := len(agent(circuit("lan0")))
	sized := func(n int) []byte {
		return from(alice, func(m *message) { m.pads = n - len(from(alice, func(m *message) { m.pads = 0 })) })
	}
	w := newWorld(t)
	try := func(what string, mtu int) {
		t.Helper()
		if got := w.asks(alice, sized(mtu-28-added)); len(got) != mtu-28 || optionOf(got, 82) == nil {
			t.Errorf("%s: %d octets, want %d with the option", what, len(got), mtu-28)
		}
		if got := w.asks(alice, sized(mtu-28-added+1)); len(got) != mtu-28-added+1 || optionOf(got, 82) != nil {
			t.Errorf("%s: %d octets, want as many as came", what, len(got))
		}
	}
	try("as it comes", 1500)
	w.setLink("up0", func(l *links.Link) { l.MTU = 1400 })
	try("less", 1400)
	w.setLink("up0", func(l *links.Link) { l.MTU = 500 })
	try("less than 576", 500)
	w.setLink("up0", func(l *links.Link) { l.MTU = 9000 })
	w.setLink("lan0", func(l *links.Link) { l.MTU = 1000 })
	try("more, whatever the client's link has", 9000)
	w.setLink("up0", func(l *links.Link) { l.MTU = 65536 })
	try("as much as UDP has", 65535)
	l := w.links["up0"]
	l.Index, l.Name, l.MTU = 20, "up1", 1300
	w.core.SetLink(l, &w.eff)
	w.links["up1"] = l
	w.carryOut()
	try("the least of two", 1300)
	w.setLink("up1", func(l *links.Link) { l.Name = "other" }) // no uplink any more
	try("of one that is none any more", 65535)
	w.removeLink("up0")
	try("of none", 1500)
}

// Section 2.1: "The Relay Agent Information option echoed by a server MUST be removed by
// either the relay agent or the trusted downstream network element which added it when
// forwarding a server-to-client response back to the client."
func TestRFC3046_2_1h_RemovedFromReplies(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.RemoteID = template("me") }))
	up := w.asks(alice, from(alice))
	for name, change := range map[string]func(*message){
		"last": func(*message) {}, "not last": with(optionOf(up, 82), option(60, 'x')), "twice": with(optionOf(up, 82)),
		"split":     with(option(82, 1, 4, 'l'), option(60, 'x'), option(82, 'a', 'n', '0')),
		"malformed": with(option(82, 1, 99)), "empty": with(option(82)),
	} {
		in := answer(up, typeOffer, name == "last" || name == "twice", change)
		want := answer(up, typeOffer, false)
		if name == "split" || name == "not last" {
			want = answer(up, typeOffer, false, with(option(60, 'x')))
		}
		w.same(name, w.delivers(lan0Index, in).Payload, want)
	}
	// The option of a bridge below us is left to the bridge, be it like ours or not.
	for _, theirs := range [][]byte{foreign, agent(circuit("lan0"))} {
		for _, mode := range []relay4.Insertion{relay4.Off, relay4.Add} {
			w := newWorld(t, trusted, rule(func(r *relay4.LinkRule) { r.AgentInformation = mode }))
			in := answer(w.asks(alice, from(alice, with(theirs))), typeOffer, true)
			w.same("theirs", w.delivers(lan0Index, in).Payload, in)
		}
	}
	// On the same link our own is ours to remove: by the transaction, or by the circuit-id.
	for name, circuitID := range map[string]string{"of the link": "{interface}", "of the client": "{interface}/{link-layer}"} {
		w := newWorld(t, trusted, rule(func(r *relay4.LinkRule) { r.CircuitID = template(circuitID) }))
		up := w.asks(alice, from(alice))
		w.same(name, w.delivers(lan0Index, answer(up, typeOffer, true)).Payload, answer(up, typeOffer, false))
		w.sleep(10 * 60e9)
		w.same(name+", long after", w.delivers(lan0Index, answer(up, typeOffer, true)).Payload, answer(up, typeOffer, false))
	}
}

// Section 2.1: "The agent SHALL NOT add an "Option Overload" option to the packet or use the
// "file" or "sname" fields for adding Relay Agent Information option."
func TestRFC3046_2_1i_NoOverload(t *testing.T) {
	w := newWorld(t, rule(func(r *relay4.LinkRule) { r.MaxSize = 300 }))
	in := from(alice)
	if got := w.asks(alice, in); !bytes.Equal(got, forwarded(in, lan0Addr, nil)) {
		t.Errorf("got %x", got)
	}
	in = from(alice, inFile(option(60, 'x')))
	w = newWorld(t)
	w.same("overloaded by the client", w.asks(alice, in), forwarded(in, lan0Addr, agent(circuit("lan0"))))
}

// Section 2.1: "It SHALL NOT parse or remove Relay Agent Information options that may appear
// in the sname or file fields of a server-to-client packet forwarded through the agent."
func TestRFC3046_2_1j_SNameAndFileOfReplies(t *testing.T) {
	w := newWorld(t, unnumbered)
	up := w.asks(alice, from(alice))
	hidden := inFile(agent(circuit("lan1")))
	in := answer(up, typeOffer, true, hidden)
	w.same("hidden", w.delivers(lan0Index, in).Payload, answer(up, typeOffer, false, hidden))
	in = answer(up, typeOffer, false, hidden)
	w.same("hidden alone", w.delivers(lan0Index, in).Payload, in) // by the transaction
}

// Section 2.1.1: relay agents "which receive a client DHCP packet with a nonzero giaddr SHALL
// discard the packet if the giaddr spoofs a giaddr address implemented by the local agent
// itself."
func TestRFC3046_2_1_1a_SpoofedGIAddr(t *testing.T) {
	w := newWorld(t, trusted, relayPeer("10.0.0.9"))
	for _, a := range []string{lan0Addr, lan1Addr, lentAddr, localAddr, "255.255.255.255", "10.0.0.255", "224.0.0.1", "127.0.0.1"} {
		w.dropped(a, w.relays(lan0Index, "10.0.0.9", from(alice, giaddr(a))), effect.DropSpoofedGIAddr)
		w.dropped(a+" from a client", w.says(alice, from(alice, giaddr(a))), effect.DropSpoofedGIAddr)
	}
	// One that several interfaces have is ours as well.
	w.setLink("lan0", func(l *links.Link) { l.Addrs = append(l.Addrs, cidr("10.7.0.1/24")) })
	w.setLink("lan1", func(l *links.Link) { l.Addrs = append(l.Addrs, cidr("10.7.0.1/24")) })
	w.dropped("of two", w.relays(lan0Index, "10.0.0.9", from(alice, giaddr("10.7.0.1"))), effect.DropSpoofedGIAddr)
	w = newWorld(t, trusted, rule(func(r *relay4.LinkRule) { r.GIAddr = addr("203.0.113.7") }))
	w.dropped("configured", w.relays(lan0Index, "10.0.0.9", from(alice, giaddr("203.0.113.7"))), effect.DropSpoofedGIAddr)
}

// Section 2.1.1: "Otherwise, the relay agent SHALL forward any received DHCP packet with a
// valid non-zero giaddr WITHOUT adding any relay agent options. Per RFC 2131, it shall also
// NOT modify the giaddr value." The packet is that of a relay agent which we trust.
func TestRFC3046_2_1_1b_Reforwarded(t *testing.T) {
	for name, change := range map[string]func(*world){"a trusted link": trusted, "a peer": relayPeer("10.0.0.9")} {
		for _, mode := range []relay4.Insertion{relay4.Off, relay4.Add, relay4.Replace} {
			w := newWorld(t, change, everySubOption, rule(func(r *relay4.LinkRule) { r.AgentInformation = mode }))
			for _, in := range [][]byte{from(alice, giaddr("10.9.0.1")), from(alice, giaddr("10.0.0.9"), with(foreign))} {
				got := w.relays(lan0Index, "10.0.0.9", in)
				if len(got) != 1 {
					t.Fatalf("%s, %v: %d datagrams, drops %v", name, mode, len(got), w.drops)
				}
				w.same(name, got[0].Payload, forwarded(in, "", nil))
				if got[0].SourcePort != 0 {
					t.Errorf("from port %d, although nothing tells the server", got[0].SourcePort)
				}
			}
		}
	}
	w := newWorld(t)
	w.dropped("a stranger", w.relays(lan0Index, "10.0.0.9", from(alice, giaddr("10.9.0.1"))), effect.DropUntrustedRelay)
	w.dropped("on no client's link", w.relays(dumIndex, "10.0.0.9", from(alice, giaddr("10.9.0.1"))), effect.DropUntrustedRelay)
}

// Section 3.1: the circuit-id "encodes an agent-local identifier of the circuit from which a
// DHCP client-to-server packet was received. It is intended for use by agents in relaying
// DHCP responses back to the proper circuit."
func TestRFC3046_3_1_CircuitID(t *testing.T) {
	w := newWorld(t, unnumbered, rule(func(r *relay4.LinkRule) {
		r.Ports = map[string]relay4.Port{"lan1": {CircuitID: "slot 3", RemoteID: "customer", SubscriberID: ""}}
	}))
	fromAlice, fromCarol := w.asks(alice, from(alice)), w.asks(carol, from(carol))
	w.same("lan0", optionOf(fromAlice, 82), agent(circuit("lan0")))
	w.same("lan1", optionOf(fromCarol, 82), agent(circuit("slot 3"), option(2, []byte("customer")...)))
	w.sleep(10 * 60e9) // no transaction is remembered
	w.delivers(lan1Index, answer(fromCarol, typeOffer, true))
	w.delivers(lan0Index, answer(fromAlice, typeOffer, true))
}
