// Package daemon is the relay as a process: it puts the store, the kernel, the
// sockets, the core and the operators' interface together, in the order that
// RFC 8987 S-1 asks for. What was kept is restored, installed and compared with
// the kernel before the first socket opens.
//
// One goroutine, the loop, owns the core. Two more carry its changes out behind
// it (the pipeline): one keeps, one installs and sends. The others only bring
// events: the sockets' receiver, the watcher of links, timers and the control
// interface. All of them end when Run's context does, and Run waits for them.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/hook"
	"fairlead/internal/app/metrics"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/clock"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/probe"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// daemon is all parts of the running process.
type daemon struct {
	path    string
	log     *slog.Logger
	started time.Time
	bootID  string
	relayID dhcp6.DUID
	host    string

	store *store.Store
	nl    *netlink.Conn
	nft   *nft.Table
	conn  *udp.Conn
	loop  *loop
	pipe  *pipeline
	hook  *hook.Runner
	feed  *control.Feed
	audit *auditor

	mu       sync.Mutex // guards all following fields
	cfg      *config.Config
	loaded   time.Time
	lastErr  string
	reloads  uint64
	refused  uint64
	tracers  int
	findings map[string]uint64
}

// Run relays until ctx ends or something without which it cannot go on fails.
func Run(ctx context.Context, path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d := &daemon{path: path, log: newLogger(cfg.Log, os.Stderr), started: time.Now(), cfg: cfg, loaded: time.Now(), findings: make(map[string]uint64)}
	if err := d.open(); err != nil {
		return errors.Join(err, d.close())
	}
	err = d.serve(ctx)
	return errors.Join(err, d.close())
}

// open opens what the relay stands on and restores what was kept.
func (d *daemon) open() (err error) {
	if d.bootID, err = clock.BootID(); err != nil {
		return err
	}
	if d.host, err = os.Hostname(); err != nil {
		return fmt.Errorf("hostname: %w", err)
	}
	if err = os.MkdirAll(d.cfg.State, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if d.store, err = store.Open(d.cfg.State, store.Options{Logger: d.log, ReserveBytes: d.cfg.Store.Reserve}); err != nil {
		return err
	}
	if d.relayID, err = relayID(d.cfg.RelayID, d.cfg.State); err != nil {
		return err
	}
	d.log.Info("relay-id", "relay_id", d.relayID.String())
	if d.nl, err = netlink.Open(netlink.Options{Protocol: d.cfg.Host.Protocol}); err != nil {
		return err
	}
	if d.nft, err = nft.Open(nft.Options{}); err != nil {
		return err
	}
	d.feed = control.NewFeed()
	d.hook = hook.New(d.cfg.Hook, d.log)
	d.assemble()
	return d.restore()
}

func (d *daemon) assemble() {
	once := newLimiter(d.cfg.Log.Every)
	fails := &failures{log: d.log, once: once}
	network := newNetwork(d.log)
	network.configure(d.cfg.Peers, d.cfg.Relay6.SourcePort)
	network.failed = fails.report
	d.pipe = newPipeline(d.log, d.store, []installer{d.nl, d.nft})
	d.pipe.sendFail = fails.report
	d.audit = newAuditor(d)
	d.loop = &loop{
		log: d.log, pipe: d.pipe, net: network, build: d.buildCore, probe: d.answers,
		notes:     &notes{log: d.log, clients: newIdentifiers(d.cfg.Log.Identifiers), feed: d.feed, hook: d.hook.Offer, once: once},
		datagrams: make(chan []udp.Datagram), handled: make(chan struct{}),
		probed: make(chan probeResult), calls: make(chan func(instant.Now, *relay6.Effects)),
		auditDue: d.audit.soon, guard: newGuard(),
	}
}

// answers reports whether a next hop still answers. Where it cannot be asked, it
// counts as there: then nobody takes its place.
func (d *daemon) answers(ctx context.Context, p relay6.Probe) bool {
	there, err := probe.Answers(ctx, p.Index, p.Hop.Addr, p.Hop.LinkLayer)
	if err != nil {
		d.log.Warn("next hop not probed", "link", p.Hop.Link, "next_hop", p.Hop.Addr, "error", err)
		return true
	}
	return there
}

func (d *daemon) coreConfig(cfg *config.Config) *relay6.Config {
	c := cfg.Relay6.Core(cfg.Peers, d.relayID, d.host)
	c.NoHistory = cfg.History.Keep == 0
	for _, a := range cfg.Host.Aggregates {
		c.Aggregates = append(c.Aggregates, hoststate.Aggregate{Prefix: a.Prefix, Table: a.Table, Metric: a.Metric})
	}
	return &c
}

// buildCore is a core that knows the links as they are and all that was kept.
func (d *daemon) buildCore(n instant.Now, eff *relay6.Effects) (*relay6.Relay, error) {
	core := relay6.New(d.coreConfig(d.config()), d.bootID)
	core.Start(eff)
	links, err := d.nl.Snapshot()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		d.loop.net.know(l)
		core.SetLink(l, eff)
	}
	records, blocks, lastWall, err := d.kept()
	if err != nil {
		return nil, err
	}
	core.Restore(n, records, blocks, lastWall, eff)
	return core, nil
}

