// Package relay4 plays the DHCPv4 relay: it puts the core, the sockets, the store and the
// operators' questions together, and the kernel where a rule wants something of it.
package relay4

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/history"
	"fairlead/internal/app/kept"
	"fairlead/internal/app/kernel"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/process"
	"fairlead/internal/app/role"
	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay4"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
)

// Role is the DHCPv4 relay.
func Role() role.Role {
	return role.Role{
		Section: config.Relay4Kind(), Commands: cli.Relay4(),
		New: func(h *role.House) role.Player { return newPlayer(h) },
	}
}

// player is all parts of the relay.
type player struct {
	house  *role.House
	rivals *network.Rivals
	inbox  *engine.Inbox
	relay  *relay
	engine *engine.Engine[*relay4.Relay]
	book   *bindings.Book[*relay4.Relay]

	mu  sync.Mutex // guards cfg
	cfg *config.Config
}

var _ role.Player = (*player)(nil)

func newPlayer(h *role.House) *player {
	d := &player{house: h, inbox: engine.NewInbox(), cfg: h.Config}
	d.inbox.RefuseWhile(h.Identity.Missing, effect.DropNoToken)
	once := notes.NewLimiter(h.Config.Log.Every)
	net := network.New(network.Options{
		Log: h.Told, Inbox: d.inbox, Family: network.IPv4,
		Classifier: func(peers *trust.Set, inlets map[int]network.Inlet) engine.Classifier {
			waits := slices.ContainsFunc(section(d.config()).Links, func(rule relay4.LinkRule) bool { return rule.WantsKernel() })
			return &classifier{h.Hops.May, peers, inlets, waits}
		},
	})
	d.rivals = network.NewRivals(h.Told, network.IPv4, func() uint16 { return section(d.config()).SourcePort })
	d.relay = &relay{
		net: net, lost: network.NewFailures(h.Told, once), silent: d.rivals.Soon, build: d.buildCore,
		notes: &notes.Notes{Log: h.Log, Privacy: h.Privacy, Feed: h.Feed, Hook: h.Hook, Once: once},
	}
	d.configure(h.Config)
	d.engine = engine.New(engine.Options[*relay4.Relay]{
		Log: h.Told, Privacy: h.Privacy, Role: d.relay, Inbox: d.inbox, Store: h.History, Hosts: h.Kernel.Hosts(), Kernel: h.Kernel, Links: h.Events,
	})
	d.book = bindings.NewBook(bindings.Options[*relay4.Relay]{
		Engine: d.engine, Level: &h.Level, Clients: clients,
		Live: func(core *relay4.Relay, yield func(bindings.Living)) {
			for b := range core.Leases {
				yield(bindings.Living{Binding: b, Unproved: core.Unproved(&b)})
			}
		},
	})
	h.Bindings.AddLeases(d.book)
	return d
}

// clients are the clients that an identifier may name: one with that client identifier, and
// one without any whose hardware has that type (the first octet) and address.
func clients(id api.Identifier) []binding.Client {
	return []binding.Client{binding.ClientID(id), binding.Hardware(id[0], []byte(id[1:]))}
}

// section is the relay's part of a configuration.
func section(c *config.Config) *config.Relay4 { return c.Sections["relay4"].(*config.Relay4) }

func (d *player) configure(c *config.Config) {
	d.relay.net.Configure(c.PeersOf(config.DHCPv4, "relay4"), section(c).SourcePort)
}

// relayID is what sub-option 12 holds.
func (d *player) relayID(c *config.Config) []byte { return c.RelayID.InDHCPv4(d.house.Identity.ID()) }

func (d *player) coreConfig(c *config.Config) *relay4.Config {
	core := section(c).Core(c.Peers, d.relayID(c), d.house.Host)
	core.RequireRelayID = c.RelayID.Token
	core.Records = history.Records(c, d.house.Privacy)
	return &core
}

// buildCore is a core that knows the links and the leases that were kept, the successor of the
// one before.
func (d *player) buildCore(now instant.Now, eff *effect.Effects) (*relay4.Relay, error) {
	return kept.Build(d.house.Told, d.house.Store.Commit, eff, func() (*relay4.Relay, error) { return d.coreOf(now, eff) })
}

func (d *player) coreOf(now instant.Now, eff *effect.Effects) (*relay4.Relay, error) {
	core := relay4.New(d.coreConfig(d.config()), d.house.BootID)
	if old := d.engine.Core; old != nil {
		core.Succeed(old)
	}
	core.SetTrace(d.book.Traced())
	all, err := d.house.Netlink.Snapshot()
	if err != nil {
		return nil, err
	}
	for i := range all {
		l := all[i].ForIPv4()
		d.relay.net.Know(l)
		core.SetLink(l, eff)
	}
	k := kept.Reader{Log: d.house.Told, Scan: d.house.Store.Scan}
	lastWall, err := k.Clock()
	if err != nil {
		return nil, err
	}
	core.Restore(now, k.Bindings(binding.Relay4), lastWall, eff)
	return core, k.Err
}

// Restore has the core begin with what was kept, and brings the kernel to it.
func (d *player) Restore() (held map[string]int, err error) {
	var eff effect.Effects
	if d.engine.Core, err = d.buildCore(service.Now(), &eff); err != nil {
		return nil, err
	}
	d.engine.CarryOutNow(service.Now, &eff)
	d.engine.EndPast(service.Now, &eff)
	if err := d.house.Kernel.Restore(config.DHCPv4, kernel.Of(d.engine)); err != nil {
		return nil, err
	}
	t := d.engine.Core.Totals()
	d.house.Told.Info("restored", "leases", t.Leases)
	return heldOn(d.engine.Core.Prospects(d.coreConfig(d.cfg))), nil
}

