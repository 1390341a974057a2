package role

import (
	"context"
	"maps"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/kept"
	"fairlead/internal/app/kernel"
	"fairlead/internal/app/network"
	"fairlead/internal/app/notes"
	"fairlead/internal/app/process"
	"fairlead/internal/app/service"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/peers"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/udp"
)

// Core is the core of a role with peers, links and bindings.
type Core interface {
	bindings.Core
	network.Core
	kernel.Core
	Peers(now instant.Now) []peers.View
	LimitsMet() []delegation.LimitMet
}

// Base has the parts that all players with a core have in common: the engine, the network, the
// book, and the configuration that holds. A player embeds it.
type Base[C Core] struct {
	House  *House
	Part   *kernel.Part // of the kernel
	Engine *engine.Engine[C]
	Rivals *network.Rivals
	Book   *bindings.Book[C] // made by the player

	options Options[C]
	inbox   *engine.Inbox

	mu  sync.Mutex // guards cfg
	cfg *config.Config
}

// Options say how the Base of a role differs from that of others.
type Options[C Core] struct {
	Name       string // of the role
	Family     config.Family
	Group      netip.Addr // of servers, if the role is one (network.Options)
	Role       engine.Role[C]
	Side       *network.Side[C] // of Role; its Inlets are set
	Store      engine.Keeper
	Core       func(now instant.Now, eff *effect.Effects) (C, error) // from the store, the successor of the one before
	SourcePort func(*config.Config) uint16                           // from which we speak to servers
	Classifier func(of *trust.Set, inlets map[int]network.Inlet) engine.Classifier
}

// Begin makes the parts of a Base, and those of the role's Side.
func (b *Base[C]) Begin(h *House, o Options[C]) {
	b.House, b.Part, b.options, b.cfg, b.inbox = h, h.Kernel.Part(o.Family), o, h.Config, engine.NewInbox()
	family := network.IPv6
	if o.Family == config.DHCPv4 {
		family = network.IPv4
	}
	once := notes.NewLimiter(h.Config.Log.Every)
	b.Rivals = network.NewRivals(h.Told, family, func() uint16 { return o.SourcePort(b.Config()) })
	o.Side.Net = network.New(network.Options{Log: h.Told, Inbox: b.inbox, Family: family, Group: o.Group, Classifier: o.Classifier})
	o.Side.Lost = network.NewFailures(h.Told, once)
	o.Side.Notes = &notes.Notes{Log: h.Log, Privacy: h.Privacy, Feed: h.Feed, Hook: h.Hook, Once: once}
	o.Side.Prober = network.Prober{Log: h.Told, Once: once, Filter: h.Filter}
	o.Side.Silent = b.Rivals.Soon
	o.Side.Make = func(now instant.Now, eff *effect.Effects) (C, error) {
		return kept.Build(h.Told, h.Store.Commit, eff, func() (C, error) { return o.Core(now, eff) })
	}
	b.configure(h.Config)
	b.Engine = engine.New(engine.Options[C]{
		Log: h.Told, Privacy: h.Privacy, Role: o.Role, Inbox: b.inbox, Store: o.Store, Hosts: b.Part.Hosts(), Kernel: h.Kernel, Links: h.Events,
	})
}

func (b *Base[C]) configure(c *config.Config) {
	b.options.Side.Net.Configure(c.PeersOf(b.options.Family, b.options.Name), b.options.SourcePort(c))
}

// Recall makes a core from what was kept, and has it keep orphans if the store does not explain
// the kernel. The kernel is brought to it later.
func (b *Base[C]) Recall() (err error) {
	var eff effect.Effects
	if b.Engine.Core, err = b.options.Side.Make(service.Now(), &eff); err != nil {
		return err
	}
	b.Engine.CarryOutNow(service.Now, &eff)
	b.Engine.EndPast(service.Now, &eff)
	if why, until := b.House.Kernel.Unexplained(); why != "" {
		b.Engine.Core.Kernel().AdoptLeftOver(until)
	}
	b.Part.Restored(kernel.Of(b.Engine))
	return nil
}

