// Package relay6 is the DHCPv6 relay agent's decisions: what becomes of each
// datagram, link event, operator's command and finished deed (RFC 8415 section
// 19, RFC 7283, RFC 8357, RFC 6221 as the layer above an LDRA, RFC 8987). It is
// a function of (state, event, now) to Effects: it opens no socket, reads no
// clock and logs nothing, and what leaves is ordered against what is kept and
// installed by the Effects' own type.
//
// A message's way: Handle takes it by type. From a client or a relay below it
// is wrapped and sent to the servers (forward.go); a Relay-reply is unwrapped
// and sent down (reply.go), after what it grants has become a Change (learn.go,
// package ledger). Messages are never altered: what is carried is the received
// octets.
//
// A Relay belongs to one goroutine.
package relay6

import (
	"maps"
	"slices"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/probing"
	"fairlead/internal/core/traffic"
	"fairlead/internal/wire/dhcp6"
)

// Relay is the relay agent's state.
type Relay struct {
	cfg    *Config
	bootID string

	links      *links.Registry[*link]
	gone       links.Gone[LinkCounters]
	reserved   reserved
	within     bool                         // what is judged is bounded by configuration
	mayNot     func(*delegation.Grant) bool // reservedFor
	covering   *ledger.Covering
	lost       map[string]*lostPrefixes // by link
	lostAt     instant.Instant          // when giveUpLost has something to do
	neighbours links.Neighbours
	releases   releases

	table *delegation.Table
	host  *hoststate.State
	peers peers.Peers

	ledger        *ledger.Ledger
	tracedChanges map[effect.ChangeID]tracedChange // what the messages wait for that are traced
	waiting       probing.Messages                 // Replies
	others        probing.Addresses

	traffic  traffic.Sum
	refusals [64]uint64 // by binding.Reason
	unicast  uint64     // Replies with a Server Unicast option
	trace    *effect.Trace
	before   *Relay          // that panicked, until what is kept is restored; nil: there was none
	events   []binding.Event // of one decision, reused
}

// New is a relay with a validated configuration, before it knows any link.
func New(cfg *Config, bootID string) *Relay {
	r := &Relay{
		bootID:        bootID,
		neighbours:    links.NewNeighbours(),
		releases:      newReleases(),
		table:         delegation.New(),
		host:          hoststate.New(),
		tracedChanges: make(map[effect.ChangeID]tracedChange),

		lost:   make(map[string]*lostPrefixes),
		lostAt: instant.Never,
	}
	r.links = links.NewRegistry(links.Role[*link]{
		Grade: grade, Chooses: r.choosesAddress, Leased: r.leasesOn,
		Changed: func(name string) { r.ledger.LackRecord(LinkKey(name)) },
	})
	r.covering = ledger.NewCovering(r.table.Table, r.host, ledger.Parts{Overlaps: r.reserved.overlaps, Within: r.reserved.prefixes})
	r.ledger = ledger.New(r.table.Table, r.host, ledger.Core{ForKernel: r.forKernel, Covering: r.covering, Record: r.linkValue}, binding.Relay6, bootID)
	r.reserved.reset()
	r.mayNot = r.reservedFor
	r.configure(cfg)
	return r
}

// Start asks for what the configuration wants of the host whatever its links
// are.
func (r *Relay) Start(eff *effect.Effects) {
	r.ledger.Install(r.host.SetAggregates(nil, r.cfg.Aggregates), eff)
}

func (r *Relay) configure(cfg *Config) {
	r.cfg = cfg
	r.peers.Configure(cfg.Peers, cfg.Forward)
	r.ledger.Configure(cfg.Records)
	r.reserved.configure(cfg)
}

// Reconfigure replaces the configuration. Delegations stay; what the new one
// means for links and for the kernel becomes Changes.
func (r *Relay) Reconfigure(cfg *Config, eff *effect.Effects) {
	r.configure(cfg)
	r.ledger.Install(r.host.SetAggregates(nil, cfg.Aggregates), eff)
	for _, name := range r.links.Names() {
		r.ledger.Install(r.applyRule(r.links.Named(name), nil, eff), eff)
	}
	for _, name := range slices.Sorted(maps.Keys(r.lost)) {
		if lost := r.lost[name]; lost.of.gone {
			lost.of.rule = r.Rule(name)
			r.ledger.Install(r.restake(nil, lost.of), eff)
		}
	}
	r.ledger.SetAbsentPolicies(r.setAbsentPolicy, eff)
	r.ledger.PutAnew(eff)
}

