// Package daemon is a process that plays roles: "fairlead run" plays every role that its
// configuration has a section for, "fairlead guard" plays the guard. It opens what all roles
// share, in the order that RFC 8987 S-1 asks for. It knows no role by name: a role is a value of
// package role, which cmd/fairlead gives to it.
//
// What was kept is restored before the first socket opens. All parts of the process end when
// Run's context does, and Run waits for them.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/bindings"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/history"
	"fairlead/internal/app/hook"
	"fairlead/internal/app/kernel"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/role"
	"fairlead/internal/app/service"
	"fairlead/internal/core/hop"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/store"
)

// Program is a process before it runs.
type Program struct {
	Command string      // as an operator types it: "fairlead run"
	Doing   string      // what it does, in a word for the log
	Roles   []role.Role // that it can play
	Load    func(path string) (*config.Config, error)
	Default func() *config.Config // the configuration for Purge if there is no file

	Namespace nft.Role  // of which there is one process in a network namespace
	Owner     hop.Owner // whose hops are protected
	// Beside: the process runs beside other programs. It keeps nothing, has no routes and no
	// filter, and sends and receives no datagrams.
	Beside bool
}

// Relaying is "fairlead run" with these roles.
func Relaying(roles ...role.Role) Program {
	kinds := make(config.Kinds, 0, len(roles))
	for i := range roles {
		kinds = append(kinds, roles[i].Section)
	}
	return Program{
		Command: "fairlead run", Doing: "serving", Roles: roles, Load: kinds.Load, Default: kinds.Default, Namespace: nft.RoleRelay, Owner: hop.OwnerRelay,
	}
}

// Guarding is "fairlead guard" with that role.
func Guarding(guard role.Role) Program {
	return Program{
		Command: "fairlead guard", Doing: "guarding", Roles: []role.Role{guard}, Load: config.LoadGuard, Default: config.DefaultGuard,
		Namespace: nft.RoleGuard, Owner: hop.OwnerGuard, Beside: true,
	}
}

// Commands are the command line of a program whose "fairlead run" can play these roles.
func Commands(guard role.Role, roles ...role.Role) cli.Commands {
	run := Relaying(roles...)
	c := cli.Commands{Version: service.Version(), Run: run, Guard: Guarding(guard), Load: run.Load}
	for i := range roles {
		c.Roles = cli.Join(c.Roles, roles[i].Commands)
	}
	return c
}

// protect is what a configuration wants protected. Messages of hosts that are no peers are
// refused by the roles, because these know links, where the guard tables know addresses only.
func (p Program) protect(c *config.Config) protect.Settings {
	for i := range p.Roles {
		if p.Roles[i].Protect != nil {
			return p.Roles[i].Protect(c)
		}
	}
	return protect.Settings{Hops: c.Hops(), Others: true, Remove: c.IPsec.Remove}
}

// daemon is all parts of the running process.
type daemon struct {
	Program
	*role.House
	players map[string]role.Player // by role

	unwritten []string               // errors of the state folder, with what follows from each
	owner     *nft.Owner             // the right to the network namespace, until everything else has ended
	events    []<-chan netlink.Event // of links and routes, for each role
	wires     []wire                 // one for each family that some role speaks
	api       *control.Server
	scrapes   *metrics.Server

	mu  sync.Mutex // guards all following fields
	cfg *config.Config
}

// Run plays the roles until ctx ends, or until something fails that the process needs.
func (p Program) Run(ctx context.Context, path string) error {
	cfg, err := p.Load(path)
	if err != nil {
		return err
	}
	running, ctx, end := process.Begin(ctx, path, &cfg.Process)
	defer end()
	d := &daemon{
		Program: p, players: make(map[string]role.Player), cfg: cfg,
		House: &role.House{Process: running, Told: running.Privacy.Told(running.Log, running.Feed), Config: cfg},
	}
	d.Wrong = d.wrong
	process.Warn(d.Told, cfg.Warnings)
	return d.run(ctx)
}

func (d *daemon) run(ctx context.Context) error {
	// The watch ends after the loops, because they take its end for a failure.
	watch, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	err := d.open(watch)
	if err == nil {
		err = d.serve(ctx)
	}
	end()
	for _, events := range d.events {
		for range events { // until the watch has ended
			continue
		}
	}
	return errors.Join(err, d.close())
}