// TellLinks tells a new core, and the network, of all links.
func (b *Base[C]) TellLinks(core C, eff *effect.Effects) error {
	all, err := b.House.Netlink.Snapshot()
	for i := range all {
		b.options.Role.LinkChanged(core, netlink.Event{Link: &all[i]}, eff)
	}
	return err
}

// Config is the configuration that holds.
func (b *Base[C]) Config() *config.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cfg
}

// Hold has a configuration hold. The loop calls core, which gives it to the core.
func (b *Base[C]) Hold(ctx context.Context, next *config.Config, core func(eff *effect.Effects)) error {
	return b.Engine.Call(context.WithoutCancel(ctx), func(_ instant.Now, eff *effect.Effects) {
		b.mu.Lock()
		b.cfg = next
		b.mu.Unlock()
		core(eff)
		b.Engine.Core.SetTrace(b.Book.Traced())
		b.configure(next)
		b.options.Role.LinksChanged(b.Engine.Core)
	})
}

// AddCounts fills in the figures that all roles have. The loop calls it.
func (b *Base[C]) AddCounts(now instant.Now, c *api.Counters) {
	peers := b.Config().PeersOf(b.options.Family, b.options.Name)
	c.Peers = append(c.Peers, control.PeersOf(peers, b.Engine.Core.Peers(now), b.House.Hops.States())...)
	c.Panics += b.Engine.Panics()
	kernel := b.Engine.Core.Kernel()
	counts := kernel.Counts()
	control.AddHostCounts(c, counts)
	if counts.Orphans > 0 {
		c.Host.OrphansEnd = now.WallAt(kernel.OrphansEnd())
	}
}

// AddTrouble adds what any role may know to be wrong. match are the names and globs of the rules
// for links. The loop calls it.
func (b *Base[C]) AddTrouble(s *api.Status, match []string) {
	side := b.options.Side
	s.Limits = append(s.Limits, control.LimitsOf(b.Engine.Core.LimitsMet())...)
	s.Degraded = append(s.Degraded, b.Rivals.Trouble()...)
	if trouble := side.Lost.Trouble(time.Now()); trouble != "" {
		s.Degraded = append(s.Degraded, trouble)
	}
	s.Degraded = append(s.Degraded, side.Net.Muted()...)
	s.Degraded = append(s.Degraded, side.Net.Absent(b.options.Name, match)...)
}

// Open begins with what was restored.
func (b *Base[C]) Open(in engine.Receiver, out Sockets) {
	gated := network.Gated{Sockets: out, May: b.House.Hops.May}
	b.options.Side.Net.Open(gated)
	b.Engine.Open(in, gated, runtime.GOMAXPROCS(0))
	b.options.Role.LinksChanged(b.Engine.Core)
	b.Rivals.Soon()
}

// Inbox is where datagrams go.
func (b *Base[C]) Inbox() *engine.Inbox { return b.inbox }

// Tasks are those of the engine, and the look for rivals.
func (b *Base[C]) Tasks() map[string]process.Task {
	tasks := map[string]process.Task{"rivals": b.Rivals.Run}
	maps.Copy(tasks, b.Engine.Tasks())
	return tasks
}

// Done is closed when all has left that was decided before the end.
func (b *Base[C]) Done() <-chan struct{} { return b.Engine.Done() }

// Alive returns once the loop has answered.
func (b *Base[C]) Alive(ctx context.Context) error {
	return b.Engine.Call(ctx, func(instant.Now, *effect.Effects) {})
}

// Refused is told what the network says of a message to a peer.
func (b *Base[C]) Refused(x udp.Refusal) { b.options.Side.Refused.Take(x) }

// Close has nothing to close.
func (b *Base[C]) Close() error { return nil }
