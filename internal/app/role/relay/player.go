// Package relay plays the DHCPv6 relay: it puts the core, the kernel, the store and the
// operators' questions together, in the order that RFC 8987 S-1 asks for. What was kept
// is restored and installed before the process opens the first socket, and compared with
// what the kernel has as a whole after that.
//
// The engine drives the core, and calls on relay for what is the relay's own. The
// other parts only bring events. All of them end when their context does.
package relay

import (
	"context"
	"log/slog"
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/hook"
	"fairlead/internal/app/identity"
	"fairlead/internal/app/kernel"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/role"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
)

// Role is the DHCPv6 relay.
func Role() role.Role {
	return role.Role{
		Section: config.Relay6Kind(), Commands: cli.Relay(),
		New: func(h *role.House) role.Player { return newPlayer(h) },
	}
}

// player is all parts of the relay.
type player struct {
	log      *slog.Logger // those who watch are told of its warnings
	quiet    *slog.Logger // the same for what they are told of otherwise
	level    *slog.LevelVar
	bootID   string
	identity *identity.Identity
	host     string
	privacy  *privacy.Rules

	store         *store.Store
	keeper        keeper // to the store
	nl            *netlink.Conn
	nft           *nft.Table
	hops          *protect.Supervisor
	rivals        *network.Rivals
	foreign       *foreignRoutes
	inbox         *engine.Inbox
	relay         *relay
	refusedGrants refusedGrants
	engine        *engine.Engine[*relay6.Relay]
	hook          *hook.Runner
	feed          *control.Feed
	kernel        *kernel.Kernel
	book          *bindings.Book[*relay6.Relay]

	mu  sync.Mutex // guards cfg
	cfg *config.Config
}

var (
	_ role.Player     = (*player)(nil)
	_ control.Backend = (*player)(nil)
)

func newPlayer(h *role.House) *player {
	d := &player{
		log: h.Told, quiet: h.Log, level: &h.Level, bootID: h.BootID, identity: h.Identity, host: h.Host, privacy: h.Privacy,
		store: h.Store, nl: h.Netlink, nft: h.Filter, hops: h.Hops, hook: h.Hook, feed: h.Feed,
		kernel: h.Kernel, cfg: h.Config,
	}
	once := notes.NewLimiter(d.cfg.Log.Every)
	fails := network.NewFailures(d.log, once)
	d.inbox = engine.NewInbox()
	d.inbox.RefuseWhile(h.Identity.Missing, effect.DropNoToken)
	net := network.New(network.Options{
		Log: d.log, Inbox: d.inbox, Family: network.IPv6,
		Classifier: network.Classifier6(d.hops.May),
	})
	net.Configure(d.cfg.PeersOf(config.DHCPv6, "relay6"), section(d.cfg).SourcePort)
	d.rivals = network.NewRivals(d.log, network.IPv6, func() uint16 { return section(d.config()).SourcePort })
	d.foreign = &foreignRoutes{d: d}
	told := &notes.Notes{Log: d.quiet, Privacy: d.privacy, Feed: d.feed, Hook: d.hook, Once: once, Happened: d.refusedGrants.take}
	d.relay = &relay{
		net: net, lost: fails, build: d.buildCore, probe: d.answers, routed: d.foreign.watchRouted,
		notes:  told,
		silent: d.rivals.Soon,
	}
	d.keeper.to = h.History
	d.engine = engine.New(engine.Options[*relay6.Relay]{
		Log: d.log, Privacy: d.privacy, Role: d.relay, Inbox: d.inbox, Store: &d.keeper, Hosts: d.kernel.Hosts(), Kernel: d.kernel, Links: h.Events,
	})
	d.book = bindings.NewBook(bindings.Options[*relay6.Relay]{
		Engine: d.engine, Level: d.level, Block: (*relay6.Relay).Block,
		Clients: clients,
		Live: func(core *relay6.Relay, yield func(bindings.Living)) {
			for b := range core.Delegations {
				yield(bindings.Living{Binding: b, Unproved: core.Unproved(&b)})
			}
		},
	})
	h.Bindings.Add(d.book)
	return d
}

// section is the relay's part of a configuration.
func section(c *config.Config) *config.Relay6 { return c.Sections["relay6"].(*config.Relay6) }

// Restore brings the kernel to what was kept.
func (d *player) Restore() (held map[string]int, err error) {
	if err := d.restore(); err != nil {
		return nil, err
	}
	if lost := unmatched(d.engine.Core.Unmatched()); len(lost) > 0 {
		d.log.Warn("no rule matches links with delegations: these have neither routes nor filters", "links", api.HoldingsText(lost))
	}
	return heldOn(d.engine.Core.Prospects(d.coreConfig(d.cfg))), nil
}

// Open begins with what was restored.
func (d *player) Open(in engine.Receiver, out role.Sockets) {
	gated := network.Gated{Sockets: out, May: d.hops.May}
	d.relay.net.Open(gated)
	d.engine.Open(in, gated, runtime.GOMAXPROCS(0))
	d.relay.LinksChanged(d.engine.Core)
	d.rivals.Soon()
}

// Tasks are what runs.
func (d *player) Tasks() map[string]process.Task {
	tasks := map[string]process.Task{
		"rivals": d.rivals.Run, "foreign": d.foreign.run,
	}
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

// Inbox is where datagrams go.
func (d *player) Inbox() *engine.Inbox { return d.inbox }

// Hears reports whether a datagram is one of relay agents or servers.
func (d *player) Hears(m *udp.Datagram) bool { return network.FromRelayOrServer(m.Payload) }

// Refused is told what the network says of a message to a peer.
func (d *player) Refused(x udp.Refusal) { d.relay.refused.Take(x) }

// Routes are the relay's paths.
func (d *player) Routes() []control.Route { return control.Relay(d) }

// Collectors are none: all of the relay's figures are in api.Counters.
func (d *player) Collectors() []prometheus.Collector { return nil }

// Close closes what the relay has opened for itself.
func (d *player) Close() error { return d.foreign.Close() }

func (d *player) config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}
