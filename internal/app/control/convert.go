package control

import (
	"maps"
	"net/netip"
	"strings"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/traffic"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/nft"
	"fairlead/internal/wire/dhcp6"
)

// DelegationOf makes the present state of a delegation.
func DelegationOf(d *binding.Binding, now instant.Now) api.Delegation {
	return api.Delegation{
		Prefix: d.Prefix, Kind: d.Kind.String(), Link: d.Link, VRF: d.VRF,
		Client: api.Identifier(d.Client.Identifier()), IAID: api.IAID{ID: d.IAID, Known: !d.NoIAID}, NextHop: d.NextHop, LinkLayer: d.LinkLayer.String(),
		Preferred: api.Lifetime(now.Until(d.Preferred)), Valid: api.Lifetime(now.Until(d.Valid)),
		Expires: now.WallAt(d.Valid), Lifetime: api.Lifetime(d.Lifetime),
		Server: d.Server, Source: d.Source.String(), Granted: d.Granted, Changed: d.Changed,
	}
}

// HistoryOf makes the entry of a delegation that has ended. For a delegation that has not, ended
// is zero and reason is empty.
func HistoryOf(d *binding.Binding, ended time.Time, reason string) api.HistoryEntry {
	return api.HistoryEntry{
		Prefix: d.Prefix, Kind: d.Kind.String(), Link: d.Link, VRF: d.VRF,
		Client: api.Identifier(d.Client.Identifier()), IAID: api.IAID{ID: d.IAID, Known: !d.NoIAID}, NextHop: d.NextHop, Server: d.Server,
		Granted: d.Granted, Ended: ended, Reason: reason,
	}
}

// LimitsOf makes the limits that somebody has run into.
func LimitsOf(all []delegation.LimitMet) []api.LimitMet {
	limits := make([]api.LimitMet, 0, len(all))
	for _, l := range all {
		limits = append(limits, api.LimitMet{
			Limit: l.Reason.String(), Link: l.Link, Client: api.Identifier(l.Client.Identifier()), LinkLayer: l.Host.String(), Last: l.Last, Times: l.Times,
		})
	}
	return limits
}

// LinkOf makes a link with its counters.
func LinkOf(v *relay6.LinkView) api.Link {
	addrs := make([]netip.Prefix, len(v.Addrs))
	copy(addrs, v.Addrs)
	return api.Link{
		Name: v.Name, Index: v.Index, ClientFacing: v.ClientFacing, Up: v.Up, Running: v.Running,
		PointToPoint: v.PointToPoint, Shared: v.Shared, Trusted: v.Trusted, MTU: v.MTU,
		LinkLayer: v.LinkLayer.String(), VRF: v.VRF, Table: v.Table, Addresses: addrs,
		LinkAddress: v.LinkAddress, LinkAddressMissing: v.Missing, InterfaceID: v.InterfaceID,
		LinkFigures: api.LinkFigures(v.LinkFigures), Use: api.Use(v.Use), Counters: LinkCountersOf(&v.Counters),
	}
}

// SpoofedOf is the source of the last packet that was dropped for its source; nil if there was
// none lately.
func SpoofedOf(s *nft.Spoofed, now time.Time) *api.SpoofedSource {
	if !s.Source.IsValid() {
		return nil
	}
	return &api.SpoofedSource{Source: s.Source, LinkLayer: s.LinkLayer.String(), Seen: now.Add(-s.Ago)}
}

// LinkCountersOf leaves out what is 0.
func LinkCountersOf(c *relay6.LinkCounters) api.LinkCounters {
	return api.LinkCounters{
		Received: byType(&c.Received), Delivered: byType(&c.Sent),
		Drops: DropsOf(&c.Drops), LinkCounts: api.LinkCounts(c.LinkCounts),
	}
}

// TrafficOfAll are the figures of the whole process, those that are 0 included.
func TrafficOfAll(t *relay6.Totals) api.TrafficCounts {
	return api.TrafficCounts{
		Received: allTypes(&t.Traffic.Received), Delivered: allTypes(&t.Traffic.Sent), Drops: AllDrops(&t.Traffic.Drops),
		Refusals: t.Refusals,
	}
}

func byType(counts *[traffic.Types]uint64) map[string]uint64 { return NonZero(allTypes(counts)) }

func allTypes(counts *[traffic.Types]uint64) map[string]uint64 {
	m := make(map[string]uint64)
	for t, n := range counts {
		m[TypeName(dhcp6.MessageType(t))] += n
	}
	return m
}

// NonZero removes the entries of m that are 0, and returns m.
func NonZero(m map[string]uint64) map[string]uint64 {
	maps.DeleteFunc(m, func(_ string, n uint64) bool { return n == 0 })
	return m
}

// TypeName is the name of a message type in lower case, or "other".
func TypeName(t dhcp6.MessageType) string {
	if name := t.String(); !strings.HasPrefix(name, "message type") {
		return strings.ToLower(name)
	}
	return "other"
}

// DropsOf counts discarded datagrams by reason, without the reasons that are 0.
func DropsOf(counts *[effect.DropCount]uint64) map[string]uint64 { return NonZero(AllDrops(counts)) }

// AllDrops counts discarded datagrams by reason, with the reasons that are 0.
func AllDrops(counts *[effect.DropCount]uint64) map[string]uint64 {
	m := make(map[string]uint64)
	for d, n := range counts {
		m[effect.Drop(d).String()] = n
	}
	return m
}