// kept reads what the store has of delegations and blocks. A record that cannot
// be read is reported and left alone; the others count.
func (d *daemon) kept() (records []delegation.Record, blocks []delegation.Block, lastWall time.Time, err error) {
	from, to := delegation.KeyRange()
	err = d.store.Scan(from, to, func(k, v []byte) bool {
		r, err := delegation.ParseRecord(v)
		if err != nil {
			d.log.Error("record not understood: left alone", "key", fmt.Sprintf("%x", k), "error", err)
			return true
		}
		records = append(records, r)
		return true
	})
	if err != nil {
		return nil, nil, lastWall, err
	}
	from, to = delegation.BlockRange()
	err = d.store.Scan(from, to, func(k, _ []byte) bool {
		if b, err := delegation.ParseBlock(k); err == nil {
			blocks = append(blocks, b)
		}
		return true
	})
	if err != nil {
		return nil, nil, lastWall, err
	}
	key := relay6.ClockKey()
	err = d.store.Scan(key, append(append([]byte(nil), key...), 0), func(_, v []byte) bool {
		lastWall = relay6.ParseClock(v)
		return false
	})
	return records, blocks, lastWall, err
}

// restore brings the kernel to what was kept, before any socket is open (RFC
// 8987 S-1), and takes in what the kernel had left of an earlier run.
func (d *daemon) restore() error {
	started := time.Now()
	var eff relay6.Effects
	core, err := d.buildCore(now(), &eff)
	if err != nil {
		return err
	}
	d.loop.core = core
	d.carryOutNow(&eff)
	for range 2 { // what is still refused the first time has its stand-in the second
		actual, err := d.actual()
		if err != nil {
			return err
		}
		eff.Reset()
		d.adopted(core.AuditHost(actual, &eff))
		d.carryOutNow(&eff)
	}
	t := core.Totals()
	d.log.Info("restored", "prefixes", t.Prefixes, "addresses", t.Addresses, "took", time.Since(started).Round(time.Millisecond))
	return nil
}

// carryOutNow carries changes out without the pipeline, until nothing is left.
func (d *daemon) carryOutNow(eff *relay6.Effects) {
	for range 4 {
		d.loop.notes.take(eff)
		if len(eff.Changes) == 0 {
			return
		}
		j := &job{changes: append([]relay6.Change(nil), eff.Changes...)}
		d.pipe.commit([]*job{j})
		outcomes := d.pipe.install([]*job{j})
		eff.Reset()
		for _, o := range outcomes {
			d.loop.core.Settle(now(), o, eff)
		}
	}
}

func (d *daemon) adopted(found []hoststate.Finding) {
	if len(found) > 0 {
		d.log.Info("kernel brought to what was kept", "differences", len(found), "first", found[0].String())
	}
}

func (d *daemon) actual() (hoststate.Actual, error) {
	routes, err := d.nl.Routes()
	if err != nil {
		return hoststate.Actual{}, err
	}
	elements, err := d.nft.Elements()
	if err != nil {
		return hoststate.Actual{}, err
	}
	return hoststate.Actual{Routes: routes, Elements: elements}, nil
}

