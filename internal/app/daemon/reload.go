package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// signals takes a new configuration on SIGHUP.
func (d *daemon) signals(ctx context.Context) error {
	return service.Hangups(ctx, d.hangups, d.log, func(ctx context.Context, who string) error {
		_, err := d.Reload(ctx, api.ReloadRequest{}, who)
		return err
	})
}

// Reload reads the configuration file again, and says what that changes. A file
// with errors, one that changes what a running process cannot, or one that takes
// the rule from links with delegations, changes nothing.
func (d *daemon) Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
	d.turn.Lock()
	defer d.turn.Unlock()
	if r.DryRun {
		return d.reload(ctx, r)
	}
	service.Notify(d.log, service.Reloading())
	defer service.Notify(d.log, sd.SdNotifyReady)
	result, err := d.reload(ctx, r)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reloads.LastReload = time.Now()
	if err != nil {
		d.reloads.ReloadsRefused++
		d.reloads.LastError = err.Error()
		if who != service.Hangup { // whose error the log has anyway
			d.log.Warn("configuration not reloaded: the old one stays", "by", who, "error", err)
		}
		return api.ReloadResult{}, err
	}
	d.reloads.Reloads++
	d.reloads.LastError, d.reloads.Loaded = "", time.Now()
	attrs := append([]slog.Attr{slog.String("by", who), slog.String("config", d.path)}, result.Attrs()...)
	d.log.LogAttrs(ctx, slog.LevelInfo, "configuration reloaded", attrs...)
	return result, nil
}

func (d *daemon) reload(ctx context.Context, r api.ReloadRequest) (api.ReloadResult, error) {
	next, err := config.Load(d.path)
	if err != nil {
		return api.ReloadResult{}, err
	}
	if err := needsRestart(d.config(), next); err != nil {
		return api.ReloadResult{}, err
	}
	result, err := d.prospect(ctx, next)
	switch {
	case err != nil:
		return result, err
	case r.DryRun:
		if lost := lostOf(&result); lost != nil {
			result.Refused = lost.Error()
		}
		return result, nil
	}
	if lost := lostOf(&result); lost != nil && !r.Force {
		return result, lost
	}
	if err := d.take(ctx, next); err != nil {
		return result, err
	}
	result.Reloaded = true
	for _, w := range result.Warnings {
		d.log.Warn("configuration", "warning", w)
	}
	return result, nil
}

// take has a configuration hold that is good.
func (d *daemon) take(ctx context.Context, next *config.Config) error {
	if err := d.api.Reconfigure(&next.Process); err != nil {
		return err
	}
	// New peers' guard holds before anything is sent to them, that of old ones
	// until nothing is.
	if err := d.hops.Reconfigure(protected(next)); err != nil {
		return err
	}
	d.level.Set(service.Level(next.Log.Level))
	d.hook.Reconfigure(next.Hook)
	defer d.audit.soon()
	// From here on it is done wholly, whatever becomes of who asked for it.
	err := d.engine.Call(context.WithoutCancel(ctx), func(_ instant.Now, eff *effect.Effects) {
		d.mu.Lock()
		d.cfg = next
		d.mu.Unlock()
		d.privacy.Reconfigure(next.Privacy, next.Peers)
		d.engine.Core.Reconfigure(d.coreConfig(next), eff)
		d.engine.Core.SetTrace(d.trace())
		d.relay.net.configure(next.Peers, next.Relay6.SourcePort)
		d.relay.LinksChanged(d.engine.Core)
	})
	if err == nil {
		d.hops.Release()
	}
	return err
}

// needsRestart refuses what a running process cannot change without letting go
// of what it holds.
func needsRestart(old, next *config.Config) error {
	var problems []error
	for _, part := range []struct {
		name    string
		changed bool
	}{
		{"state", old.State != next.State},
		{"host.protocol", old.Host.Protocol != next.Host.Protocol},
		{"store", old.Store != next.Store},
		{"metrics.listen", old.Metrics != next.Metrics},
		{"relay-id", !reflect.DeepEqual(old.RelayID, next.RelayID)},
		{"log.format", old.Log.Format != next.Log.Format},
		{"log.every", old.Log.Every != next.Log.Every},
		{"ipsec.vici-socket", old.IPsec.Socket != next.IPsec.Socket},
		{"privacy.salt", old.Privacy.SaltKept != next.Privacy.SaltKept},
		{"control", control.NeedsRestart(&old.Control, &next.Control)},
	} {
		if part.changed {
			problems = append(problems, fmt.Errorf("%s: cannot change while running: restart instead", part.name))
		}
	}
	return errors.Join(problems...)
}