// PeersOf makes the peers in the order of the configuration, from what a core has seen of each
// and from the states of all hops.
func PeersOf(of []trust.Peer, views []peers.View, all []hop.State) []api.Peer {
	found := make([]api.Peer, 0, len(views))
	for i := range views {
		found = append(found, PeerOf(&of[i], &views[i], all))
	}
	return found
}

// PeerOf makes a peer from its configuration, from what has passed, and from those of all hops
// that are its own.
func PeerOf(p *trust.Peer, v *peers.View, all []hop.State) api.Peer {
	peer := api.Peer{
		PeerProtection: ProtectionOf(p, all), Address: p.Address, Prefix: p.Prefix, Local: p.Local, Interfaces: append([]string{}, p.Interfaces...),
		PeerCounters: api.PeerCounters(v.Counters), Answered: v.Answered, Preferred: v.Preferred,
		SilentSince: v.Silent, FailedAt: v.FailedAt,
	}
	if v.Failure != nil {
		peer.Failure = v.Failure.Error()
	}
	for _, w := range v.Waiting {
		peer.Waiting = append(peer.Waiting, api.Waiting{Link: w.Link, Source: w.Source, LinkLayer: w.LinkLayer.String(), For: api.Lifetime(w.For), Messages: w.Messages})
	}
	if p.Zone != "" {
		peer.Address = p.Address.WithZone(p.Zone)
	}
	if v.LastType != nil {
		peer.LastType = v.LastType.String()
	}
	return peer
}

// TotalsOf makes the relay's own figures.
func TotalsOf(t *relay6.Totals) api.Totals {
	totals := api.Totals{Figures: api.Figures(t.Figures), Progress: api.Progress(t.Progress)}
	for _, n := range t.Traffic.Unknown {
		totals.UnknownDrops += n
	}
	for _, n := range t.Refusals {
		totals.Refusals += n
	}
	return totals
}

// ClockOf makes the kernel's answer about its clock, or tells why there is none.
func ClockOf(s clock.Status, err error) api.ClockStatus {
	if err != nil {
		return api.ClockStatus{Clock: api.Clock{State: "unknown"}, Error: err.Error()}
	}
	return api.ClockStatus{Clock: api.Clock(s)}
}

// OrphanOf makes a prefix or address that is routed and that the store does not explain. Whose it
// is is not known.
func OrphanOf(l *hoststate.Delegation, vrf string, end instant.Instant, now instant.Now) api.Delegation {
	d := binding.Binding{
		NoIAID: true, Prefix: l.Prefix, Link: l.Link, VRF: vrf, NextHop: l.NextHop, LinkLayer: l.LinkLayer, Preferred: end, Valid: end,
	}
	if l.Prefix.IsSingleIP() {
		d.Kind = binding.Address
	}
	shown := DelegationOf(&d, now)
	shown.Source = api.SourceKernel
	return shown
}

// EventOf makes an event from a note of the core.
func EventOf(n *effect.Note, now instant.Now) api.Event {
	e := api.Event{
		Time: now.Wall, Kind: n.Kind.String(), Text: n.Text, Link: n.Link, Peer: n.Peer,
		Client: api.Identifier(n.Client.Identifier()), IAID: n.IAID, Type: n.Type, XID: api.XID(n.XID), Reason: n.Reason,
	}
	if n.Err != nil {
		e.Error = n.Err.Error()
	}
	if n.Lease != nil {
		e.Carries = carried(n.Lease)
	}
	if n.Pool != nil {
		pool := api.Server6Pool(*n.Pool)
		e.Pool = &pool
	}
	if n.Event.Kind == 0 {
		return e
	}
	e.Detail = n.Event.Detail
	subject := DelegationOf(n.Event.Subject(), now)
	e.Delegation = &subject
	if n.Event.Kind == binding.Extended || n.Event.Kind == binding.Moved {
		previous := DelegationOf(&n.Event.Old, now)
		e.Previous = &previous
	}
	return e
}

func carried(l *effect.TracedLease) *api.Carried {
	c := &api.Carried{IAID: api.IAID{ID: l.IAID, Known: l.IA != 0}, Prefix: l.Prefix, Preferred: api.Lifetime(l.Preferred), Valid: api.Lifetime(l.Valid)}
	switch l.IA {
	case dhcp6.OptionIAPD:
		c.IA = "IA_PD"
	case dhcp6.OptionIANA:
		c.IA = "IA_NA"
	}
	if l.StatusSet {
		c.Status = l.Status.String()
	}
	return c
}

// BlockOf makes the operators' form of a block.
func BlockOf(b delegation.Block) api.Block {
	return api.Block{Prefix: b.Prefix, Client: api.Identifier(b.Client.DUID()), Link: b.Link}
}

// CoreBlock makes the core's form of a block.
func CoreBlock(b api.Block) delegation.Block {
	return delegation.Block{Prefix: b.Prefix, Client: binding.DUID(b.Client), Link: b.Link}
}

// AddHostCounts adds what one role wants of the kernel.
func AddHostCounts(c *api.Counters, more hoststate.Counts) {
	h := &c.Host
	h.Links = max(h.Links, more.Links) // the roles have the same links
	h.Delegations += more.Delegations
	h.Routes += more.Routes
	h.StandIns += more.StandIns
	h.Elements += more.Elements
	h.Refused += more.Refused
	h.Unproved += more.Unproved
	h.Orphans += more.Orphans
}
