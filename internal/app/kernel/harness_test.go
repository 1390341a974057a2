package kernel

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"fairlead/internal/app/control"
	"fairlead/internal/app/notes"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/hoststate"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
	"fairlead/internal/host/nft"
)

// played is the part of a role whose kernel takes everything. A lock stands for the loop.
type played struct {
	mu     sync.Mutex // guards all following fields
	state  *hoststate.State
	ledger *ledger.Ledger
	panics uint64
	calls  int
	done   []hoststate.Op
	before func() // called before each Call; nil: nothing is
}

func newPlayed() *played {
	state := hoststate.New()
	return &played{state: state, ledger: ledger.New(nil, state, ledger.Core{}, "", "boot")}
}

func (p *played) Kernel() ledger.Kernel { return p.ledger.Kernel() }

func (p *played) Call(_ context.Context, f func(instant.Now, *effect.Effects)) error {
	if p.before != nil {
		p.before()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	var eff effect.Effects
	f(instant.Now{}, &eff)
	p.carryOut(&eff)
	return nil
}

func (p *played) carryOut(eff *effect.Effects) {
	for _, c := range eff.Changes {
		p.done = append(p.done, c.Host...)
		p.ledger.Settle(instant.Now{}, effect.Outcome{ID: c.ID}, new(effect.Effects))
	}
}

func (p *played) Installed(_ context.Context, f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	return nil
}

func (p *played) Panics() uint64 { return p.panics }

// bench is a comparer of one part.
type bench struct {
	*comparer
	out []hoststate.Op // what was taken out
}

// newComparerBench is a comparer of one part. Its kernel is read by read.
func newComparerBench(t interface{ Helper() }, read func() (*hoststate.Reading, error)) (*bench, *played) {
	t.Helper()
	p, log, b := newPlayed(), slog.New(slog.DiscardHandler), new(bench)
	b.comparer = &comparer{
		log: log, quiet: log, limiter: notes.NewLimiter(time.Hour), feed: control.NewFeed(), every: func() time.Duration { return 0 },
		parts: []compared{p}, findings: noFindings(),
		version: func() (nft.Version, error) { return nft.Version{Others: 1}, nil },
		mend:    func() (bool, error) { return false, nil }, actual: read,
		// A comparison that spares the filter, as the first one after the start may, finds none.
		routes:  func() ([]hoststate.Route, error) { return nil, nil },
		takeOut: func(gone []hoststate.Op) error { b.out = append(b.out, gone...); return nil },
		due:     make(chan struct{}, 1), changed: make(chan struct{}, 1), late: make(chan struct{}, 1),
		own: newQuick(), quick: newQuick(), rules: newQuick(),
	}
	return b, p
}

func strayRoute(n int) hoststate.Route {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0xee, byte(n >> 8), byte(n)}
	return hoststate.Route{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 56), Table: hoststate.MainTable, Metric: 1}
}
