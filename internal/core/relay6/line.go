package relay6

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
)

// A grant on a point-to-point link is proved there as long as the link is the same line
// (hoststate.State.Line). A Reply proves its grants only for a client that has spoken since
// the line began: a Reply that was under way to the client of the previous line reaches the
// client of the present line.

// speakers are the clients that spoke on a line, the latest first. Mostly there is one.
type speakers [4]speaker

// speaker is a client. Its address alone does not identify it: two customers, one after the
// other, may choose the same address.
type speaker struct {
	addr netip.Addr
	duid string
}

func (s *speakers) add(a netip.Addr, duid []byte) {
	if s[0].addr == a && s[0].duid == string(duid) || len(duid) > maxDUID {
		return
	}
	copy(s[1:], s[:])
	s[0] = speaker{a, string(duid)}
}

// onLine takes note of the line that a link is now.
func (r *Relay) onLine(l *link) {
	if line := r.host.Line(l.Name); line != l.line {
		l.line, l.spoke = line, speakers{}
	}
}

// lineOf is the line that a Reply to a client proves what it grants on; 0: none.
func (l *link) lineOf(client netip.Addr, duid string) uint32 {
	if l.line == 0 || !slices.Contains(l.spoke[:], speaker{client, duid}) {
		return 0
	}
	return l.line
}

// proof returns the grant g with the line that proves it: the line of the Reply or, if the
// Reply has none, the line of the delegation that is in the table already.
func (r *Relay) proof(g delegation.Grant, l *link) delegation.Grant {
	if l.line == 0 || g.Line != 0 {
		return g
	}
	if d, ok := r.table.Lookup(g.VRF, g.Prefix); ok && d.Link == g.Link && d.Client == g.Client && d.NextHop == g.NextHop {
		g.Line = d.Line
	}
	return g
}

// Unproved reports whether a delegation waits, on a point-to-point link, for the
// server to confirm that the client still has it.
func (r *Relay) Unproved(d *binding.Binding) bool { return r.host.Unproved(r.forKernel(d)) }

// resume gives a link the state that it had in the relay that panicked, if the link is the
// same. The clients that spoke on it are then known.
func (r *Relay) resume(l *link) {
	if was := r.sameLink(l); was != nil {
		l.spoke = was.spoke
	}
}

// sameLink is the link that l was in the relay that panicked; nil if there is none.
func (r *Relay) sameLink(l *link) *link {
	if r.before == nil {
		return nil
	}
	was := r.before.links.Named(l.Name)
	if was == nil || was.Index != l.Index || was.CarrierDowns != l.CarrierDowns {
		return nil
	}
	return was
}

// resumed is the line on which a delegation was proved in the relay that panicked; 0 if it
// was not proved there. A grant of that relay to another client on this line, which was not
// kept, proves nothing for the client that is in the store.
func (r *Relay) resumed(d *binding.Binding) uint32 {
	l := r.links.Named(d.Link)
	if l == nil {
		return 0
	}
	was := r.sameLink(l)
	if was == nil {
		return 0
	}
	old, ok := r.before.table.Lookup(d.VRF, d.Prefix)
	if !ok || old.Link != d.Link || old.Client != d.Client || old.NextHop != d.NextHop || old.Line != was.line {
		return 0
	}
	return l.line
}
