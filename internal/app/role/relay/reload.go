package relay

import (
	"context"
	"reflect"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/process"
	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// Reload reads the configuration file again, and says what that changes. A file
// with errors, one that changes what a running process cannot, or one that takes
// the rule from links with delegations, changes nothing.
func (d *daemon) Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
	return d.process.Reload(ctx, d.log, r, who, d.reload)
}

func (d *daemon) reload(ctx context.Context, r api.ReloadRequest) (api.ReloadResult, error) {
	next, err := config.Load(d.process.Path)
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
	d.process.Level.Set(service.Level(next.Log.Level))
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
	return process.NeedsRestart(&old.Process, &next.Process,
		process.Setting{Key: "state", Changed: old.State != next.State},
		process.Setting{Key: "host.protocol", Changed: old.Host.Protocol != next.Host.Protocol},
		process.Setting{Key: "store", Changed: old.Store != next.Store},
		process.Setting{Key: "relay-id", Changed: !reflect.DeepEqual(old.RelayID, next.RelayID)},
		process.Setting{Key: "log.every", Changed: old.Log.Every != next.Log.Every},
		process.Setting{Key: "privacy.salt", Changed: old.Privacy.SaltKept != next.Privacy.SaltKept},
	)
}
