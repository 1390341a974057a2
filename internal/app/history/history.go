// Package history keeps of what has ended as much as the configuration lets stay. All roles
// write into one history.
package history

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/privacy"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/ledger"
	"fairlead/internal/host/store"
)

const (
	ageEvery     = time.Hour        // between two looks for what is too old
	excessEvery  = 10 * time.Second // between two looks for what is too much
	forgetAtOnce = 1000             // entries in one commit
	maskAtOnce   = 1000
)

// Of is how much of the past a configuration lets stay. Where the store keeps as little as
// it can, and where identifiers may not even be told apart, there is none.
func Of(c *config.Config) config.History {
	h := c.History
	if c.Privacy.StoreMinimal || c.Privacy.History == config.IdentifiersNone {
		h.Keep = 0
	}
	return h
}

// Records are how a configuration has bindings kept. What of a client the history is not to
// say is masked by the rules.
func Records(c *config.Config, rules *privacy.Rules) ledger.Records {
	return ledger.Records{
		NoHistory: Of(c).Keep == 0, Minimal: c.Privacy.StoreMinimal,
		MaskPast: func(past *binding.Binding) { rules.History().Past(past) },
	}
}

// archive is where the history is: host/store.
type archive interface {
	Commit(ops []store.Op) error
	Scan(from, to []byte, fn func(k, v []byte) bool) error
}

// History knows how long the history is without reading it each time: it counts once, and
// then adds what is kept by Commit and takes off what it deleted.
type History struct {
	log     *slog.Logger
	from    archive
	privacy *privacy.Rules // nil: nothing is masked
	added   atomic.Int64   // entries kept since the process began

	masked  config.Identifiers // what the entries are known to be, at least
	counted bool
	base    int64 // entries, less what added tells
}

// New is the history in a store.
func New(log *slog.Logger, from archive, rules *privacy.Rules) *History {
	return &History{log: log, from: from, privacy: rules}
}

// Commit keeps what a role has decided. It is safe for all.
func (h *History) Commit(ops []store.Op) error {
	err := h.from.Commit(ops)
	if err == nil {
		past := int64(0)
		for i := range ops {
			if ops[i].Value != nil && ledger.IsPast(ops[i].Key) {
				past++
			}
		}
		h.added.Add(past)
	}
	return err
}

// Run takes away what is older, and what is more, than the configuration keeps, until ctx
// ends.
func (h *History) Run(ctx context.Context, cfg func() *config.Config) error {
	age, excess := time.NewTicker(ageEvery), time.NewTicker(excessEvery)
	defer age.Stop()
	defer excess.Stop()
	failing := false
	for old := true; ; {
		err := h.shorten(ctx, Of(cfg()), time.Now(), old)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && (old || !failing) { // not every ten seconds
			h.log.Warn("history not shortened", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-age.C:
			old = true
		case <-excess.C:
			old = false
		}
	}
}

func (h *History) entries() int64 { return h.base + h.added.Load() }

// shorten deletes, oldest first, what is beyond the number that limits allow and,
// where old is set, before that what ended too long ago.
func (h *History) shorten(ctx context.Context, limits config.History, now time.Time, old bool) error {
	if old {
		if err := h.forgetBefore(ctx, now.Add(-limits.Keep)); err != nil {
			return err
		}
		if err := h.mask(ctx); err != nil {
			return err
		}
	}
	if !h.counted {
		if err := h.count(ctx); err != nil {
			return err
		}
	}
	_, hi := wholeHistory()
	return h.forget(ctx, hi, h.entries()-limits.Entries)
}

// count reads the whole history. What is kept in the instant in which that begins
// may count twice: then as many of the oldest go early.
func (h *History) count(ctx context.Context) error {
	base := -h.added.Load()
	lo, hi := wholeHistory()
	err := h.from.Scan(lo, hi, func(_, _ []byte) bool {
		base++
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		h.base, h.counted = base, true
	}
	return err
}

// mask masks what was kept before the configuration wanted it masked, once. What
// is kept meanwhile is masked already.
func (h *History) mask(ctx context.Context) error {
	m := h.privacy.History()
	if m.How() == h.masked {
		return nil
	}
	lo, hi := wholeHistory()
	for more := true; more && ctx.Err() == nil; {
		var ops []store.Op
		more = false
		err := h.from.Scan(lo, hi, func(k, v []byte) bool {
			past, err := ledger.ParsePast(k, v)
			if err != nil {
				return true // it is nobody's to tell whose it is
			}
			before := past.Binding
			if m.Past(&past.Binding); past.Binding != before {
				ops = append(ops, store.Op{Key: append([]byte(nil), k...), Value: past.Value()})
			}
			more = len(ops) == maskAtOnce
			return !more
		})
		if err == nil && len(ops) > 0 {
			err = h.from.Commit(ops)
		}
		if err != nil {
			return err
		}
		if more {
			lo = append(ops[len(ops)-1].Key, 0)
		}
	}
	if ctx.Err() == nil {
		h.masked = m.How()
	}
	return ctx.Err()
}

func wholeHistory() (lo, hi []byte) {
	return ledger.HistoryRange(time.Unix(0, 0), time.Unix(0, math.MaxInt64))
}

func (h *History) forgetBefore(ctx context.Context, end time.Time) error {
	_, hi := ledger.HistoryRange(time.Unix(0, 0), end)
	return h.forget(ctx, hi, math.MaxInt64)
}

// forget deletes the oldest entries below a key, and no more than most of them.
func (h *History) forget(ctx context.Context, hi []byte, most int64) error {
	lo, _ := wholeHistory()
	for most > 0 && ctx.Err() == nil {
		var ops []store.Op
		err := h.from.Scan(lo, hi, func(k, _ []byte) bool {
			ops = append(ops, store.Op{Key: append([]byte(nil), k...)})
			return int64(len(ops)) < min(most, forgetAtOnce)
		})
		if err != nil || len(ops) == 0 {
			return err
		}
		if err := h.from.Commit(ops); err != nil {
			h.counted = false // they may be deleted all the same
			return err
		}
		h.base -= int64(len(ops))
		most -= int64(len(ops))
		lo = append(ops[len(ops)-1].Key, 0) // not again over what was deleted
	}
	return nil
}
