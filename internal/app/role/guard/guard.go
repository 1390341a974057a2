// Package guard is "fairlead guard": it protects the DHCP traffic of somebody
// else's server or relay agent on this host as RFC 8213 asks for, with the same
// configuration of peers as the relay's own. The program that it protects knows
// nothing of it. It relays nothing itself.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/service"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/bypass"
	"fairlead/internal/host/nft"
)

// guard is all parts of the running process. It is the backend of its control
// interface.
type guard struct {
	process    *process.Process
	log        *slog.Logger
	supervisor *protect.Supervisor
	server     *control.Server
	scrapes    *metrics.Server

	mu       sync.Mutex // guards all following fields
	cfg      *config.Guard
	programs []api.Program
	hidden   string // why there may be more of them
}

// Run guards until ctx ends or something without which it cannot go on fails.
// What holds clear messages back stays when it returns.
func Run(ctx context.Context, path string) error {
	cfg, err := config.LoadGuard(path)
	if err != nil {
		return err
	}
	p, ctx, end := process.Begin(ctx, path, &cfg.Process)
	defer end()
	g := &guard{process: p, log: p.Log, cfg: cfg}
	process.Warn(g.log, g.warnings(cfg))
	// Before anything else: what a guard that runs has in the kernel is its own.
	owner, err := nft.Own(nft.RoleGuard, "fairlead guard")
	if err != nil {
		return err
	}
	return errors.Join(g.run(ctx), owner.Close())
}

func (g *guard) run(ctx context.Context) error {
	cfg := g.config()
	var err, unheard error
	g.server, unheard = control.Listen(&cfg.Process, control.Guard(g), g.log)
	// Whatever else is wrong, nothing passes in clear.
	if g.supervisor, err = protect.Open(g.options(), settings(cfg)); err != nil {
		return errors.Join(err, unheard)
	}
	if unheard != nil {
		return errors.Join(unheard, g.supervisor.Close())
	}
	return errors.Join(g.serve(ctx), g.supervisor.Close())
}

func (g *guard) options() protect.Options {
	return protect.Options{
		Owner: hop.OwnerGuard, Socket: g.cfg.IPsec.Socket, Log: g.log,
		Note: func(n hop.Note) { g.process.Feed.Offer(control.HopEvent(&n, time.Now())) },
	}
}

func settings(cfg *config.Guard) protect.Settings {
	s := protect.Settings{Hops: cfg.Hops(), Others: cfg.Others, Remove: cfg.IPsec.Remove}
	for i := range cfg.Peers {
		if p := &cfg.Peers[i]; p.Protection == trust.ProtectionNone {
			s.Open = append(s.Open, hop.Open{Role: p.Role, Address: p.Address, Prefix: p.Prefix, Link: p.Zone})
		}
	}
	return s
}

// warnings are what is not wrong with a configuration and should be known.
func (g *guard) warnings(cfg *config.Guard) config.Problems {
	return slices.Concat(cfg.Warnings, process.Misfits(g.log, nil, cfg))
}

func (g *guard) serve(ctx context.Context) error {
	cfg := g.config()
	g.scrapes = metrics.Listen(cfg.Metrics, metrics.Guard(g), g.log)
	defer g.scrapes.Close()
	tasks := map[string]process.Task{
		"protection": g.supervisor.Run, "control": g.server.Run, "programs": g.watchPrograms, "signals": g.process.Hangups(g.log, g.Reload),
		"metrics": g.scrapes.Run,
	}
	return g.process.Serve(ctx, g.log, tasks, func() { g.log.Info("guarding", "config", g.process.Path, "peers", len(cfg.Peers)) })
}

func (g *guard) config() *config.Guard {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg
}

// Reload reads the configuration file again, and says what that changes. A file
// with errors, or one that changes what a running process cannot, changes nothing.
func (g *guard) Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
	return g.process.Reload(ctx, g.log, r, who, g.reload)
}

func (g *guard) reload(_ context.Context, r api.ReloadRequest) (api.ReloadResult, error) {
	result := api.ReloadResult{Reloaded: !r.DryRun}
	next, err := config.LoadGuard(g.process.Path)
	if err != nil {
		return result, err
	}
	old := g.config()
	if err := process.NeedsRestart(&old.Process, &next.Process); err != nil {
		return result, err
	}
	for _, p := range old.PeersChanged(&next.Process) {
		result.Peers = append(result.Peers, api.PeerChange{Peer: p.Peer, Change: p.Change})
	}
	warnings := g.warnings(next)
	for _, w := range warnings {
		result.Warnings = append(result.Warnings, w.String())
	}
	if r.DryRun {
		return result, nil
	}
	if err := g.server.Reconfigure(&next.Process); err != nil {
		return result, err
	}
	if err := g.supervisor.Reconfigure(settings(next)); err != nil {
		return result, err
	}
	g.supervisor.Release() // what is no longer in the file may be in clear
	g.process.Level.Set(service.Level(next.Log.Level))
	g.process.Privacy.Reconfigure(next.Privacy, next.Peers)
	process.Warn(g.log, warnings)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg = next
	return result, nil
}

