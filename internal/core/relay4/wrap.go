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

// maxPayload is the largest UDP payload over IPv4.
const maxPayload = 65535 - ipHeaders

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
	strip   bool       // the option 82 that is there goes
	inform  bool       // one of ours is added

	private bool // there may be sub-options for protected hops alone
	built   [2]wrapped
	tooBig  bool // the message itself
	omitted bool // the option did not fit
}

// wrapped is the message for one class of servers; nil while it is not built.
type wrapped struct {
	payload  []byte
	withheld bool // sub-options were left out
}

// wrapFor is the message for one server, nil where it would be too big.
func (r *Relay) wrapFor(w *wrapping, peer *trust.Peer, eff *effect.Effects) []byte {
	protected := !w.private || peer.Protection == trust.ProtectionIPsec
	class := 0
	if protected {
		class = 1
	}
	b := &w.built[class]
	if b.payload == nil {
		b.payload, b.withheld = r.wrap(w, protected, eff)
	}
	switch {
	case b.payload == nil:
		w.tooBig = true
	case b.withheld:
		w.link.counters.SensitiveOmitted++
	}
	return b.payload
}

// wrap is the message as a server gets it. RFC 1542 section 4.1.1: giaddr is filled in
// where it is zero, hops is incremented, "All other BOOTP fields MUST be preserved intact".
func (r *Relay) wrap(w *wrapping, protected bool, eff *effect.Effects) (payload []byte, withheld bool) {
	start := len(eff.Arena)
	m := w.message
	if w.strip {
		eff.Arena = m.AppendWithoutAgentInformation(eff.Arena)
		stripped, err := dhcp4.ParseMessage(eff.Arena[start:])
		if err != nil {
			eff.Arena = eff.Arena[:start]
			return nil, false
		}
		m, start = stripped, len(eff.Arena)
	}
	b := eff.Arena
	if w.inform {
		b, withheld = r.appendInformed(b, w, m, protected)
	}
	if len(b) == start { // without the option, or it did not fit
		b, withheld = append(b, m.Bytes()...), false
		w.omitted = w.omitted || w.inform
	}
	if len(b)-start > maxPayload {
		eff.Arena = b[:start]
		return nil, false
	}
	out := b[start:len(b):len(b)]
	dhcp4.SetHops(out, m.Hops()+1)
	if w.giaddr.IsValid() {
		dhcp4.SetGIAddr(out, w.giaddr)
	}
	eff.Arena = b
	return out, withheld
}

// appendInformed appends the message with option 82 as its last option, or nothing where it
// does not fit.
func (r *Relay) appendInformed(b []byte, w *wrapping, m dhcp4.Message, protected bool) (_ []byte, withheld bool) {
	start := len(b)
	before, end, ok := m.Split()
	if !ok {
		return b, false
	}
	b = append(b, before...)
	b, mark := dhcp4.BeginAgentInformation(b)
	b, withheld = r.appendSubOptions(b, w, protected)
	b, err := dhcp4.EndAgentInformation(b, mark)
	b = append(b, end...)
	room := r.room
	if w.link.rule.MaxSize > 0 {
		room = w.link.rule.MaxSize
	}
	if err != nil || len(b)-start > room {
		return b[:start], false
	}
	return b, withheld
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

// appendSubOptions appends what this relay has been told to say; withheld reports whether
// there was something that is only for protected hops, and this is none.
func (r *Relay) appendSubOptions(b []byte, w *wrapping, protected bool) (_ []byte, withheld bool) {
	l, rule := w.link, w.link.rule
	var room [textRoom]byte
	f := r.facts(l)
	f.LinkLayer = linkaddr.From(w.message.CHAddr())
	if text := l.circuitID(room[:0], f); len(text) > 0 {
		b = dhcp4.AppendCircuitID(b, text)
	}
	if text := appendText(room[:0], l.port.RemoteID, rule.RemoteID, f); len(text) > 0 {
		if protected || !rule.SensitiveRemoteID {
			b = dhcp4.AppendRemoteID(b, text)
		} else {
			withheld = true
		}
	}
	if rule.LinkSelection && l.subnet.IsValid() { // RFC 3527 section 3
		b = dhcp4.AppendLinkSelection(b, l.subnet)
	}
	if text := appendText(room[:0], l.port.SubscriberID, rule.SubscriberID, f); len(text) > 0 {
		if protected {
			b = dhcp4.AppendSubscriberID(b, text)
		} else {
			withheld = true
		}
	}
	if rule.RelayFlags { // RFC 5010 section 4: in each option, however the message came
		b = dhcp4.AppendRelayFlags(b, flagsOf(w.packet))
	}
	if override := l.override(); rule.ServerIDOverride && override.IsValid() { // RFC 5107 section 4
		b = dhcp4.AppendServerIDOverride(b, override)
	}
	if rule.InsertRelayID && len(r.cfg.RelayID) > 0 { // RFC 6925 section 4
		b = dhcp4.AppendRelayID(b, r.cfg.RelayID)
	}
	if len(rule.AccessNetwork) > 0 {
		if protected {
			b = append(b, rule.AccessNetwork...)
		} else {
			withheld = true
		}
	}
	if port := r.cfg.SourcePort; port != 0 && port != dhcp4.ServerPort { // RFC 8357 section 5.1
		b = dhcp4.AppendSourcePort(b)
	}
	if rule.VSS != nil { // RFC 6607 section 5
		b = dhcp4.AppendVSSControl(dhcp4.AppendVSS(b, *rule.VSS))
	}
	return b, withheld
}

// override is the address at which clients of the link reach us.
func (l *link) override() netip.Addr {
	if l.own.IsValid() {
		return l.own
	}
	return l.Address()
}

func flagsOf(p *inbound.Packet) dhcp4.RelayFlags {
	if p.Dest != limitedBroadcast && !p.Framed {
		return dhcp4.RelayFlagUnicast
	}
	return 0
}
