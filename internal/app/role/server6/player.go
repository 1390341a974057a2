// Package server6 plays the role of the DHCPv6 server. It connects the core with the sockets, the
// store, the control interface, and the kernel.
package server6

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/history"
	"fairlead/internal/app/kept"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/network"
	"fairlead/internal/app/role"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/links"
	"fairlead/internal/core/server6"
	"fairlead/internal/core/trust"
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

// player is the server in a process that runs.
type player struct {
	role.Base[*server6.Server]
	server *server
	secret [32]byte // see readSecret

	reserved reservations
}

var _ role.Player = (*player)(nil)

func newPlayer(h *role.House) *player {
	d := new(player)
	d.server = &server{network.Side[*server6.Server]{Inlets: inlets}}
	d.Begin(h, role.Options[*server6.Server]{
		Name: "server6", Family: config.DHCPv6, Group: dhcp6.AllServers, Role: d.server, Side: &d.server.Side, Store: h.History, Core: d.coreOf,
		SourcePort: func(*config.Config) uint16 { return dhcp6.ServerPort },
		Classifier: network.Classifier6(h.Hops.May),
	})
	d.Book = bindings.NewBook(bindings.Options[*server6.Server]{
		Engine: d.Engine, Level: &h.Level,
		Clients: func(id api.Identifier) []binding.Client { return []binding.Client{binding.DUID(id)} },
		Live:    (*server6.Server).Leases,
	})
	h.Bindings.AddLeases(d.Book)
	return d
}

// section is the server's section of a configuration.
func section(c *config.Config) *config.Server6 { return c.Sections["server6"].(*config.Server6) }

// serverID is the DUID by which clients know the server.
func (d *player) serverID(c *config.Config) dhcp6.DUID {
	if id := section(c).ServerID; id != nil {
		return id
	}
	return d.House.Identity.ID()
}

func (d *player) coreConfig(c *config.Config) *server6.Config {
	with, _ := withReservations(c, d.reserved.made())
	core := with.Core(c.Peers, d.serverID(c), d.secret, history.Records(c, d.House.Privacy))
	core.Aggregates = d.Part.Aggregates(c)
	return &core
}

// secretKey is the key of the secret in the store.
var secretKey = append([]byte(binding.Server6), 's')

// readSecret reads the secret by which leases are spread over pools, or makes one and keeps it. With
// another secret, a client that comes back would get another lease.
func (d *player) readSecret() error {
	found := false
	err := d.House.Store.Scan(secretKey, append(secretKey[:len(secretKey):len(secretKey)], 0), func(_, v []byte) bool {
		found = copy(d.secret[:], v) == len(d.secret)
		return false
	})
	if err != nil || found {
		return err
	}
	rand.Read(d.secret[:])
	return d.House.Store.Commit([]store.Op{{Key: secretKey, Value: d.secret[:]}})
}

// coreOf makes a core that knows the links and the kept leases. After a panic, it is the successor
// of the former core.
func (d *player) coreOf(now instant.Now, eff *effect.Effects) (*server6.Server, error) {
	if err := d.readSecret(); err != nil {
		return nil, err
	}
	if err := d.readReservations(); err != nil {
		return nil, err
	}
	core := server6.New(d.coreConfig(d.Config()), d.House.BootID)
	if old := d.Engine.Core; old != nil {
		core.Succeed(old)
	}
	core.SetTrace(d.Book.Traced())
	if err := d.TellLinks(core, eff); err != nil {
		return nil, err
	}
	return core, recall(core, now, &kept.Reader{Log: d.House.Told, Scan: d.House.Store.Scan}, eff)
}

// recall has a core that knows its links take in what was kept.
func recall(core *server6.Server, now instant.Now, k *kept.Reader, eff *effect.Effects) error {
	if err := k.Restore(binding.Server6, func(records iter.Seq[binding.Record], lastWall time.Time) { core.Restore(now, records, lastWall, eff) }); err != nil {
		return err
	}
	from, to := server6.RecordRange()
	return k.Scan(from, to, func(key, value []byte) bool {
		if err := core.RestoreRecord(now, key, value); err != nil {
			k.Odd(key, err)
		}
		return true
	})
}

