package relay4

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// SetTrace starts, changes or (nil) ends tracing.
func (r *Relay) SetTrace(t *effect.Trace) { r.trace = t }

// traced is the note that each step of a message begins as; ok is false for a message that is
// not traced. There must be a Trace.
func (r *Relay) traced(l *link, m dhcp4.Message, source netip.Addr, who binding.Client) (n effect.Note, ok bool) {
	if r.trace.Link != "" && r.trace.Link != l.Name || r.trace.Client != "" && r.trace.Client != who.Identifier() {
		return n, false
	}
	return effect.Note{
		Kind: effect.NoteTrace, Link: l.Name, Reason: source.String(), Type: m.Type().String(), XID: m.XID(), Client: who,
	}, true
}

// traceStep notes one step of a client's message, if it is traced.
func (r *Relay) traceStep(eff *effect.Effects, l *link, p *inbound.Packet, m dhcp4.Message, step, peer string) {
	if r.trace == nil {
		return
	}
	if n, ok := r.traced(l, m, p.Source.Addr(), clientBy(clientIDOf(m), m)); ok {
		n.Text, n.Peer = step, peer
		eff.Note(n)
	}
}

// traceArrival notes that a client's message came, and what it asks for.
func (r *Relay) traceArrival(eff *effect.Effects, l *link, p *inbound.Packet, m dhcp4.Message) {
	if r.trace == nil {
		return
	}
	r.traceStep(eff, l, p, m, "received", "")
	if n, ok := r.traced(l, m, p.Source.Addr(), clientBy(clientIDOf(m), m)); ok && !named(m).IsUnspecified() {
		carries(eff, n, named(m), 0)
	}
}

// traceReply notes a step of a server's message to a client on a link.
func (r *Relay) traceReply(eff *effect.Effects, l *link, m dhcp4.Message, asked *asked, server *trust.Peer, step string) {
	if r.trace == nil {
		return
	}
	n, ok := r.traced(l, m, server.Address, r.whose(l, m, asked))
	if !ok {
		return
	}
	n.Text, n.Peer = step, server.Name
	eff.Note(n)
	if step == serverSays && !m.YIAddr().IsUnspecified() {
		b, _ := m.Options().Value(dhcp4.OptionLeaseTime, nil)
		t, _ := dhcp4.ParseLifetime(dhcp4.OptionLeaseTime, b)
		carries(eff, n, m.YIAddr(), t.Duration())
	}
}

// serverSays is the first step of a server's message.
const serverSays = "server says"

func carries(eff *effect.Effects, n effect.Note, a netip.Addr, lifetime time.Duration) {
	n.Text, n.Lease = "carries", &effect.TracedLease{Prefix: single(a), Preferred: lifetime, Valid: lifetime}
	eff.Note(n)
}

// traceEvents notes what became of leases by a server's message.
func (r *Relay) traceEvents(eff *effect.Effects, l *link, m dhcp4.Message, who binding.Client, server *trust.Peer) {
	if r.trace == nil {
		return
	}
	n, ok := r.traced(l, m, server.Address, who)
	if !ok {
		return
	}
	n.Peer = server.Name
	for i := range r.events {
		n.Text, n.Event = r.events[i].Kind.String(), r.events[i]
		eff.Note(n)
	}
}

// traceDrop notes that a datagram is dropped. One that is not whole is nobody's.
func (r *Relay) traceDrop(eff *effect.Effects, l *link, p *inbound.Packet, d effect.Drop) {
	if m, err := dhcp4.ParseMessage(p.Payload); err == nil {
		r.traceStep(eff, l, p, m, "dropped: "+d.String(), "")
	}
}