// setAbsentPolicy makes the kernel treat a link that has no interface now as the link's rule says.
func (r *Relay) setAbsentPolicy(ops []hoststate.Op, name string) []hoststate.Op {
	rule := r.Rule(name)
	if rule == nil {
		return r.host.SetPolicy(ops, name, nil)
	}
	host, _ := rule.resolve(&links.Link{Name: name})
	return r.host.SetPolicy(ops, name, &host)
}

// Handle decides on one received datagram.
func (r *Relay) Handle(now instant.Now, p *inbound.Packet, eff *effect.Effects) {
	l := r.links.At(p.Link)
	if l == nil {
		r.traffic.Discard(nil, "", p, effect.DropUnknownLink, eff)
		return
	}
	if len(p.Payload) == 0 {
		r.drop(l, p, effect.DropEmpty, eff)
		return
	}
	switch dhcp6.MessageType(p.Payload[0]) {
	case dhcp6.RelayReply:
		r.handleReply(now, l, p, eff)
	case dhcp6.RelayForward:
		r.traceArrival(eff, l, p.Source.Addr(), p.Payload, "received", "")
		r.handleRelayForward(now, l, p, eff)
	default:
		r.traceArrival(eff, l, p.Source.Addr(), p.Payload, "received", "")
		r.handleClient(now, l, p, eff)
	}
}

func (r *Relay) drop(l *link, p *inbound.Packet, d effect.Drop, eff *effect.Effects) {
	r.traffic.Discard(l.counts(), l.Name, p, d, eff)
	if r.trace != nil {
		r.traceStep(eff, l, p.Source.Addr(), p.Payload, "dropped: "+d.String(), "")
	}
}

// LastChange is the newest change there is.
func (r *Relay) LastChange() effect.ChangeID { return r.ledger.LastChange() }

// Settle takes in what became of a Change, once all datagrams of its Effects that
// name it have left or were given up. What the ledger returns as taken by another
// (effect.ErrTaken) is not looked at: nobody else writes into a relay's part of the store, so
// it is always empty. A server that shares its part with another has to decide on it again.
func (r *Relay) Settle(now instant.Now, o effect.Outcome, eff *effect.Effects) {
	if t, ok := r.tracedChanges[o.ID]; ok {
		delete(r.tracedChanges, o.ID)
		r.traceOutcome(eff, t, o)
	}
	r.ledger.Settle(now, o, eff)
}

// Deadline is when Tick has something to do.
func (r *Relay) Deadline() instant.Instant {
	return min(r.table.Deadline(), r.ledger.Deadline(), r.peers.Deadline(), r.links.LapseAt(), r.lostAt)
}

// Tick does what is due: it ends delegations whose valid lifetime has elapsed
// (RFC 8987 G-8), keeps again what the store had not got, and finds servers that
// have fallen silent.
func (r *Relay) Tick(now instant.Now, eff *effect.Effects) {
	r.links.Age(now.Boot)
	r.events = r.table.Expire(r.events[:0], now)
	r.ledger.CommitAll(now, r.events, eff)
	if r.links.LapseAt() <= now.Boot {
		r.links.Lapse(now, r.chooseAnew(eff))
	}
	if r.lostAt <= now.Boot {
		r.giveUpLost(now, eff)
	}
	r.ledger.Tick(now, eff)
	r.peers.Tick(now, eff)
}

// forKernel is what a delegation wants of the kernel.
func (r *Relay) forKernel(d *binding.Binding) hoststate.Delegation {
	var rule *LinkRule
	if l := r.links.Named(d.Link); l != nil && l.rule != nil {
		rule = l.rule
	} else {
		rule = r.Rule(d.Link)
	}
	return hoststate.Delegation{
		Link: d.Link, Prefix: d.Prefix, NextHop: d.NextHop, LinkLayer: d.LinkLayer, Line: d.Line,
		LoopExempt: rule != nil && rule.loopExempt(d.Client),
	}
}
