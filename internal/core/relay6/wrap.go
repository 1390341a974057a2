package relay6

import (
	"net/netip"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/links"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp6"
)

// maxPayload is the largest UDP payload over IPv6 without jumbograms.
const maxPayload = 65535 - 8

// header is what a new Relay-forward says of the message in it.
type header struct {
	hops           uint8
	link           netip.Addr
	client         netip.Addr
	message        []byte // the client's own where firstHop is set, else nil
	fromClient     bool   // the message is the client's own
	firstHop       bool   // lightweight relays alone stand between the client and us
	downstreamPort uint16 // of a relay below that does not use 547; else 0
}

// wrapping is one message on its way to the servers. What a Relay-forward says
// of the client may be for protected hops alone (RFC 8213 section 3), and some servers are
// asked what they assign to the client. So there are up to three of it; each is built when
// the first server needs it.
type wrapping struct {
	link   *link
	packet *inbound.Packet
	header header

	private bool // there may be options for protected hops alone
	asks    bool // servers may be asked what they assign to the client
	built   [3]wrapped
	tooBig  bool
}

// wrapped is one Relay-forward; nil while it is not built.
type wrapped struct {
	payload []byte
	omitted bool // options were left out
}

func (r *Relay) wrapping(l *link, p *inbound.Packet, h header) wrapping {
	describes := h.describes(l.rule)
	return wrapping{link: l, packet: p, header: h, private: describes && l.rule.sensitive(), asks: describes}
}

// describes reports whether we add options about the client: they are the first
// relay's to add (RFC 6939 section 4, RFC 7839 section 5).
func (h header) describes(rule *LinkRule) bool { return rule != nil && (h.fromClient || h.firstHop) }

// sensitive reports whether the rule has options for protected hops alone.
func (rule *LinkRule) sensitive() bool {
	return !rule.SubscriberID.IsEmpty() || len(rule.AccessNetwork) > 0 || rule.RemoteID != nil && rule.RemoteID.Sensitive
}

// wrapFor is the Relay-forward for one server, nil where it would be too big.
func (r *Relay) wrapFor(w *wrapping, peer *trust.Peer, eff *effect.Effects) []byte {
	protected := !w.private || peer.Protection == trust.ProtectionIPsec
	asks := w.asks && peer.Assignments
	class := 0
	switch {
	case asks:
		class = 2
	case protected:
		class = 1
	}
	b := &w.built[class]
	if b.payload == nil {
		b.payload, b.omitted = r.wrap(w, protected, asks, eff)
	}
	switch {
	case b.payload == nil:
		w.tooBig = true
	case b.omitted:
		w.link.counters.SensitiveOmitted++
	}
	return b.payload
}

func (r *Relay) wrap(w *wrapping, protected, asks bool, eff *effect.Effects) (payload []byte, omitted bool) {
	start := len(eff.Arena)
	b := dhcp6.AppendRelayHeader(eff.Arena, dhcp6.RelayForward, w.header.hops, w.header.link, w.packet.Source.Addr())
	b = r.appendOwn(b, w.link, w.header)
	if asks {
		b = dhcp6.AppendORO(b, r.cfg.AssignmentOption)
	}
	if w.header.describes(w.link.rule) {
		b, omitted = r.appendClient(b, w, protected)
	}
	if len(b)-start+4+len(w.packet.Payload) > maxPayload {
		return nil, false
	}
	b = dhcp6.AppendOption(b, dhcp6.OptionRelayMessage, w.packet.Payload)
	eff.Arena = b
	return b[start:len(b):len(b)], omitted
}

// textRoom is the length of texts up to which they need no memory of their own.
const textRoom = 128

// appendOwn adds what this relay has been told to say of itself.
func (r *Relay) appendOwn(b []byte, l *link, h header) []byte {
	var room [textRoom]byte
	if id := r.sentInterfaceID(l); id != "" {
		b = dhcp6.AppendInterfaceID(b, append(room[:0], id...))
	}
	if port := r.cfg.SourcePort; h.downstreamPort != 0 || port != 0 && port != dhcp6.ServerPort { // RFC 8357 section 5.2
		b = dhcp6.AppendRelayPort(b, dhcp6.RelayPort(h.downstreamPort))
	}
	if (l.rule == nil || l.rule.InsertRelayID) && len(r.cfg.RelayID) > 0 {
		b = dhcp6.AppendRelayID(b, r.cfg.RelayID)
	}
	return b
}

// appendClient adds what this relay has been told to say of the client, without
// what is only for protected hops where this one is not; omitted reports whether
// there was such.
func (r *Relay) appendClient(b []byte, w *wrapping, protected bool) (_ []byte, omitted bool) {
	l, p, rule := w.link, w.packet, w.link.rule
	var room [textRoom]byte
	f := links.Facts{Link: l.Link, Hostname: r.cfg.Hostname, LinkLayer: p.LinkLayer}
	if id := rule.RemoteID; id != nil {
		start := len(b)
		if text := id.ID.Append(room[:0], f); len(text) > 0 { // RFC 4649 section 3: one octet or more
			b = dhcp6.AppendRemoteID(b, dhcp6.RemoteID{EnterpriseNumber: id.EnterpriseNumber, ID: text})
		}
		if id.Sensitive && !protected {
			b, omitted = withhold(b, start, omitted)
		}
	}
	start := len(b)
	if text := rule.SubscriberID.Append(room[:0], f); len(text) > 0 { // RFC 4580 section 2: one octet or more
		b = dhcp6.AppendSubscriberID(b, text)
	}
	b = append(b, rule.AccessNetwork...)
	if !protected {
		b, omitted = withhold(b, start, omitted)
	}
	if rule.InsertLinkLayer && w.header.fromClient && p.LinkLayer.IsValid() {
		b = dhcp6.AppendClientLinkLayer(b, dhcp6.ClientLinkLayer{HardwareType: p.HardwareType, Address: p.LinkLayer.Append(room[:0])})
	}
	return b, omitted
}

// withhold takes away what was appended since start, and reports whether there
// was anything, now or before. A text that turns out empty was no option.
func withhold(b []byte, start int, before bool) ([]byte, bool) {
	return b[:start], before || len(b) > start
}