// open opens what the roles share, has them restore what was kept, and brings the kernel to that
// state.
func (d *daemon) open(watch context.Context) (err error) {
	// This comes first: if another process runs, what is in the kernel belongs to it.
	if d.owner, err = nft.Own(d.Namespace, d.Command); err != nil {
		return err
	}
	if !d.Beside {
		if err = d.openHost(watch); err != nil {
			return err
		}
	}
	// This comes before the first socket, so that nothing leaves for a protected peer in clear.
	if d.Hops, err = protect.Open(d.protection(), d.protect(d.cfg)); err != nil {
		return err
	}
	held := make(map[string]int)
	for i := range d.Roles {
		name := d.Roles[i].Section.Name
		if d.cfg.Sections[name] == nil {
			continue
		}
		h := *d.House
		if !d.Beside {
			h.Events = d.events[len(d.players)]
		}
		p := d.Roles[i].New(&h)
		d.players[name] = p
		leases, err := p.Restore()
		if err != nil {
			return err
		}
		addTo(held, leases)
	}
	if !d.Beside {
		if err := d.Kernel.Begin(); err != nil {
			return err
		}
	}
	process.Warn(d.Told, process.Misfits(d.Told, held, d.cfg))
	return nil
}

// openHost opens the store and the kernel, and reads what else is kept in the state folder.
func (d *daemon) openHost(watch context.Context) (err error) {
	if d.BootID, err = clock.BootID(); err != nil {
		return err
	}
	if d.Host, err = os.Hostname(); err != nil {
		return fmt.Errorf("hostname: %w", err)
	}
	if d.Store, err = store.Open(d.cfg.State, store.Options{Logger: d.Told, ReserveBytes: d.cfg.Store.Reserve}); err != nil {
		return err
	}
	d.History = history.New(d.Told, d.Store, d.Privacy)
	key, err := privacyKey(d.cfg.Privacy.SaltKept, d.cfg.State)
	if err = d.bear(err); err != nil {
		return err
	}
	d.Privacy.UseKey(key)
	d.Identity, err = d.identify()
	if err = d.bear(err); err != nil {
		return err
	}
	d.Told.Info("relay-id", "relay_id", d.Identity.ID().String())
	if d.Netlink, err = netlink.Open(netlink.Options{Protocol: d.cfg.Host.Protocol}); err != nil {
		return err
	}
	// This comes before links are first read, so that no link goes away unnoticed.
	events, err := d.Netlink.Watch(watch)
	if err != nil {
		return err
	}
	d.events = spread(watch, events, len(d.cfg.Sections))
	if d.Filter, err = nft.Open(nft.Options{}); err != nil {
		return err
	}
	if d.Kernel, err = kernel.Open(kernel.Options{
		Told: d.Told, Log: d.Log, Feed: d.Feed, Config: d.config, BootID: d.BootID, Store: d.Store, Routes: d.Netlink, Filter: d.Filter,
	}); err != nil {
		return err
	}
	d.Hook = hook.New(d.cfg.Hook, d.Told)
	d.Bindings = bindings.NewHouse(d.Told, d.Privacy, d.Store, d.Feed)
	return nil
}

// serve opens the sockets and runs every part until ctx ends.
func (d *daemon) serve(ctx context.Context) (err error) {
	tasks := map[string]process.Task{"signals": d.Hangups(d.Told, d.Reload), "protection": d.Hops.Run}
	if !d.Beside {
		d.Identity.Changed(func() { d.identified(ctx) })
		if err := d.openSockets(); err != nil {
			return err
		}
		maps.Copy(tasks, map[string]process.Task{
			"identity": d.Identity.Run, "hook": d.Hook.Run, "watchdog": d.watchdog, "memory": d.giveBack, "history": func(ctx context.Context) error { return d.History.Run(ctx, d.config) },
			"sockets": d.feedRoles, "close": d.closeSockets,
		})
		maps.Copy(tasks, d.Kernel.Tasks())
	}
	routes, figures := d.asked()
	d.scrapes = metrics.Listen(d.cfg.Metrics, metrics.Handler(d.Command, d.reasons, figures...), d.Told)
	if d.api, err = control.Listen(&d.cfg.Process, routes, d.Told); err != nil {
		return err
	}
	tasks["control"], tasks["metrics"] = d.api.Run, d.scrapes.Run
	for name, p := range d.players {
		for part, run := range p.Tasks() {
			tasks[name+" "+part] = run
		}
	}
	return d.Serve(ctx, d.Told, tasks, func() {
		d.Told.Info(d.Doing, "config", d.Path, "roles", slices.Sorted(maps.Keys(d.players)), "peers", len(d.cfg.Peers))
	})
}

