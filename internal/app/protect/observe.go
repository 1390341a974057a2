package protect

import (
	"context"
	"time"

	"fairlead/internal/core/hop"
)

// observeGuard looks at the guard table and the block policies, and mends them before anything
// else is done, because strongSwan may be slow.
func (v *Supervisor) observeGuard(ctx context.Context, seen *hop.Seen) {
	if v.mend(ctx, seen) {
		v.mend(ctx, seen) // what is there after the mending
	}
	if v.gate.closed() {
		v.glance()
	}
}

// mend looks at both barriers once, and reports whether it changed anything.
func (v *Supervisor) mend(ctx context.Context, seen *hop.Seen) bool {
	seen.Guard, seen.GuardError = nil, ""
	if g, err := v.guard.Observe(); err != nil {
		seen.GuardError = "the guard table cannot be read: " + err.Error()
	} else {
		seen.Guard = &g
	}
	var err error
	if seen.Unblocked, err = v.xfrm.Unblocked(); err != nil {
		seen.Unblocked = "they cannot be read: " + err.Error()
	}
	v.mu.Lock()
	actions := v.monitor.ObserveGuard(v.now(), seen)
	v.mu.Unlock()
	for _, a := range actions {
		v.do(ctx, a)
	}
	return len(actions) > 0
}

// glance looks at the kernel alone. That is enough where its SAs are known already.
func (v *Supervisor) glance() {
	began := v.gate.begin()
	seen := new(hop.Seen)
	if k, err := v.xfrm.Observe(); err != nil {
		seen.KernelError = err.Error()
	} else {
		seen.Kernel = &k
	}
	if !v.gate.see(seen, began, v.judged) {
		v.look()
	}
}

// lookMeanwhile runs a deed that strongSwan may delay, and goes on looking at the guard table
// meanwhile. seen holds the last state of the guard table.
func (v *Supervisor) lookMeanwhile(ctx context.Context, seen *hop.Seen, deed func() error) error {
	done := make(chan error, 1)
	go func() { done <- deed() }()
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			v.observeGuard(ctx, seen)
		case <-v.kick:
			v.observeGuard(ctx, seen)
		}
	}
}

// observe looks at everything except the guard.
func (v *Supervisor) observe(ctx context.Context, hops []hop.Hop, seen *hop.Seen) {
	seen.Charon, seen.CharonError, seen.Kernel, seen.KernelError = nil, "", nil, ""
	if usesIKE(hops) {
		limited, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		err := v.lookMeanwhile(ctx, seen, func() error {
			c, err := v.charon.Observe(limited)
			if err == nil {
				seen.Charon = &c
			}
			return err
		})
		if err != nil {
			seen.CharonError = err.Error()
		}
	}
	seen.VRF = v.xfrm.VRF(hops)
	if k, err := v.xfrm.Observe(); err != nil {
		seen.KernelError = err.Error()
	} else {
		seen.Kernel = &k
	}
}
