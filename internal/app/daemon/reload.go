package daemon

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/process"
	"fairlead/internal/app/service"
)

// Reload reads the configuration file again, and tells what that changes. It changes nothing if
// the file has errors, changes what a running process cannot, or takes the rule from links with
// delegations.
func (d *daemon) Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error) {
	return d.Process.Reload(ctx, d.Told, r, who, d.reload)
}

func (d *daemon) reload(ctx context.Context, r api.ReloadRequest) (api.ReloadResult, error) {
	next, err := d.Load(d.Path)
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
	if r.Force && !d.Beside {
		d.Identity.Accept()
	}
	result.Reloaded = true
	for _, w := range result.Warnings {
		d.Told.Warn("configuration", "warning", w)
	}
	return result, nil
}

// prospect tells what another configuration would change. It changes nothing.
func (d *daemon) prospect(ctx context.Context, next *config.Config) (api.ReloadResult, error) {
	old := d.config()
	result := api.ReloadResult{Links: []api.LinkChange{}, Settings: old.SettingsChanged(next)}
	for _, p := range old.PeersChanged(&next.Process) {
		result.Peers = append(result.Peers, api.PeerChange{Peer: p.Peer, Change: p.Change})
	}
	held := make(map[string]int)
	for _, name := range slices.Sorted(maps.Keys(d.players)) {
		leases, err := d.players[name].Prospect(ctx, next, &result)
		if err != nil {
			return result, err
		}
		addTo(held, leases)
	}
	for _, w := range slices.Concat(next.Warnings, process.Misfits(d.Told, held, next)) {
		result.Warnings = append(result.Warnings, w.String())
	}
	return result, nil
}

// addTo adds numbers to those with the same keys, such as the leases of two families on a link.
func addTo[N int | uint64](all, more map[string]N) {
	for key, n := range more {
		all[key] += n
	}
}

// take makes a good configuration the present one.
func (d *daemon) take(ctx context.Context, next *config.Config) error {
	if err := d.api.Reconfigure(&next.Process); err != nil {
		return err
	}
	// New peers are guarded before anything is sent to them, and old ones until nothing is sent
	// to them.
	if err := d.Hops.Reconfigure(d.protect(next)); err != nil {
		return err
	}
	d.Level.Set(service.Level(next.Log.Level))
	d.Privacy.Reconfigure(next.Privacy, next.Peers)
	if !d.Beside {
		d.Hook.Reconfigure(next.Hook)
	}
	d.mu.Lock()
	d.cfg = next
	d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.players)) {
		if err := d.players[name].Reconfigure(ctx, next); err != nil {
			return err
		}
	}
	if !d.Beside {
		d.Kernel.Soon()
	}
	d.Hops.Release()
	return nil
}

// lostOf are the links with delegations that lose their rule by a reload; nil if there is none.
func lostOf(r *api.ReloadResult) *api.LossError {
	var lost []api.LinkHoldings
	for i := range r.Links {
		if l := &r.Links[i]; l.Change == api.LinkLost && l.Prefixes+l.Addresses > 0 {
			lost = append(lost, l.LinkHoldings)
		}
	}
	if lost == nil {
		return nil
	}
	return &api.LossError{Links: lost}
}

// needsRestart refuses changes that a running process cannot make without losing its state.
func needsRestart(old, next *config.Config) error {
	own := []process.Setting{
		{Key: "state", Changed: old.State != next.State},
		{Key: "host.protocol", Changed: old.Host.Protocol != next.Host.Protocol},
		{Key: "store", Changed: old.Store != next.Store},
		{Key: "relay-id", Changed: !reflect.DeepEqual(old.RelayID, next.RelayID)},
		{Key: "log.every", Changed: old.Log.Every != next.Log.Every},
		{Key: "privacy.salt", Changed: old.Privacy.SaltKept != next.Privacy.SaltKept},
	}
	for _, name := range slices.Sorted(maps.Keys(mergedKeys(old.Sections, next.Sections))) {
		own = append(own, process.Setting{Key: name, Changed: (old.Sections[name] == nil) != (next.Sections[name] == nil)})
	}
	return process.NeedsRestart(&old.Process, &next.Process, own...)
}

// mergedKeys are the roles that at least one of two configurations has.
func mergedKeys(old, next map[string]config.Section) map[string]config.Section {
	all := maps.Clone(old)
	if all == nil {
		all = make(map[string]config.Section)
	}
	maps.Copy(all, next)
	return all
}
