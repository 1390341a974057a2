// Package relay4 is the DHCPv4 relay agent's decisions: what becomes of each datagram and
// of each link event (RFC 1542 section 4, RFC 2131, RFC 3046 and its sub-options). It is a
// function of (state, event, now) to Effects: it opens no socket, reads no clock and logs
// nothing.
//
// A message's way: Handle takes it by its op. What a client or a relay agent below us
// sends goes to the servers with giaddr, hops and, where we are told to, option 82
// (request.go). What a server sends goes to the client that it is for, on the link that
// giaddr, our circuit-id or the transaction tells, without the option that we added
// (reply.go). Every other octet is as it came. Whom servers have given which address is seen
// in passing, and kept (leases.go).
//
// A Relay belongs to one goroutine.
package relay4

import (
	"net/netip"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/core/links"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/traffic"
	"fairlead/internal/core/trust"
	"fairlead/internal/wire/dhcp4"
)

// Relay is the relay agent's state.
type Relay struct {
	cfg   *Config
	peers peers.Peers

	links *links.Registry[*link]
	gone  links.Gone[LinkCounters]
	users map[netip.Addr]users // client-facing links, by the giaddr that they use
	room  int                  // octets of UDP payload that all interfaces towards servers take

	pending pending
	joined  []byte // room for an option 82 that comes in parts

	bootID string
	table  *delegation.Table
	host   *hoststate.State
	ledger *ledger.Ledger
	mayNot func(*delegation.Grant) bool // reservedFor
	counts binding.Counts
	trace  *effect.Trace
	events []binding.Event // of one decision, reused

	traffic    traffic.Sum
	linkCounts LinkCounts // of all links that ever were
}

// link is one interface of the host, client-facing if a rule matches it.
type link struct {
	links.Entry // its identifier is its circuit-id, as far as that is the link's own
	rule        *LinkRule
	port        Port       // what the configuration says of it by name
	own         netip.Addr // the address that it has itself
	subnet      netip.Addr // of own, for RFC 3527
	policy      delegation.Policy
	line        uint32 // that a point-to-point link is; see hoststate.State.Line
	counters    LinkCounters
}

// users are the client-facing links that use one giaddr.
type users struct {
	links []*link
	// foreign says that others may have added option 82 on one of them, so that a circuit-id
	// in a reply need not be ours.
	foreign bool
}

// FacesClients reports whether clients are on the link.
func (l *link) FacesClients() bool { return l.rule != nil }

// New is a relay with a validated configuration, before it knows any link.
func New(cfg *Config, bootID string) *Relay {
	r := &Relay{
		users: make(map[netip.Addr]users), joined: make([]byte, 0, 2*dhcp4.MaxOptionLen),
		bootID: bootID, table: delegation.New(), host: hoststate.NewIPv4(),
	}
	r.ledger = ledger.New(r.table.Table, r.host, ledger.Core{ForKernel: forKernel}, binding.Relay4, bootID)
	r.mayNot = r.reservedFor
	r.links = links.NewRegistry(links.Role[*link]{
		Grade: grade, Chooses: r.chooses,
		Leased: func(string) bool { return false }, Changed: func(string) {},
	})
	r.configure(cfg)
	return r
}

func (r *Relay) configure(cfg *Config) {
	r.cfg = cfg
	r.peers.Configure(cfg.Peers, cfg.Forward)
	r.ledger.Configure(cfg.Records)
	r.measure()
}

// Reconfigure replaces the configuration. What the new one means for the kernel becomes
// Changes.
func (r *Relay) Reconfigure(cfg *Config, eff *effect.Effects) {
	r.configure(cfg)
	for _, name := range r.links.Names() {
		r.ledger.Install(r.applyRule(nil, r.links.Named(name)), eff)
	}
	r.ledger.SetAbsentPolicies(r.setPolicy, eff)
}

// Succeed makes r, which knows neither links nor leases yet, the successor of a relay that
// panicked. The leases come from the store.
func (r *Relay) Succeed(old *Relay) {
	r.ledger.Succeed(old.ledger)
	r.table.Succeed(old.table)
	r.trace, r.counts = old.trace, old.counts
	r.peers.Succeed(&old.peers)
	r.links.Succeed(old.links)
	r.pending, r.traffic, r.linkCounts = old.pending, old.traffic, old.linkCounts
	r.gone.Succeed(&old.gone, old.links.Names(), func(name string) LinkCounters { return old.links.Named(name).counters })
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
	m, err := dhcp4.ParseMessage(p.Payload)
	if err != nil || m.Type() == 0 && len(p.Payload) < dhcp4.MinBOOTPLen {
		// RFC 1542 section 2.1. DHCP has made messages of any length out of those of 300
		// octets (RFC 2131 section 2), but BOOTP has not.
		r.drop(l, p, effect.DropMalformed, eff)
		return
	}
	if m.Op() == dhcp4.BOOTRequest {
		r.handleRequest(now, l, p, m, eff)
	} else {
		r.handleReply(now, l, p, m, eff)
	}
}

func (r *Relay) drop(l *link, p *inbound.Packet, d effect.Drop, eff *effect.Effects) {
	r.traffic.Discard(l.counts(), l.Name, p, d, eff)
	if r.trace != nil {
		r.traceDrop(eff, l, p, d)
	}
}

// Settle takes in what became of a Change.
func (r *Relay) Settle(now instant.Now, o effect.Outcome, eff *effect.Effects) {
	r.ledger.Settle(now, o, eff)
}

// Probed and Unprobed have nothing to do: the relay asks nobody.
func (r *Relay) Probed(instant.Now, binding.Question, bool, *effect.Effects) {}

// Unprobed has nothing to do either.
func (r *Relay) Unprobed(instant.Now, binding.Question, *effect.Effects) {}

// Unkept is how many leases the store has not got as they are.
func (r *Relay) Unkept() int { return r.ledger.Progress().Unkept }

// Deadline is when Tick has something to do.
func (r *Relay) Deadline() instant.Instant {
	return min(r.table.Deadline(), r.ledger.Deadline(), r.peers.Deadline(), r.links.LapseAt())
}

// Tick does what is due: it ends leases whose time has come, keeps again what the store has
// not got, gives up addresses that are missing, and finds servers that have fallen silent.
func (r *Relay) Tick(now instant.Now, eff *effect.Effects) {
	r.links.Age(now.Boot)
	r.events = r.table.Expire(r.events[:0], now)
	r.commit(now, eff)
	r.ledger.Tick(now, eff)
	if r.links.LapseAt() <= now.Boot {
		r.links.Lapse(now, r.resolveAddress)
	}
	r.peers.Tick(now, eff)
}

// Unreachable takes in an error of the network about a message to a peer.
func (r *Relay) Unreachable(now instant.Now, address netip.Addr, index int, cause error, eff *effect.Effects) {
	r.peers.Unreachable(now, address, r.links.NameAt(index), cause, eff)
}

// Peers are all peers, in the order of the configuration.
func (r *Relay) Peers(now instant.Now) []peers.View { return r.peers.Views(now.Boot, r.links.NameAt) }

// Rule is the rule that makes the named link face clients; nil if it does not.
func (r *Relay) Rule(name string) *LinkRule { return r.ruleUnder(r.cfg, r.peers.Set, name) }

// ruleUnder is Rule under a configuration with these peers.
func (r *Relay) ruleUnder(cfg *Config, peers *trust.Set, name string) *LinkRule {
	return links.Rule(r.links, peers, cfg.Links, func(rule *LinkRule) []string { return rule.Match }, name)
}
