// Package server6 plays the DHCPv6 server: it puts the core, the sockets, the store and the
// operators' questions together.
package server6

import (
	"context"
	"crypto/rand"
	"runtime"
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
	"fairlead/internal/core/server6"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// Role is the DHCPv6 server.
func Role() role.Role {
	return role.Role{
		Section: config.Server6Kind(), Commands: cli.Server6(),
		New: func(h *role.House) role.Player { return newPlayer(h) },
	}
}

// player is all parts of the server.
type player struct {
	house  *role.House
	part   *kernel.Part
	rivals *network.Rivals
	inbox  *engine.Inbox
	server *server
	engine *engine.Engine[*server6.Server]
	book   *bindings.Book[*server6.Server]
	secret [32]byte // spreads leases over pools

	mu  sync.Mutex // guards cfg
	cfg *config.Config
}

var _ role.Player = (*player)(nil)

func newPlayer(h *role.House) *player {
	d := &player{house: h, part: h.Kernel.Part(config.DHCPv6), inbox: engine.NewInbox(), cfg: h.Config}
	once := notes.NewLimiter(h.Config.Log.Every)
	net := network.New(network.Options{Log: h.Told, Inbox: d.inbox, Family: network.IPv6, Classifier: network.Classifier6(h.Hops.May)})
	d.rivals = network.NewRivals(h.Told, network.IPv6, func() uint16 { return dhcp6.ServerPort })
	d.server = &server{
		net: net, lost: network.NewFailures(h.Told, once), build: d.buildCore,
		notes:  &notes.Notes{Log: h.Log, Privacy: h.Privacy, Feed: h.Feed, Hook: h.Hook, Once: once},
		prober: network.Prober{Log: h.Told, Once: once, Filter: h.Filter},
	}
	d.configure(h.Config)
	d.engine = engine.New(engine.Options[*server6.Server]{
		Log: h.Told, Privacy: h.Privacy, Role: d.server, Inbox: d.inbox, Store: h.History, Hosts: d.part.Hosts(), Kernel: h.Kernel, Links: h.Events,
	})
	d.book = bindings.NewBook(bindings.Options[*server6.Server]{
		Engine: d.engine, Level: &h.Level,
		Clients: func(id api.Identifier) []binding.Client { return []binding.Client{binding.DUID(id)} },
		Live: func(core *server6.Server, yield func(bindings.Living)) {
			for b := range core.Leases {
				yield(bindings.Living{Binding: b, Unproved: core.Unproved(&b)})
			}
		},
	})
	h.Bindings.AddLeases(d.book)
	return d
}

// section is the server's part of a configuration.
func section(c *config.Config) *config.Server6 { return c.Sections["server6"].(*config.Server6) }

func (d *player) configure(c *config.Config) {
	d.server.net.Configure(c.PeersOf(config.DHCPv6, "server6"), dhcp6.ServerPort)
}

// serverID is by which DUID clients know the server.
func (d *player) serverID(c *config.Config) dhcp6.DUID {
	if id := section(c).ServerID; id != nil {
		return id
	}
	return d.house.Identity.ID()
}

func (d *player) coreConfig(c *config.Config) *server6.Config {
	core := section(c).Core(c.Peers, d.serverID(c), d.secret, history.Records(c, d.house.Privacy))
	core.Aggregates = d.part.Aggregates(c)
	return &core
}

// secretKey is the key of the secret in the store.
var secretKey = append([]byte(binding.Server6), 's')

// readSecret reads the secret by which leases are spread, or makes and keeps one. With another
// secret clients who come back would get other leases.
func (d *player) readSecret() error {
	found := false
	err := d.house.Store.Scan(secretKey, append(secretKey[:len(secretKey):len(secretKey)], 0), func(_, v []byte) bool {
		found = copy(d.secret[:], v) == len(d.secret)
		return false
	})
	if err != nil || found {
		return err
	}
	rand.Read(d.secret[:])
	return d.house.Store.Commit([]store.Op{{Key: secretKey, Value: d.secret[:]}})
}

// buildCore is a core that knows the links and the leases that were kept, the successor of the
// one before.
func (d *player) buildCore(now instant.Now, eff *effect.Effects) (*server6.Server, error) {
	return kept.Build(d.house.Told, d.house.Store.Commit, eff, func() (*server6.Server, error) { return d.coreOf(now, eff) })
}

func (d *player) coreOf(now instant.Now, eff *effect.Effects) (*server6.Server, error) {
	if err := d.readSecret(); err != nil {
		return nil, err
	}
	core := server6.New(d.coreConfig(d.config()), d.house.BootID)
	if old := d.engine.Core; old != nil {
		core.Succeed(old)
	}
	core.SetTrace(d.book.Traced())
	all, err := d.house.Netlink.Snapshot()
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		d.server.net.Know(l)
		core.SetLink(l, eff)
	}
	k := kept.Reader{Log: d.house.Told, Scan: d.house.Store.Scan}
	lastWall, err := k.Clock()
	if err != nil {
		return nil, err
	}
	core.Restore(now, k.Bindings(binding.Server6), lastWall, eff)
	if k.Err != nil {
		return nil, k.Err
	}
	from, to := server6.RecordRange()
	return core, k.Scan(from, to, func(key, value []byte) bool {
		if err := core.RestoreRecord(now, key, value); err != nil {
			k.Odd(key, err)
		}
		return true
	})
}

