package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/service"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// signals takes a new configuration on SIGHUP.
func (d *daemon) signals(ctx context.Context) error {
	return service.Hangups(ctx, d.hangups, d.log, d.Reload)
}

// Reload takes the configuration file anew. A file with errors, or one that
// changes what a running process cannot, changes nothing.
func (d *daemon) Reload(ctx context.Context, who string) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	service.Notify(d.log, service.Reloading())
	defer service.Notify(d.log, sd.SdNotifyReady)
	err := d.reload(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastReload = time.Now()
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
	if err := needsRestart(d.config(), next); err != nil {
		return err
	}
	id, err := d.nextRelayID(next)
	if err != nil {
		return err
	}
	if err := d.api.Reconfigure(next); err != nil {
		return err
	}
	// New peers' guard holds before anything is sent to them, that of old ones
	// until nothing is.
	if err := d.hops.Reconfigure(protected(next)); err != nil {
		return err
	}
	d.level.Set(service.Level(next.Log.Level))
	d.warn(next)
	d.hook.Reconfigure(next.Hook)
	defer d.audit.soon()
	// From here on it is done wholly, whatever becomes of who asked for it.
	err = d.loop.call(context.WithoutCancel(ctx), func(_ instant.Now, eff *relay6.Effects) {
		d.mu.Lock()
		d.cfg, d.relayID = next, id
		d.mu.Unlock()
		d.privacy.Reconfigure(next.Privacy, next.Peers)
		d.loop.core.Reconfigure(d.coreConfig(next), eff)
		d.loop.net.configure(next.Peers, next.Relay6.SourcePort)
		d.loop.net.update(d.loop.core)
	})
	if err == nil {
		d.hops.Release()
	}
	return err
}

// nextRelayID is the identity under a new configuration. One that was made stays,
// whatever has become of its file.
func (d *daemon) nextRelayID(next *config.Config) (dhcp6.DUID, error) {
	if source := next.RelayID.Source; source != config.RelayIDConfigured && source == d.config().RelayID.Source {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.relayID, nil
	}
	return relayID(next.RelayID, next.State)
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
		{"log.format", old.Log.Format != next.Log.Format},
		{"log.every", old.Log.Every != next.Log.Every},
		{"ipsec.strongswan", old.IPsec.Socket != next.IPsec.Socket},
		{"privacy.salt", old.Privacy.SaltKept != next.Privacy.SaltKept},
		{"control", control.NeedsRestart(&old.Control, &next.Control)},
	} {
		if part.changed {
			problems = append(problems, fmt.Errorf("%s: cannot change while running: restart instead", part.name))
		}
	}
	return errors.Join(problems...)
}