// Restore makes the first core, from what was kept. It returns how many leases each link holds.
func (d *player) Restore() (held map[string]int, err error) {
	if err := d.Recall(); err != nil {
		return nil, err
	}
	t := d.Engine.Core.Totals()
	d.House.Told.Info("restored", "prefixes", t.Prefixes, "addresses", t.Addresses)
	return role.Held(d.Engine.Core.Prospects(d.coreConfig(d.Config()))), nil
}

// Hears reports whether a datagram that came in on a link without clients is for the server: a
// Relay-forward.
func (d *player) Hears(m *udp.Datagram) bool {
	return len(m.Payload) > 0 && dhcp6.MessageType(m.Payload[0]) == dhcp6.RelayForward
}

// Routes are the server's paths of the control interface.
func (d *player) Routes() []control.Route {
	return []control.Route{control.Look("/v1/server6", d.look), control.Relays(d.relays), control.Change("reconfigure", d.reconfigure), control.Change("reserve", d.reserve), control.Reservations(d.listReserved), control.Why(d.why)}
}

// Collectors are the server's metrics.
func (d *player) Collectors() []prometheus.Collector {
	return []prometheus.Collector{metrics.Server6(d.look)}
}

// Count adds the figures of the server's peers.
func (d *player) Count(ctx context.Context, c *api.Counters) error {
	return d.Engine.Call(ctx, func(now instant.Now, _ *effect.Effects) { d.AddCounts(now, c) })
}

// Judge adds what is wrong, and the server's totals, to a status.
func (d *player) Judge(ctx context.Context, s *api.Status, _ *api.Counters) error {
	return d.Engine.Call(ctx, func(instant.Now, *effect.Effects) {
		d.AddTrouble(s, trust.Globs(section(d.Config()).Links, func(r *server6.LinkRule) []string { return r.Match }))
		s.Degraded = append(s.Degraded, wrong(d.Engine.Core)...)
		s.Server6 = totalsOf(d.Engine.Core)
		if n := d.refusedReservations(); n > 0 {
			s.Degraded = append(s.Degraded, fmt.Sprintf("%d of the reservations that were made at run time do not hold: `fairlead reservations` says why", n))
		}
	})
}

// Prospect adds what another configuration would change for the links.
func (d *player) Prospect(ctx context.Context, next *config.Config, r *api.ReloadResult) (held map[string]int, err error) {
	var prospects []links.Prospect[server6.LinkRule]
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { prospects = d.Engine.Core.Prospects(d.coreConfig(next)) })
	r.Links = append(r.Links, role.LinkChanges("server6", prospects, config.Served6Changed)...)
	return role.Held(prospects), err
}

// Reconfigure makes a configuration the one that is in force.
func (d *player) Reconfigure(ctx context.Context, next *config.Config) error {
	d.reserved.changing.Lock()
	defer d.reserved.changing.Unlock()
	return d.Hold(ctx, next, func(eff *effect.Effects) { d.Engine.Core.Reconfigure(d.coreConfig(next), eff) })
}

// reconfigure asks clients to come back, for the operator named who.
func (d *player) reconfigure(ctx context.Context, r api.ReconfigureRequest, who string) (done api.ReconfigureResult, err error) {
	by := map[string]dhcp6.MessageType{"": dhcp6.Renew, "renew": dhcp6.Renew, "rebind": dhcp6.Rebind, "information-request": dhcp6.InformationRequest}[r.Message]
	of := server6.Selected{Client: binding.DUID(r.Client), Within: r.Within, Link: r.Link}
	err = d.Engine.Call(ctx, func(now instant.Now, eff *effect.Effects) {
		done = api.ReconfigureResult(d.Engine.Core.Ask(now, of, by, eff))
	})
	d.House.Told.Info("clients asked to come back", "by", who, "asked", done.Asked)
	return done, err
}

// relays are the relay agents that the server has heard.
func (d *player) relays(ctx context.Context) (all []api.RelayAgent, err error) {
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) { all = agentsOf(d.Engine.Core) })
	return all, err
}

// look makes the status of the server.
func (d *player) look(ctx context.Context) (v api.Server6, err error) {
	err = d.Engine.Call(ctx, func(instant.Now, *effect.Effects) {
		v = viewOf(d.Engine.Core)
		v.ServerID = api.Identifier(d.serverID(d.Config()))
	})
	return v, err
}