// Restore has the core begin with what was kept.
func (d *player) Restore() (held map[string]int, err error) {
	var eff effect.Effects
	if d.engine.Core, err = d.buildCore(service.Now(), &eff); err != nil {
		return nil, err
	}
	d.engine.CarryOutNow(service.Now, &eff)
	d.engine.EndPast(service.Now, &eff)
	d.part.Restored(kernel.Of(d.engine))
	t := d.engine.Core.Totals()
	d.house.Told.Info("restored", "prefixes", t.Prefixes, "addresses", t.Addresses)
	return heldOn(d.engine.Core.Prospects(d.coreConfig(d.cfg))), nil
}

// heldOn are the leases by link.
func heldOn(links []server6.Prospect) map[string]int {
	held := make(map[string]int)
	for i := range links {
		if p := &links[i]; p.Prefixes+p.Addresses > 0 {
			held[p.Link] = p.Prefixes + p.Addresses
		}
	}
	return held
}

// Open begins.
func (d *player) Open(in engine.Receiver, out role.Sockets) {
	gated := network.Gated{Sockets: out, May: d.house.Hops.May}
	d.server.net.Open(gated)
	d.engine.Open(in, gated, runtime.GOMAXPROCS(0))
	d.server.LinksChanged(d.engine.Core)
	d.rivals.Soon()
}

// Inbox is where datagrams go.
func (d *player) Inbox() *engine.Inbox { return d.inbox }

// Hears reports whether a datagram is one of relay agents that the server hears.
func (d *player) Hears(m *udp.Datagram) bool {
	return len(m.Payload) > 0 && dhcp6.MessageType(m.Payload[0]) == dhcp6.RelayForward
}

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
func (d *player) Refused(x udp.Refusal) { d.server.refused.Take(x) }

// Routes are the server's paths.
func (d *player) Routes() []control.Route {
	return []control.Route{control.Look("/v1/server6", d.look), control.Change("reconfigure", d.reconfigure)}
}

// Collectors are the server's figures.
func (d *player) Collectors() []prometheus.Collector {
	return []prometheus.Collector{metrics.Server6(d.look)}
}

// Count fills in the server's peers.
func (d *player) Count(ctx context.Context, c *api.Counters) error {
	return d.engine.Call(ctx, func(now instant.Now, _ *effect.Effects) {
		c.Peers = append(c.Peers, control.PeersOf(d.config().PeersOf(config.DHCPv6, "server6"), d.engine.Core.Peers(now), d.house.Hops.States())...)
		c.Panics += d.engine.Panics()
		control.AddHostCounts(c, d.engine.Core.Kernel().Counts())
	})
}

// Judge adds what is not as it should be.
func (d *player) Judge(ctx context.Context, s *api.Status, _ *api.Counters) error {
	s.Degraded = append(s.Degraded, d.rivals.Trouble()...)
	if trouble := d.server.lost.Trouble(time.Now()); trouble != "" {
		s.Degraded = append(s.Degraded, trouble)
	}
	return d.engine.Call(ctx, func(instant.Now, *effect.Effects) {
		s.Degraded = append(s.Degraded, d.wrong()...)
		s.Server6 = totalsOf(d.engine.Core)
		s.Limits = append(s.Limits, control.LimitsOf(d.engine.Core.LimitsMet())...)
	})
}

// Prospect adds what another configuration would change.
func (d *player) Prospect(ctx context.Context, next *config.Config, r *api.ReloadResult) (held map[string]int, err error) {
	var links []server6.Prospect
	err = d.engine.Call(ctx, func(instant.Now, *effect.Effects) { links = d.engine.Core.Prospects(d.coreConfig(next)) })
	for _, p := range links {
		on := api.LinkHoldings{Link: p.Link, Prefixes: p.Prefixes, Addresses: p.Addresses}
		if c := role.LinkChange("server6", on, p.Now, p.Then, config.Served6Changed); c.Change != "" {
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
		d.server.LinksChanged(d.engine.Core)
	})
}

// Close has nothing to close.
func (d *player) Close() error { return nil }

func (d *player) config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// reconfigure has clients come back.
func (d *player) reconfigure(ctx context.Context, r api.ReconfigureRequest, who string) (done api.ReconfigureResult, err error) {
	by := map[string]dhcp6.MessageType{"": dhcp6.Renew, "renew": dhcp6.Renew, "rebind": dhcp6.Rebind, "information-request": dhcp6.InformationRequest}[r.Message]
	of := server6.Selected{Client: binding.DUID(r.Client), Within: r.Within, Link: r.Link}
	err = d.engine.Call(ctx, func(now instant.Now, eff *effect.Effects) {
		done = api.ReconfigureResult(d.engine.Core.Ask(now, of, by, eff))
	})
	d.house.Told.Info("clients asked to come back", "by", who, "asked", done.Asked)
	return done, err
}

// look is the server at a glance.
func (d *player) look(ctx context.Context) (v api.Server6, err error) {
	err = d.engine.Call(ctx, func(instant.Now, *effect.Effects) {
		v = viewOf(d.engine.Core)
		v.ServerID = api.Identifier(d.serverID(d.config()))
	})
	return v, err
}
