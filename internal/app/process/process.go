// Package process has what all processes have in common: the log, the signals, the messages to
// the service manager, how a process takes a new configuration, and how what it has left in the
// kernel is removed.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/privacy"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/host/nft"
)

// Process is a running process.
type Process struct {
	Path    string // of the configuration
	Started time.Time
	Level   slog.LevelVar // of the log
	Log     *slog.Logger
	Privacy *privacy.Rules
	Feed    *control.Feed // of those who watch

	hangups   chan os.Signal
	reloading sync.Mutex // held by one reload

	mu      sync.Mutex // guards all following fields
	reloads api.ConfigCounters
}

// Begin starts a process whose configuration is c: its log, and its signals. The context
// ends at SIGTERM and SIGINT. The caller calls end when no signal is to be caught any more.
func Begin(ctx context.Context, path string, c *config.Process) (p *Process, ending context.Context, end func()) {
	ending, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ending, stop) // a second signal ends a process that hangs
	p = &Process{
		Path: path, Started: time.Now(), Privacy: privacy.New(privacy.NewKey(), c.Privacy, c.Peers), Feed: control.NewFeed(),
		hangups: make(chan os.Signal, 1), reloads: api.ConfigCounters{ConfigStatus: api.ConfigStatus{Path: path, Loaded: time.Now()}},
	}
	signal.Notify(p.hangups, syscall.SIGHUP) // from the start: a signal that comes early must wait, and not kill the process
	p.Level.Set(service.Level(c.Log.Level))
	p.Privacy.Quiet()
	p.Log = privacy.Logger(service.NewLogger(c.Log.Format, &p.Level, os.Stderr), p.Privacy)
	return p, ending, func() {
		signal.Stop(p.hangups)
		stop()
	}
}

// Task is a part of a process. It runs until ctx ends.
type Task = func(ctx context.Context) error

// Serve runs the parts of a process until ctx ends or one of them fails, and tells
// the service manager of both ends. running says in the log that they run.
func (p *Process) Serve(ctx context.Context, log *slog.Logger, parts map[string]Task, running func()) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, run := range parts {
		run = p.Privacy.Part(log, run)
		group.Go(func() error {
			if err := run(ctx); err != nil && ctx.Err() == nil { // what a part returns at the end is not an error
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	service.Notify(log, sd.SdNotifyReady)
	running()
	<-ctx.Done()
	service.Notify(log, sd.SdNotifyStopping)
	return group.Wait()
}

// Reload is the Reload of a control.Backend.
type Reload = func(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error)

// hangup is the name in the log for a caller that asked for a reload by a signal.
const hangup = "SIGHUP"

// Hangups is a task that has the configuration read again at each SIGHUP.
func (p *Process) Hangups(log *slog.Logger, reload Reload) Task {
	return func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-p.hangups:
				if _, err := reload(ctx, api.ReloadRequest{}, hangup); err != nil {
					log.Error("configuration not reloaded: the old one stays", "error", err)
				}
			}
		}
	}
}

// Reload calls take to carry out a reload, never two at the same time. It tells the service manager, counts
// the reloads, and writes into the log which were taken and which were refused.
func (p *Process) Reload(ctx context.Context, log *slog.Logger, r api.ReloadRequest, who string, take func(context.Context, api.ReloadRequest) (api.ReloadResult, error)) (api.ReloadResult, error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	if r.DryRun {
		return take(ctx, r)
	}
	service.Notify(log, service.Reloading())
	defer service.Notify(log, sd.SdNotifyReady)
	result, err := take(ctx, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reloads.LastReload = time.Now()
	if err != nil {
		p.reloads.ReloadsRefused++
		p.reloads.LastError = err.Error()
		if who != hangup { // the log has the error of a hangup anyway
			log.Warn("configuration not reloaded: the old one stays", "by", who, "error", err)
		}
		return api.ReloadResult{}, err
	}
	p.reloads.Reloads++
	p.reloads.LastError, p.reloads.Loaded = "", time.Now()
	attrs := append([]slog.Attr{slog.String("by", who), slog.String("config", p.Path)}, result.Attrs()...)
	log.LogAttrs(ctx, slog.LevelInfo, "configuration reloaded", attrs...)
	return result, nil
}

// Reloads says which configuration is in use, and counts the reloads.
func (p *Process) Reloads() api.ConfigCounters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reloads
}

// Warn logs the warnings of a configuration.
func Warn(log *slog.Logger, warnings config.Problems) {
	for _, w := range warnings {
		log.Warn("configuration", "warning", w.String())
	}
}

// Misfits warns of what a configuration names and the host does not have. held are the live
// delegations by link.
func Misfits(log *slog.Logger, held map[string]int, c interface {
	Misfits(*config.Machine) config.Problems
},
) config.Problems {
	m, err := service.Machine(held)
	if err != nil {
		log.Warn("interfaces not read: the names in the configuration are not compared with them", "error", err)
		return nil
	}
	return c.Misfits(m)
}

// Setting is a key of the file, and whether a new one changes it.
type Setting struct {
	Key     string
	Changed bool
}

// NeedsRestart refuses changes that a running process cannot make without losing its state, and
// those that the role adds.
func NeedsRestart(old, next *config.Process, own ...Setting) error {
	var problems []error
	for _, s := range slices.Concat(own, []Setting{
		{"metrics.listen", old.Metrics != next.Metrics},
		{"log.format", old.Log.Format != next.Log.Format},
		{"ipsec.vici-socket", old.IPsec.Socket != next.IPsec.Socket},
		{"control", control.NeedsRestart(&old.Control, &next.Control)},
	}) {
		if s.Changed {
			problems = append(problems, fmt.Errorf("%s: cannot change while running: restart instead", s.Key))
		}
	}
	return errors.Join(problems...)
}

// Purge calls do, which removes from the kernel what a role has left there. The
// configuration is that in path, or the defaults where path is "". While a process of that
// role runs, Purge fails and removes nothing. doing names this command to others who try
// meanwhile.
func Purge[C any](path string, load func(string) (C, error), defaults func() C, role nft.Role, doing string, do func(C) error) error {
	cfg := defaults()
	if path != "" {
		var err error
		if cfg, err = load(path); err != nil {
			return err
		}
	}
	owner, err := nft.Own(role, doing)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return errors.Join(do(cfg), owner.Close())
}

// Watch tells of events that a filter selects, with identifiers as the configuration permits.
// Traces are left out: those who trace get them.
func (p *Process) Watch(ctx context.Context, f api.Filter) (<-chan api.Event, error) {
	events, err := p.Feed.Subscribe(ctx, func(e *api.Event) bool {
		return e.Kind != effect.NoteTrace.String() && f.Matches(e.Client, e.Prefix(), e.Link)
	})
	return p.Privacy.Events(ctx, events), err
}
