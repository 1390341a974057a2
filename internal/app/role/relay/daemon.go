// Package daemon is the relay as a process: it puts the store, the kernel, the
// sockets, the core and the operators' interface together, in the order that
// RFC 8987 S-1 asks for. What was kept is restored and installed before the first
// socket opens, and compared with what the kernel has as a whole after that.
//
// The engine drives the core, and calls on relay for what is the relay's own. The
// other parts only bring events. All of them end when Run's context does, and Run
// waits for them.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/hook"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// daemon is all parts of the running process.
type daemon struct {
	process *process.Process
	log     *slog.Logger // those who watch are told of its warnings
	quiet   *slog.Logger // the same for what they are told of otherwise
	bootID  string
	relayID dhcp6.DUID
	host    string
	privacy *privacy.Rules

	unwritten []string   // what the state folder would not take, and what that costs
	owner     *nft.Owner // of the network namespace, from the first deed to the last
	store     *store.Store
	keeper    keeper // to the store
	nl        *netlink.Conn
	nft       *nft.Table
	hops      *protect.Supervisor
	rivals    *rivals
	foreign   *foreignRoutes
	conn      *udp.Conn
	inbox     *engine.Inbox
	relay     *relay
	engine    *engine.Engine[*relay6.Relay]
	hook      *hook.Runner
	feed      *control.Feed
	audit     *auditor
	api       *control.Server
	scrapes   *metrics.Server
	events    <-chan netlink.Event

	mu        sync.Mutex // guards all following fields
	cfg       *config.Config
	tracers   int
	traced    *relay6.Trace // what is read; nil: nothing
	findings  map[string]uint64
	filterErr error
}

// Run relays until ctx ends or something without which it cannot go on fails.
func Run(ctx context.Context, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	p, ctx, end := process.Begin(ctx, path, &cfg.Process)
	defer end()
	d := &daemon{process: p, quiet: p.Log, log: p.Privacy.Told(p.Log, p.Feed), privacy: p.Privacy, feed: p.Feed, cfg: cfg, findings: noFindings()}
	process.Warn(d.log, cfg.Warnings)
	return d.run(ctx)
}

func (d *daemon) run(ctx context.Context) error {
	// The watch ends after the loop, which takes its end for a failure.
	watch, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	err := d.open(watch)
	if err == nil {
		err = d.serve(ctx)
	}
	end()
	if d.events != nil {
		for range d.events { // until the watch has ended
			continue
		}
	}
	return errors.Join(err, d.close())
}

// open opens what the relay stands on and restores what was kept.
func (d *daemon) open(watch context.Context) (err error) {
	// Before anything else: what a relay that runs has in the kernel is its own.
	if d.owner, err = nft.Own(nft.RoleRelay, "fairlead run"); err != nil {
		return err
	}
	if d.bootID, err = clock.BootID(); err != nil {
		return err
	}
	if d.host, err = os.Hostname(); err != nil {
		return fmt.Errorf("hostname: %w", err)
	}
	if d.store, err = store.Open(d.cfg.State, store.Options{Logger: d.log, ReserveBytes: d.cfg.Store.Reserve}); err != nil {
		return err
	}
	key, err := privacyKey(d.cfg.Privacy.SaltKept, d.cfg.State)
	if err = d.bear(err); err != nil {
		return err
	}
	d.privacy.UseKey(key)
	d.relayID, err = relayID(d.cfg.RelayID, d.cfg.State)
	if err = d.bear(err); err != nil {
		return err
	}
	d.log.Info("relay-id", "relay_id", d.relayID.String())
	if d.nl, err = netlink.Open(netlink.Options{Protocol: d.cfg.Host.Protocol}); err != nil {
		return err
	}
	// Before the links are first read, so that none goes away unheard.
	if d.events, err = d.nl.Watch(watch); err != nil {
		return err
	}
	if d.nft, err = nft.Open(nft.Options{}); err != nil {
		return err
	}
	// Before the first socket: nothing leaves for a protected peer in clear.
	if d.hops, err = protect.Open(d.protection(), protected(d.cfg)); err != nil {
		return err
	}
	d.hook = hook.New(d.cfg.Hook, d.log)
	d.assemble()
	if err = d.restore(); err != nil {
		return err
	}
	process.Warn(d.log, d.misfits(d.cfg, d.engine.Core.Prospects(d.coreConfig(d.cfg))))
	if lost := unmatched(d.engine.Core.Unmatched()); len(lost) > 0 {
		d.log.Warn("no rule matches links with delegations: these have neither routes nor filters", "links", api.HoldingsText(lost))
	}
	return nil
}