// heldOn are the leases by link.
func heldOn(links []relay4.Prospect) map[string]int {
	held := make(map[string]int)
	for i := range links {
		if p := &links[i]; p.Leases > 0 {
			held[p.Link] = p.Leases
		}
	}
	return held
}

// Open begins.
func (d *player) Open(in engine.Receiver, out role.Sockets) {
	gated := network.Gated{Sockets: out, May: d.house.Hops.May}
	d.relay.net.Open(gated)
	d.engine.Open(in, gated, runtime.GOMAXPROCS(0))
	d.relay.LinksChanged(d.engine.Core)
	d.rivals.Soon()
}

// Inbox is where datagrams go.
func (d *player) Inbox() *engine.Inbox { return d.inbox }

// Hears reports whether a datagram is one of servers or of relay agents.
func (d *player) Hears(m *udp.Datagram) bool { return fromPeer(m.Payload) }

// Tasks are what runs.
func (d *player) Tasks() map[string]process.Task {
	tasks := map[string]process.Task{"rivals": d.rivals.Run}
	for name, run := range d.engine.Tasks() {
		tasks[name] = run
	}
	return tasks
}

// Done is closed when all that was decided has left.
func (d *player) Done() <-chan struct{} { return d.engine.Done() }

// Alive returns once the loop has answered.
func (d *player) Alive(ctx context.Context) error {
	return d.engine.Call(ctx, func(instant.Now, *effect.Effects) {})
}

// Refused is told what the network says of a message to a peer.
func (d *player) Refused(x udp.Refusal) { d.relay.refused.Take(x) }

// Routes are the relay's paths.
func (d *player) Routes() []control.Route {
	return []control.Route{
		control.Look("/v1/relay4", d.look),
	}
}

// Collectors are the relay's figures.
func (d *player) Collectors() []prometheus.Collector {
	return []prometheus.Collector{metrics.Relay4(d.look)}
}

// Count fills in who the relay is, and its peers.
func (d *player) Count(ctx context.Context, c *api.Counters) error {
	c.RelayIDv4 = api.Identifier(d.relayID(d.config()))
	return d.engine.Call(ctx, func(now instant.Now, _ *effect.Effects) {
		c.Peers = append(c.Peers, d.peers(now)...)
		c.Panics += d.engine.Panics()
		control.AddHostCounts(c, d.engine.Core.Kernel().Counts())
	})
}

// Judge adds what is not as it should be.
func (d *player) Judge(ctx context.Context, s *api.Status, _ *api.Counters) error {
	s.Degraded = append(s.Degraded, d.rivals.Trouble()...)
	if trouble := d.relay.lost.Trouble(time.Now()); trouble != "" {
		s.Degraded = append(s.Degraded, trouble)
	}
	return d.engine.Call(ctx, func(instant.Now, *effect.Effects) {
		s.Degraded = append(s.Degraded, d.wrong()...)
		s.Relay4 = totalsOf(linksOf(d.engine.Core, nil), countersOf(d.engine.Core))
		s.Relay4.Leases = d.engine.Core.Totals().Leases
		s.Limits = append(s.Limits, control.LimitsOf(d.engine.Core.LimitsMet())...)
	})
}

// Prospect adds what another configuration would change.
func (d *player) Prospect(ctx context.Context, next *config.Config, r *api.ReloadResult) (held map[string]int, err error) {
	var links []relay4.Prospect
	err = d.engine.Call(ctx, func(instant.Now, *effect.Effects) { links = d.engine.Core.Prospects(d.coreConfig(next)) })
	for _, p := range links {
		changed := func(now, then *relay4.LinkRule) []config.KeyChange { return config.Rule4Changed(p.Link, now, then) }
		if c := role.LinkChange("relay4", api.LinkHoldings{Link: p.Link, Addresses: p.Leases}, p.Now, p.Then, changed); c.Change != "" {
			r.Links = append(r.Links, c)
		}
	}
	return heldOn(links), err
}

// Reconfigure has a configuration hold.
func (d *player) Reconfigure(ctx context.Context, next *config.Config) error {
	return d.engine.Call(context.WithoutCancel(ctx), func(_ instant.Now, eff *effect.Effects) {
		d.mu.Lock()
		d.cfg = next
		d.mu.Unlock()
		d.engine.Core.Reconfigure(d.coreConfig(next), eff)
		d.engine.Core.SetTrace(d.book.Traced())
		d.configure(next)
		d.relay.LinksChanged(d.engine.Core)
	})
}

// Close has nothing to close.
func (d *player) Close() error { return nil }

func (d *player) config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// look is the relay at a glance.
func (d *player) look(ctx context.Context) (v api.Relay4, err error) {
	spoofed := d.house.Kernel.Spoofed()
	err = d.engine.Call(ctx, func(instant.Now, *effect.Effects) {
		v.RelayID = api.Identifier(d.relayID(d.config()))
		v.Links, v.Relay4Counters, v.Relay4Leases = linksOf(d.engine.Core, spoofed), countersOf(d.engine.Core), leasesOf(d.engine.Core)
	})
	return v, err
}

// peers are all peers; the loop calls it.
func (d *player) peers(now instant.Now) []api.Peer {
	return control.PeersOf(d.config().PeersOf(config.DHCPv4, "relay4"), d.engine.Core.Peers(now), d.house.Hops.States())
}
