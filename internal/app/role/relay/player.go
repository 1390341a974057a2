// Package relay plays the DHCPv6 relay. It connects the core, the kernel, the store and the
// operators' questions, in the order that RFC 8987 S-1 asks for: what was kept is restored and
// installed before the process opens the first socket. All of it is compared with the kernel
// after that.
//
// The engine drives the core, and calls relay for what is the relay's own. The other parts only
// bring events. All of them end when their context does.
package relay

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/network"
	"fairlead/internal/app/process"
	"fairlead/internal/app/role"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/udp"
)

// Role is the DHCPv6 relay.
func Role() role.Role {
	return role.Role{
		Section: config.Relay6Kind(), Commands: cli.Relay(),
		New: func(h *role.House) role.Player { return newPlayer(h) },
	}
}

// player has all parts of the relay.
type player struct {
	role.Base[*relay6.Relay]
	relay         *relay
	keeper        keeper // to the store
	foreign       *foreignRoutes
	refusedGrants refusedGrants
}

var (
	_ role.Player     = (*player)(nil)
	_ control.Backend = (*player)(nil)
)

func newPlayer(h *role.House) *player {
	d := new(player)
	d.foreign = &foreignRoutes{d: d}
	d.keeper.to = h.History
	d.relay = &relay{
		Side: network.Side[*relay6.Relay]{Inlets: inlets}, routed: d.foreign.watchRouted,
	}
	d.Begin(h, role.Options[*relay6.Relay]{
		Name: "relay6", Family: config.DHCPv6, Role: d.relay, Side: &d.relay.Side, Store: &d.keeper, Core: d.coreOf,
		SourcePort: func(c *config.Config) uint16 { return section(c).SourcePort },
		Classifier: network.Classifier6(h.Hops.May),
	})
	d.Inbox().RefuseWhile(h.Identity.Missing, effect.DropNoToken)
	d.relay.Notes.Happened = d.refusedGrants.take
	d.Book = bindings.NewBook(bindings.Options[*relay6.Relay]{
		Engine: d.Engine, Level: &h.Level, Block: (*relay6.Relay).Block,
		Clients: clients, Live: (*relay6.Relay).Delegations,
	})
	h.Bindings.Add(d.Book)
	return d
}

// section is the relay's part of a configuration.
func section(c *config.Config) *config.Relay6 { return c.Sections["relay6"].(*config.Relay6) }

// Restore makes a core from what was kept.
func (d *player) Restore() (held map[string]int, err error) {
	started := time.Now()
	if err := d.Recall(); err != nil {
		return nil, err
	}
	t := d.Engine.Core.Totals()
	d.House.Told.Info("restored", "prefixes", t.Prefixes, "addresses", t.Addresses, "took", time.Since(started).Round(time.Millisecond))
	if lost := unmatched(d.Engine.Core.Unmatched()); len(lost) > 0 {
		d.House.Told.Warn("no rule matches links with delegations: these have neither routes nor filters", "links", api.HoldingsText(lost))
	}
	return role.Held(d.Engine.Core.Prospects(d.coreConfig(d.Config()))), nil
}

// Tasks adds the look for foreign routes.
func (d *player) Tasks() map[string]process.Task {
	tasks := d.Base.Tasks()
	tasks["foreign"] = d.foreign.run
	return tasks
}

// Hears reports whether a datagram is one that relay agents or servers send.
func (d *player) Hears(m *udp.Datagram) bool { return network.FromRelayOrServer(m.Payload) }

// Routes are the relay's paths.
func (d *player) Routes() []control.Route { return control.Relay(d) }

// Collectors are none: all of the relay's figures are in api.Counters.
func (d *player) Collectors() []prometheus.Collector { return nil }

// Close closes what the relay has opened for itself.
func (d *player) Close() error { return d.foreign.Close() }
