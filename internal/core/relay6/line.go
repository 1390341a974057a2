package relay6

import (
	"net/netip"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
)

// What a server grants on a point-to-point link is proved there as long as the link
// is the same line (hoststate.State.Line). A Reply proves it only for somebody who
// has spoken since the line began: one that was under way to the client of the line
// before comes to whoever has the interface now.

// speakers are clients that spoke on a line, the last first: mostly there is one.
type speakers [4]speaker

// speaker is a client. Its address alone does not tell it: two customers one after the
// other may choose the same.
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

// onLine takes note of which line a link is now.
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

// proof is g with the line that proves it: the line of the Reply or, if that has none, the
// line of the delegation that the table has already.
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
// server's word that it is still that client's.
func (r *Relay) Unproved(d *binding.Binding) bool { return r.host.Unproved(r.forKernel(d)) }

// resume makes a link what it was for the relay before, if that has panicked and the
// link is the same: then it is known who spoke there.
func (r *Relay) resume(l *link) {
	if was := r.sameLink(l); was != nil {
		l.spoke = was.spoke
	}
}

// sameLink is the link of the relay before that l is; nil if there is none.
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

// resumed is the line on which a delegation was proved for the relay before; 0 if
// it was not. What that relay granted to another client on this line, and had not kept,
// proves nothing for the client that is in the store.
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
