package relay6

import (
	"net/netip"

	"fairlead/internal/wire/dhcp6"
)

// Trace selects the messages whose steps become notes: those of a client DUID,
// or those of a link.
type Trace struct {
	Client string // DUID, its octets
	Link   string
}

// SetTrace starts, changes or (nil) ends tracing.
func (r *Relay) SetTrace(t *Trace) { r.trace = t }

func (r *Relay) traceStep(eff *Effects, l *link, source netip.Addr, client string, payload []byte, step string) {
	if r.trace.Link != "" && r.trace.Link != l.Name {
		return
	}
	n := Note{Kind: NoteTrace, Link: l.Name, Client: client, Text: step, Reason: source.String()}
	if inner := innermost(payload); len(inner) > 0 {
		n.Type = dhcp6.MessageType(inner[0])
		if m, err := dhcp6.ParseMessage(inner); err == nil {
			n.XID = m.TransactionID()
			if d, ok := m.ClientID(); ok {
				n.Client = string(d)
			}
		}
	}
	if r.trace.Client == "" || r.trace.Client == n.Client {
		eff.note(n)
	}
}

// innermost takes all relay layers off a message.
func innermost(b []byte) []byte {
	for range 2 * dhcp6.HopCountLimit {
		if len(b) == 0 || !dhcp6.MessageType(b[0]).IsRelay() {
			return b
		}
		m, err := dhcp6.ParseRelay(b)
		if err != nil {
			return b
		}
		inner, ok := m.Inner()
		if !ok {
			return b
		}
		b = inner
	}
	return b
}