func (d *daemon) assemble() {
	once := newLimiter(d.cfg.Log.Every)
	fails := newFailures(d.log, once)
	d.inbox = engine.NewInbox(fails.drop)
	network := newNetwork(d.log)
	network.configure(d.cfg.Peers, d.cfg.Relay6.SourcePort)
	network.inbox, network.may = d.inbox, d.hops.May
	d.audit = newAuditor(d)
	d.rivals = newRivals(d.log, func() uint16 { return d.config().Relay6.SourcePort })
	d.foreign = &foreignRoutes{d: d}
	d.relay = &relay{
		net: network, lost: fails, build: d.buildCore, probe: d.answers, routed: d.foreign.watchRouted,
		notes:  &notes{log: d.quiet, privacy: d.privacy, feed: d.feed, hook: d.hook, once: once},
		silent: d.rivals.soon, others: d.audit.othersChanged, soon: d.audit.soon, later: d.audit.inAWhile,
	}
	d.keeper.to = d.store
	d.engine = engine.New(engine.Options[*relay6.Relay]{
		Log: d.log, Privacy: d.privacy, Role: d.relay, Inbox: d.inbox, Store: &d.keeper, Hosts: []engine.Installer{d.nl, d.nft}, Links: d.events,
	})
}

// serve opens the sockets and runs every part until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	var err error
	if d.conn, err = udp.Open(udp.Options{Logger: d.log, Refused: d.relay.refused.take}); err != nil {
		return taken(err)
	}
	out := gatedSockets{d.conn, d.hops.May}
	d.relay.net.conn = out
	d.engine.Open(d.conn, out, runtime.GOMAXPROCS(0))
	d.relay.LinksChanged(d.engine.Core)
	d.rivals.soon()
	d.scrapes = metrics.Listen(d.config().Metrics, metrics.Relay(d), d.log)
	if d.api, err = control.Listen(&d.config().Process, control.Relay(d), d.log); err != nil {
		return err
	}
	tasks := map[string]process.Task{
		"control": d.api.Run, "hook": d.hook.Run, "audit": d.audit.run, "filter": d.audit.watch,
		"history": d.forgetHistory, "signals": d.process.Hangups(d.log, d.Reload), "watchdog": d.watchdog,
		"memory":     d.giveBack,
		"protection": d.hops.Run, "metrics": d.scrapes.Run, "rivals": d.rivals.run, "foreign": d.foreign.run,
		"close": d.closeSockets,
	}
	for name, run := range d.engine.Tasks() {
		tasks[name] = run
	}
	return d.process.Serve(ctx, d.log, tasks, func() { d.log.Info("relaying", "config", d.process.Path) })
}

// closeSockets closes the sockets at the end, once what was decided has left.
func (d *daemon) closeSockets(ctx context.Context) error {
	<-ctx.Done()
	<-d.engine.Done()
	return d.conn.Close()
}

func (d *daemon) close() error {
	var errs []error
	for _, c := range []io.Closer{closer(d.conn != nil, d.conn), closer(d.scrapes != nil, d.scrapes), closer(d.hops != nil, d.hops), closer(d.nft != nil, d.nft), closer(d.foreign != nil, d.foreign), closer(d.nl != nil, d.nl), closer(d.store != nil, d.store), closer(d.owner != nil, d.owner)} {
		if c != nil {
			if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, errNetClosed) {
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

// watchdog tells the service manager that the loop is alive, as often as it
// asks to be told.
func (d *daemon) watchdog(ctx context.Context) error {
	every, err := sd.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil //nolint:nilerr // no watchdog is wanted, or not in a form that we know
	}
	t := time.NewTicker(every / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if d.engine.Call(ctx, func(instant.Now, *effect.Effects) {}) == nil {
				service.Notify(d.log, sd.SdNotifyWatchdog)
			}
		}
	}
}

func (d *daemon) config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// protection is whose hops the daemon protects, and who hears of them.
func (d *daemon) protection() protect.Options {
	return protect.Options{
		Filter: d.nft,
		Owner:  hop.OwnerRelay, Socket: d.cfg.IPsec.Socket, Log: d.quiet,
		Note:    func(n hop.Note) { d.feed.Offer(control.HopEvent(&n, time.Now())) },
		Settled: func() bool { return d.inbox.Judge(service.Now().Boot) },
	}
}

// protected is what a configuration wants protected. Messages of those that are
// no peers are the core's to refuse: it knows links, where the guard knows
// addresses.
func protected(cfg *config.Config) protect.Settings {
	return protect.Settings{Hops: cfg.Hops(), Others: true, Remove: cfg.IPsec.Remove}
}

// Plan is what the configuration of the relay sets up so that peers are
// protected.
func Plan(path string) (string, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return "", err
	}
	return protect.Plan(hop.OwnerRelay, protected(cfg)), nil
}

// Purge takes everything of ours out of the kernel and out of strongSwan: routes,
// filter table, protection of peers. The store stays; its folder says how to
// forget that too. A daemon that runs is an error, and loses nothing.
// Without a file (path is "") the defaults hold.
func Purge(path string) error {
	return process.Purge(path, config.Load, config.Default, nft.RoleRelay, "fairlead purge", purge)
}

func purge(cfg *config.Config) error {
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
	log := service.NewLogger(cfg.Log.Format, service.Level(cfg.Log.Level), os.Stderr)
	return errors.Join(err, table.Purge(), table.Close(),
		protect.Purge(protect.Options{Owner: hop.OwnerRelay, Socket: cfg.IPsec.Socket, Log: log}))
}
