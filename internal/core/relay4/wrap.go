package relay4

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
	"fairlead/internal/wire/linkaddr"
)

// textRoom is the length of texts up to which they need no memory of their own.
const textRoom = 128

// wrapping is one message on its way to the servers. What its option 82 says of the client
// may be for protected hops alone (RFC 8213 section 3), so there are up to two of it; each
// is built when the first server needs it.
type wrapping struct {
	link    *link
	packet  *inbound.Packet
	message dhcp4.Message
	giaddr  netip.Addr // to be set; invalid: that of another relay agent stays
	inform  bool       // option 82 of ours is to be added

	private bool // there may be sub-options for protected hops alone
	built   [2]wrapped
	added   bool // some server gets option 82 of ours
	omitted bool // there was no room for it
}

// wrapped is the message for one class of servers.
type wrapped struct {
	done     bool
	payload  []byte // nil: it must not go without the option
	informed bool   // it has option 82 of ours
	withheld bool   // sub-options were left out
}

// wrapFor is the message for one server.
func (r *Relay) wrapFor(w *wrapping, peer *trust.Peer, eff *effect.Effects) *wrapped {
	protected := !w.private || peer.Protection == trust.ProtectionIPsec
	class := 0
	if protected {
		class = 1
	}
	b := &w.built[class]
	if !b.done {
		*b = r.wrap(w, protected, eff)
	}
	if b.withheld {
		r.count(w.link, func(c *LinkCounts) { c.SensitiveOmitted++ })
	}
	return b
}

// wrap is the message as a server gets it. RFC 1542 section 4.1.1: giaddr is filled in
// where it is zero, hops is incremented, "All other BOOTP fields MUST be preserved intact".
func (r *Relay) wrap(w *wrapping, protected bool, eff *effect.Effects) wrapped {
	out := wrapped{done: true}
	start := len(eff.Arena)
	before, end, ok := w.message.Split()
	b := append(eff.Arena, before...)
	if w.inform {
		mark, fits := len(b), false
		if ok { // BOOTP with vendor information of another kind has no place for an option
			b, out.withheld, fits = r.appendAgentInformation(b, w, protected)
		}
		out.informed = len(b) > mark
		w.added = w.added || out.informed
		w.omitted = w.omitted || !fits
		if !fits && w.link.rule.InsertRelayID && r.cfg.RequireRelayID {
			return out
		}
	}
	b = append(b, end...)
	eff.Arena = b
	out.payload = b[start:len(b):len(b)]
	dhcp4.SetHops(out.payload, w.message.Hops()+1)
	if w.giaddr.IsValid() {
		dhcp4.SetGIAddr(out.payload, w.giaddr)
	}
	return out
}

// appendAgentInformation appends option 82, or nothing where the message has no room for it.
// Withheld reports whether sub-options were left out of it.
func (r *Relay) appendAgentInformation(b []byte, w *wrapping, protected bool) (_ []byte, withheld, fits bool) {
	room := r.room
	if w.link.rule.MaxSize > 0 {
		room = min(w.link.rule.MaxSize, maxPayload)
	}
	b, mark := dhcp4.BeginAgentInformation(b)
	b, withheld = r.appendSubOptions(b, w, protected)
	b, err := dhcp4.EndAgentInformation(b, mark)
	if added := len(b) - mark; err != nil || added > 0 && len(w.message.Bytes())+added > room {
		return b[:mark], false, false
	}
	return b, withheld, true
}

// facts are what templates stand for on a link, but for the client.
func (r *Relay) facts(l *link) links.Facts {
	return links.Facts{Link: l.Link, Hostname: r.cfg.Hostname}
}

// sensitive reports whether the link has sub-options for protected hops alone.
func (l *link) sensitive() bool {
	return l.port.SubscriberID != "" || !l.rule.SubscriberID.IsEmpty() || len(l.rule.AccessNetwork) > 0 || l.rule.SensitiveRemoteID
}

func (l *link) circuitID(b []byte, f links.Facts) []byte {
	return appendText(b, l.port.CircuitID, l.rule.CircuitID, f)
}

// appendText appends what the configuration says of a link by its name, else what the
// template says.
func appendText(b []byte, port string, t links.Template, f links.Facts) []byte {
	if port != "" {
		return append(b, port...)
	}
	return t.Append(b, f)
}

// appendID appends a text as a sub-option, unless it is empty.
func appendID(b []byte, c dhcp4.SubOptionCode, text []byte) []byte {
	switch {
	case len(text) == 0:
		return b
	case len(text) > dhcp4.MaxOptionLen:
		return append(b, text...) // so that the option as a whole is too big
	}
	return dhcp4.AppendSubOption(b, c, text)
}

// appendSubOptions appends what this relay has been told to say; withheld reports whether
// there was something that is only for protected hops, and this is none.
func (r *Relay) appendSubOptions(b []byte, w *wrapping, protected bool) (_ []byte, withheld bool) {
	l, rule := w.link, w.link.rule
	var room [textRoom]byte
	f := r.facts(l)
	f.LinkLayer = linkaddr.From(w.message.CHAddr())
	b = appendID(b, dhcp4.SubOptionCircuitID, l.circuitID(room[:0], f))
	if text := appendText(room[:0], l.port.RemoteID, rule.RemoteID, f); protected || !rule.SensitiveRemoteID {
		b = appendID(b, dhcp4.SubOptionRemoteID, text)
	} else {
		withheld = len(text) > 0
	}
	if rule.LinkSelection && l.subnet.IsValid() { // RFC 3527 section 3
		b = dhcp4.AppendLinkSelection(b, l.subnet)
	}
	if text := appendText(room[:0], l.port.SubscriberID, rule.SubscriberID, f); protected {
		b = appendID(b, dhcp4.SubOptionSubscriberID, text)
	} else {
		withheld = withheld || len(text) > 0
	}
	if rule.RelayFlags { // RFC 5010 section 4: in each option, however the message came
		b = dhcp4.AppendRelayFlags(b, r.flagsOf(w.packet))
	}
	if rule.ServerIDOverride { // RFC 5107 section 4
		b = dhcp4.AppendServerIDOverride(b, l.reachedAt())
	}
	if rule.InsertRelayID && len(r.cfg.RelayID) > 0 { // RFC 6925 section 4
		b = dhcp4.AppendRelayID(b, r.cfg.RelayID)
	}
	if protected {
		b = append(b, rule.AccessNetwork...)
	} else {
		withheld = withheld || len(rule.AccessNetwork) > 0
	}
	if port := r.cfg.SourcePort; port != 0 && port != dhcp4.ServerPort { // RFC 8357 section 5.1
		b = dhcp4.AppendSourcePort(b)
	}
	if rule.VSS != nil { // RFC 6607 section 5
		b = dhcp4.AppendVSSControl(dhcp4.AppendVSS(b, *rule.VSS))
	}
	return b, withheld
}

// reachedAt is the address at which clients of the link reach us, if there is one.
func (l *link) reachedAt() netip.Addr {
	if l.own.IsValid() {
		return l.own
	}
	return l.Address()
}

// flagsOf tells a message that was sent to an address of ours from one that was broadcast,
// be it in a subnet alone (RFC 5010 section 3).
func (r *Relay) flagsOf(p *inbound.Packet) dhcp4.RelayFlags {
	if r.links.IsKnown(p.Dest) {
		return dhcp4.RelayFlagUnicast
	}
	return 0
}