// Watch tells of what happens to the protection.
func (g *guard) Watch(ctx context.Context) (<-chan api.Event, error) {
	return g.process.Feed.Subscribe(ctx, func(*api.Event) bool { return true })
}

// Status is the guard at a glance.
func (g *guard) Status(context.Context) (api.GuardStatus, error) {
	states, loaded := g.supervisor.States(), g.process.Reloads().ConfigStatus
	g.mu.Lock()
	defer g.mu.Unlock()
	s := api.GuardStatus{
		Version: service.Version(), Started: g.process.Started, Uptime: api.Lifetime(time.Since(g.process.Started)),
		Config:    loaded,
		Strangers: api.Traffic(g.supervisor.Strangers()), Programs: append([]api.Program(nil), g.programs...),
	}
	for i := range g.cfg.Peers {
		s.Peers = append(s.Peers, control.ProtectionOf(&g.cfg.Peers[i], states))
	}
	s.Degraded = append(protect.Degraded(states), g.hiddenWords()...)
	if why := g.supervisor.Frames(); why != "" {
		s.Degraded = append(s.Degraded, "what programs send to peers by packet sockets is not held back: "+why)
	}
	for _, p := range g.programs {
		s.Degraded = append(s.Degraded, fmt.Sprintf("program %s (%d): %s", p.Name, p.PID, p.Problem))
	}
	if trouble := g.scrapes.Trouble(); trouble != "" {
		s.Degraded = append(s.Degraded, trouble)
	}
	if loaded.LastError != "" {
		s.Degraded = append(s.Degraded, "configuration: the last reload was refused")
	}
	return s, nil
}

func (g *guard) hiddenWords() []string {
	if g.hidden == "" {
		return nil
	}
	return []string{g.hidden}
}

// watchEvery is how often programs are looked for that IPsec cannot protect.
const watchEvery = 5 * time.Second

// watchPrograms looks for programs that pass IPsec by, and says so once for each.
func (g *guard) watchPrograms(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	told := make(map[int]bool)
	for {
		g.look(told)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (g *guard) look(told map[int]bool) {
	found, err := bypass.Programs(g.ports()...)
	programs := make([]api.Program, 0, len(found))
	there := make(map[int]bool, len(found))
	for _, p := range found {
		c := api.Program{PID: p.PID, Name: p.Name, Problem: "reads packets past IPsec, by a packet socket: it cannot be protected; what it sends to peers by one is held back"}
		if g.supervisor.Frames() != "" {
			c.Problem = "reads and sends packets past IPsec, by a packet socket: it cannot be protected"
		}
		if strings.HasPrefix(p.Name, "kea-dhcp4") {
			c.Problem += "; set dhcp-socket-type to udp"
		}
		programs = append(programs, c)
		if there[p.PID] = true; !told[p.PID] {
			g.log.Warn("a DHCP program passes IPsec by", "program", p.Name, "pid", p.PID, "ports", p.Port, "problem", c.Problem)
		}
	}
	clear(told)
	for pid := range there {
		told[pid] = true
	}
	hidden := ""
	if err != nil {
		hidden = "programs that pass IPsec by may be overlooked: " + err.Error()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if hidden != "" && g.hidden == "" {
		g.log.Warn("programs that pass IPsec by may be overlooked", "error", err)
	}
	g.programs, g.hidden = programs, hidden
}

// ports are those of the families that have protected peers.
func (g *guard) ports() (ports []uint16) {
	for _, h := range g.config().Hops() {
		ports = append(ports, h.Port())
	}
	return ports
}

// Plan is what the configuration of a guard sets up.
func Plan(path string) (string, error) {
	cfg, err := config.LoadGuard(path)
	if err != nil {
		return "", err
	}
	links, err := nft.Links()
	if err != nil {
		return "", err
	}
	return protect.Plan(hop.OwnerGuard, settings(cfg), links...), nil
}

// Purge takes everything of the guard out of strongSwan, XFRM and the packet
// filter: what it held back passes from then on. A guard that runs is an error,
// and loses nothing.
// Without a file (path is "") the defaults hold.
func Purge(path string) error {
	return process.Purge(path, config.LoadGuard, config.DefaultGuard, nft.RoleGuard, "fairlead guard purge", func(cfg *config.Guard) error {
		log := service.NewLogger(cfg.Log.Format, service.Level(cfg.Log.Level), os.Stderr)
		return protect.Purge(protect.Options{Owner: hop.OwnerGuard, Socket: cfg.IPsec.Socket, Log: log})
	})
}
