// Package relay4 plays the DHCPv4 relay. It connects the core, the sockets, the store and the
// operators' questions, and the kernel where a rule needs it.
package relay4

import (
	"context"
	"iter"
	"slices"
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
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/network"
	"fairlead/internal/app/role"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
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

// player has all parts of the relay.
type player struct {
	role.Base[*relay4.Relay]
	relay *relay
}

var _ role.Player = (*player)(nil)

func newPlayer(h *role.House) *player {
	d := new(player)
	d.relay = &relay{network.Side[*relay4.Relay]{Inlets: inlets}}
	d.Begin(h, role.Options[*relay4.Relay]{
		Name: "relay4", Family: config.DHCPv4, Role: d.relay, Side: &d.relay.Side, Store: h.History, Core: d.coreOf,
		SourcePort: func(c *config.Config) uint16 { return section(c).SourcePort },
		Classifier: func(peers *trust.Set, inlets map[int]network.Inlet) engine.Classifier {
			waits := slices.ContainsFunc(section(d.Config()).Links, func(rule relay4.LinkRule) bool { return rule.WantsKernel() })
			return &classifier{h.Hops.May, peers, inlets, waits}
		},
	})
	d.Inbox().RefuseWhile(h.Identity.Missing, effect.DropNoToken)
	d.Book = bindings.NewBook(bindings.Options[*relay4.Relay]{
		Engine: d.Engine, Level: &h.Level, Clients: clients, Live: (*relay4.Relay).Leases,
	})
	h.Bindings.AddLeases(d.Book)
	return d
}

// clients are the clients that an identifier may name: one with that client identifier, and one
// without an identifier whose hardware has that type (the first octet) and address.
func clients(id api.Identifier) []binding.Client {
	return []binding.Client{binding.ClientID(id), binding.Hardware(id[0], []byte(id[1:]))}
}

// section is the relay's part of a configuration.
func section(c *config.Config) *config.Relay4 { return c.Sections["relay4"].(*config.Relay4) }

// relayID is the content of sub-option 12.
func (d *player) relayID(c *config.Config) []byte { return c.RelayID.InDHCPv4(d.House.Identity.ID()) }

func (d *player) coreConfig(c *config.Config) *relay4.Config {
	core := section(c).Core(c.Peers, d.relayID(c), d.House.Host)
	core.RequireRelayID = c.RelayID.Token
	core.Records = history.Records(c, d.House.Privacy)
	return &core
}

// coreOf makes a core that knows the links and the leases that were kept. It succeeds the core
// before it.
func (d *player) coreOf(now instant.Now, eff *effect.Effects) (*relay4.Relay, error) {
	core := relay4.New(d.coreConfig(d.Config()), d.House.BootID)
	if old := d.Engine.Core; old != nil {
		core.Succeed(old)
	}
	core.SetTrace(d.Book.Traced())
	if err := d.TellLinks(core, eff); err != nil {
		return nil, err
	}
	k := kept.Reader{Log: d.House.Told, Scan: d.House.Store.Scan}
	return core, k.Restore(binding.Relay4, func(records iter.Seq[binding.Record], lastWall time.Time) { core.Restore(now, records, lastWall, eff) })
}

// Restore makes a core from what was kept.
func (d *player) Restore() (held map[string]int, err error) {
	if err := d.Recall(); err != nil {
		return nil, err
	}
	t := d.Engine.Core.Totals()
	d.House.Told.Info("restored", "leases", t.Leases)
	return role.Held(d.Engine.Core.Prospects(d.coreConfig(d.Config()))), nil
}

// Hears reports whether a datagram is one that servers or relay agents send.
func (d *player) Hears(m *udp.Datagram) bool { return fromPeer(m.Payload) }

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

// Count fills in the relay's identity and its peers.
func (d *player) Count(ctx context.Context, c *api.Counters) error {
	c.RelayIDv4 = api.Identifier(d.relayID(d.Config()))
	return d.Engine.Call(ctx, func(now instant.Now, _ *effect.Effects) {
		d.AddCounts(now, c)
	})
}

// Judge adds what is not as it should be.
func (d *player) Judge(ctx context.Context, s *api.Status, _ *api.Counters) error {
	return d.Engine.Call(ctx, func(instant.Now, *effect.Effects) {
		d.AddTrouble(s, trust.Globs(section(d.Config()).Links, func(r *relay4.LinkRule) []string { return r.Match }))
		s.Degraded = append(s.Degraded, wrong(d.Engine.Core)...)
		s.Relay4 = totalsOf(linksOf(d.Engine.Core, nil), countersOf(d.Engine.Core))
		s.Relay4.Leases = d.Engine.Core.Totals().Leases
	})
}

// Prospect adds what another configuration would change. It changes nothing.
func (d *player) Prospect(ctx context.Context, next *config.Config, r *api.ReloadResult) (held map[string]int, err error) {
	var prospects []links.Prospect[relay4.LinkRule]
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { prospects = d.Engine.Core.Prospects(d.coreConfig(next)) })
	r.Links = append(r.Links, role.LinkChanges("relay4", prospects, config.Rule4Changed)...)
	return role.Held(prospects), err
}

// Reconfigure makes a configuration the present one.
func (d *player) Reconfigure(ctx context.Context, next *config.Config) error {
	return d.Hold(ctx, next, func(eff *effect.Effects) { d.Engine.Core.Reconfigure(d.coreConfig(next), eff) })
}

// look makes the status of the relay.
func (d *player) look(ctx context.Context) (v api.Relay4, err error) {
	spoofed := d.House.Kernel.Spoofed()
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) {
		v.RelayID = api.Identifier(d.relayID(d.Config()))
		v.Links, v.Relay4Counters, v.Relay4Leases = linksOf(d.Engine.Core, spoofed), countersOf(d.Engine.Core), leasesOf(d.Engine.Core)
	})
	return v, err
}