// serve opens the sockets and runs every part until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	var err error
	if d.conn, err = udp.Open(udp.Options{Logger: d.log}); err != nil {
		return err
	}
	d.loop.net.conn, d.pipe.send = d.conn, d.conn
	d.loop.net.update(d.loop.core)
	group, ctx := errgroup.WithContext(ctx)
	if d.loop.links, err = d.nl.Watch(ctx); err != nil {
		return err
	}
	api, err := control.Listen(d.config(), d, d.log)
	if err != nil {
		return err
	}
	tasks := map[string]func(context.Context) error{
		"loop": d.loop.run, "store": d.pipe.runKeep, "host": d.pipe.runInstall, "control": api.Run, "hook": d.hook.Run, "audit": d.audit.run,
		"history": d.forgetHistory, "signals": d.signals, "watchdog": d.watchdog,
		"sockets": func(ctx context.Context) error { return d.loop.receive(ctx, d.conn) },
		"close": func(ctx context.Context) error {
			<-ctx.Done()
			return d.conn.Close()
		},
	}
	if m := d.config().Metrics; m.Listen.IsValid() {
		tasks["metrics"] = func(ctx context.Context) error { return metrics.Serve(ctx, m, d) }
	}
	for name, run := range tasks {
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	d.notify(sd.SdNotifyReady)
	d.log.Info("relaying", "config", d.path)
	err = group.Wait()
	d.notify(sd.SdNotifyStopping)
	return err
}

func (d *daemon) close() error {
	var errs []error
	for _, c := range []io.Closer{closer(d.conn != nil, d.conn), closer(d.nft != nil, d.nft), closer(d.nl != nil, d.nl), closer(d.store != nil, d.store)} {
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

// signals takes a new configuration on SIGHUP.
func (d *daemon) signals(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if err := d.Reload(ctx, "SIGHUP"); err != nil {
				d.log.Error("configuration not reloaded: the old one stays", "error", err)
			}
		}
	}
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
			if d.loop.call(ctx, func(instant.Now, *relay6.Effects) {}) == nil {
				d.notify(sd.SdNotifyWatchdog)
			}
		}
	}
}

func (d *daemon) notify(state string) {
	if _, err := sd.SdNotify(false, state); err != nil {
		d.log.Warn("service manager not told", "state", state, "error", err)
	}
}

// reloading is what notify-reload wants to hear: both in one message.
func reloading() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return sd.SdNotifyReloading
	}
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, t.Nano()/1000)
}

// Reload takes the configuration file anew. A file with errors changes nothing.
func (d *daemon) Reload(ctx context.Context, who string) error {
	d.notify(reloading())
	defer d.notify(sd.SdNotifyReady)
	err := d.reload(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.refused++
		d.lastErr = err.Error()
		return err
	}
	d.reloads++
	d.lastErr, d.loaded = "", time.Now()
	d.log.Info("configuration reloaded", "by", who, "config", d.path)
	return nil
}

func (d *daemon) reload(ctx context.Context) error {
	next, err := config.Load(d.path)
	if err != nil {
		return err
	}
	old := d.config()
	if err := needsRestart(old, next); err != nil {
		return err
	}
	id, err := relayID(next.RelayID, next.State)
	if err != nil {
		return err
	}
	return d.loop.call(ctx, func(_ instant.Now, eff *relay6.Effects) {
		d.mu.Lock()
		d.cfg, d.relayID = next, id
		d.mu.Unlock()
		d.loop.core.Reconfigure(d.coreConfig(next), eff)
		d.hook.Reconfigure(next.Hook)
		d.loop.net.configure(next.Peers, next.Relay6.SourcePort)
		d.loop.net.update(d.loop.core)
	})
}

// needsRestart refuses what a running process cannot change without letting go
// of what it holds.
func needsRestart(old, next *config.Config) error {
	var parts []error
	for name, same := range map[string]bool{
		"state":         old.State == next.State,
		"host.protocol": old.Host.Protocol == next.Host.Protocol,
	} {
		if !same {
			parts = append(parts, fmt.Errorf("%s: cannot change while running: restart instead", name))
		}
	}
	return errors.Join(parts...)
}

func (d *daemon) config() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// Purge takes everything of ours out of the kernel: routes, filter table. The
// store stays; its folder says how to forget that too.
func Purge(path string) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
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
	return errors.Join(err, table.Purge(), table.Close())
}
