package protect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"syscall"
	"time"

	"fairlead/internal/core/hop"
	"fairlead/internal/host/ipsec"
	"fairlead/internal/host/nft"
)

// Deadlines for what we ask of strongSwan: it may hang.
const (
	lookLimit = 2 * time.Second
	deedLimit = 10 * time.Second
	loadEach  = 50 * time.Millisecond // added for each hop that is loaded; a strongSwan that hangs does not reach the end of it
)

// limit is how long an action may take.
func limit(a hop.Action, hops int) time.Duration {
	if a.Kind == hop.Load {
		return deedLimit + time.Duration(hops)*loadEach
	}
	return deedLimit
}

// do carries out one action, and reports whether its deadline passed first. A failure is logged,
// and the monitor asks for the action again.
func (v *Supervisor) do(ctx context.Context, a hop.Action) (late bool) {
	settings := v.current()
	ctx, cancel := context.WithTimeout(ctx, limit(a, len(settings.Hops)))
	defer cancel()
	var err error
	switch a.Kind {
	case hop.InstallGuard:
		v.log.Warn("guard table changed by somebody else: installed again", "what", a.Why)
		err = v.setGuard(&settings, v.leavingHops())
	case hop.InstallBlockPolicies:
		v.log.Warn("block policies changed by somebody else: installed again", "what", a.Why)
		err = v.setBlockPolicies(&settings, v.leavingHops())
	case hop.InstallManual:
		err = v.xfrm.Install(settings.Hops)
	default:
		err = v.lookMeanwhile(ctx, new(hop.Seen), func() error { return v.ask(ctx, &settings, a) })
	}
	if err == nil {
		v.log.Debug("protection", "did", a.Kind.String(), "hop", a.Hop, "why", a.Why)
		if a.Kind != hop.Initiate {
			v.look() // the effect of the action shows at once
		}
		return false
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return false
	}
	v.mu.Lock()
	v.monitor.Failed(v.now(), a, err.Error())
	v.states = v.monitor.States()
	v.mu.Unlock()
	v.log.Warn("protection: not done", "what", a.Kind.String(), "hop", a.Hop, "why", a.Why, "error", err)
	return errors.Is(err, context.DeadlineExceeded)
}

// ask has strongSwan do its part of an action.
func (v *Supervisor) ask(ctx context.Context, s *Settings, a hop.Action) error {
	switch a.Kind {
	case hop.Load:
		return v.charon.Load(ctx, s.Hops)
	case hop.Reinstall:
		return v.charon.Reinstall(ctx, s.find(a.Hop))
	case hop.Prune:
		return v.charon.Terminate(ctx, a.IKE...)
	default:
		return v.charon.Initiate(ctx, s.find(a.Hop), a.Selector)
	}
}

func asksStrongswan(k hop.ActionKind) bool {
	return k == hop.Load || k == hop.Reinstall || k == hop.Initiate || k == hop.Prune
}

func (v *Supervisor) tell(n hop.Note) {
	level := slog.LevelInfo
	text := "peer protected"
	switch n.Kind {
	case hop.NoteLost:
		level, text = slog.LevelError, "peer not protected: nothing passes"
	case hop.NoteFailed:
		level, text = slog.LevelWarn, "protection not negotiated"
	case hop.NoteMended:
		level, text = slog.LevelWarn, "protection set up anew"
	case hop.NoteRekeyed:
		text = "protection rekeyed"
	}
	v.log.Log(context.Background(), level, text, "peer", n.Peer, "hop", n.Hop, "what", n.Text)
	v.note(n)
}

// unload takes out of strongSwan what is ours. A strongSwan that does not run has nothing of
// ours.
func (v *Supervisor) unload() error {
	ctx, cancel := context.WithTimeout(context.Background(), deedLimit)
	defer cancel()
	err := v.charon.Unload(ctx)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}

func (v *Supervisor) tellOf(level slog.Level, err error) {
	if err != nil {
		v.log.Log(context.Background(), level, "connections not removed from strongSwan", "error", err)
	}
}

// Purge takes everything of the owner out of strongSwan, XFRM and the packet filter. A strongSwan
// that does not run has nothing of ours.
func Purge(o Options) error {
	table, err := nft.OpenGuard(o.Owner)
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	kernel, err := ipsec.OpenKernel(o.Owner)
	if err != nil {
		return errors.Join(fmt.Errorf("ipsec: %w", err), table.Close())
	}
	v := newSupervisor(o, ipsec.Open(ipsec.Options{Socket: o.Socket, Owner: o.Owner, Logger: o.Log}), kernel, table)
	return v.purge()
}

// purge takes the barriers away last, even if something before that failed.
func (v *Supervisor) purge() error {
	return errors.Join(v.unload(), v.xfrm.Remove(), v.xfrm.SetBlockPolicies(nil), v.guard.Remove(), v.Close())
}

// setBlockPolicies installs the block policies for the hops of the settings, and for hops that
// were in the settings before.
func (v *Supervisor) setBlockPolicies(s *Settings, leaving []hop.Hop) error {
	return v.xfrm.SetBlockPolicies(slices.Concat(s.Hops, leaving))
}

// setBarriers installs both barriers. It fails without the guard table; missing block policies
// are reported by the monitor.
func (v *Supervisor) setBarriers(s *Settings, held []hop.Hop) error {
	if err := v.setBlockPolicies(s, held); err != nil {
		v.log.Debug("block policies not installed", "error", err)
	}
	return v.setGuard(s, held)
}

// setGuard installs the guard table for the hops of the settings, and for hops that were in the
// settings before.
func (v *Supervisor) setGuard(s *Settings, held []hop.Hop) error {
	if s.guards() || len(held) > 0 {
		if err := v.guard.Install(slices.Concat(s.Hops, held), s.Others, s.Open...); err != nil {
			return fmt.Errorf("guard: %w", err)
		}
		return nil
	}
	if err := v.guard.Remove(); err != nil {
		// There is nothing to guard: a machine without nftables will do.
		v.log.Warn("guard table not removed: if there is one, it goes on holding back", "error", err)
	}
	return nil
}

// gone are those of the hops before whose peer has no hop after.
func gone(before, after []hop.Hop) []hop.Hop {
	return slices.DeleteFunc(before, func(b hop.Hop) bool {
		return slices.ContainsFunc(after, func(a hop.Hop) bool {
			return a.Remote == b.Remote && a.Link == b.Link && (a.RelayPort == b.RelayPort || b.RelayPort == 0)
		})
	})
}

func (v *Supervisor) leavingHops() []hop.Hop {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.leaving
}
