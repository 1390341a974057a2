package kernel

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
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
}

func newPlayed() *played {
	state := hoststate.New()
	return &played{state: state, ledger: ledger.New(nil, state, ledger.Core{}, "", "boot")}
}

func (p *played) Kernel() ledger.Kernel { return p.ledger.Kernel() }

func (p *played) Call(_ context.Context, f func(instant.Now, *effect.Effects)) error {
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

// installed is how many operations on routes whose prefixes begin so were carried out.
func (p *played) installed(prefix string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, op := range p.done {
		if op.Route != nil && strings.HasPrefix(op.Route.Prefix.String(), prefix) {
			n++
		}
	}
	return n
}

// newComparerBench is a comparer of one part. Its kernel is read by read.
func newComparerBench(t *testing.T, read func() (*hoststate.Reading, error)) (*comparer, *played) {
	t.Helper()
	p, log := newPlayed(), slog.New(slog.DiscardHandler)
	return &comparer{
		log: log, quiet: log, limiter: notes.NewLimiter(time.Hour), feed: control.NewFeed(), every: func() time.Duration { return 0 },
		parts: []compared{p}, findings: noFindings(),
		version: func() (nft.Version, error) { return nft.Version{Others: 1}, nil },
		mend:    func() (bool, error) { return false, nil }, actual: read,
		// A comparison that spares the filter, as the first one after the start may, finds none.
		routes: func() ([]hoststate.Route, error) { return nil, nil },
		due:    make(chan struct{}, 1), changed: make(chan struct{}, 1), late: make(chan struct{}, 1),
		own: newQuick(), quick: newQuick(), rules: newQuick(),
	}, p
}

func strayRoute(n int) hoststate.Route {
	a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0xee, byte(n >> 8), byte(n)}
	return hoststate.Route{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 56), Table: hoststate.MainTable, Metric: 1}
}