// asked are all paths of the control interface, and all metrics. Those of roles come before those
// of the process.
func (d *daemon) asked() (routes []control.Route, figures []prometheus.Collector) {
	for _, name := range slices.Sorted(maps.Keys(d.players)) {
		routes = append(routes, d.players[name].Routes()...)
		figures = append(figures, d.players[name].Collectors()...)
	}
	if !d.Beside {
		if d.Bindings.HasBooks() {
			routes = append(routes, control.OfBindings(d.Bindings)...)
		}
		if d.Bindings.HasLeases() {
			routes = append(routes, control.Held("/v1/leases", d.Bindings.Leases))
		}
		routes = append(routes, control.Peers(d.Peers))
		figures = append(figures, metrics.Counters(d.Counters))
	}
	return append(append(routes, control.Status(d.Status)), control.Process(d)...), figures
}

func (d *daemon) close() error {
	var errs []error
	parts := []io.Closer{closer(d.scrapes != nil, d.scrapes)}
	for _, w := range d.wires {
		parts = append(parts, w.conn)
	}
	for _, p := range d.players {
		parts = append(parts, p)
	}
	parts = append(parts, closer(d.Hops != nil, d.Hops), closer(d.Filter != nil, d.Filter), closer(d.Netlink != nil, d.Netlink), closer(d.Store != nil, d.Store), closer(d.owner != nil, d.owner))
	for _, c := range parts {
		if c != nil {
			if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func closer(open bool, c io.Closer) io.Closer {
	if !open {
		return nil
	}
	return c
}

// watchdog tells the service manager that all roles are alive, as often as it wants to be told.
func (d *daemon) watchdog(ctx context.Context) error {
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil //nolint:nilerr // no watchdog is wanted, or its form is unknown
	}
	t := time.NewTicker(every / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			alive := true
			for _, p := range d.players {
				alive = alive && p.Alive(ctx) == nil
			}
			if alive {
				service.Notify(d.Told, sd.SdNotifyWatchdog)
			}
		}
	}
}

func (d *daemon) config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// protection says whose hops the process protects, and who is told of events.
func (d *daemon) protection() protect.Options {
	return protect.Options{
		Filter: d.Filter, Owner: d.Owner, Socket: d.cfg.IPsec.Socket, Log: d.Log,
		Note:   func(n hop.Note) { d.Feed.Offer(control.HopEvent(&n, time.Now())) },
		Judged: d.judged,
	}
}

// Plan describes what a configuration sets up so that peers are protected.
func (p Program) Plan(path string) (string, error) {
	cfg, err := p.Load(path)
	if err != nil {
		return "", err
	}
	var links []hop.GuardLink
	if p.Beside {
		if links, err = nft.Links(); err != nil {
			return "", err
		}
	}
	return protect.Plan(p.Owner, p.protect(cfg), links...), nil
}

// Purge removes everything of ours from the kernel and from strongSwan: routes, filter table,
// protection of peers. The store stays. If a process runs, that is an error, and nothing is
// removed. If path is "", the defaults are used.
func (p Program) Purge(path string) error {
	return process.Purge(path, p.Load, p.Default, p.Namespace, strings.TrimSuffix(p.Command, " run")+" purge", p.purge)
}

func (p Program) purge(cfg *config.Config) (gone error) {
	if !p.Beside {
		nl, err := netlink.Open(netlink.Options{Protocol: cfg.Host.Protocol})
		if err != nil {
			return err
		}
		_, err = nl.Purge()
		err = errors.Join(err, nl.Close())
		table, openErr := nft.Open(nft.Options{})
		if openErr != nil {
			return errors.Join(err, openErr)
		}
		gone = errors.Join(err, table.Purge(), table.Close())
	}
	log := service.NewLogger(cfg.Log.Format, service.Level(cfg.Log.Level), os.Stderr)
	return errors.Join(gone, protect.Purge(protect.Options{Owner: p.Owner, Socket: cfg.IPsec.Socket, Log: log}))
}
