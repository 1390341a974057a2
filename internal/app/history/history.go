// Package history bounds what is kept of bindings that have ended, as the configuration asks. All
// roles write into one history.
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
	ageEvery     = time.Hour        // between two searches for entries that are too old
	excessEvery  = 10 * time.Second // between two counts of the entries
	forgetAtOnce = 1000             // entries in one commit
	maskAtOnce   = 1000
)

// Of tells how much history a configuration permits. There is none where the store keeps as
// little as possible, nor where identifiers are not even kept as hashes.
func Of(c *config.Config) config.History {
	h := c.History
	if c.Privacy.StoreMinimal || c.Privacy.History == config.IdentifiersNone {
		h.Keep = 0
	}
	return h
}

// Records tells how bindings are kept under a configuration. The rules mask what the history must
// not tell of a client.
func Records(c *config.Config, rules *privacy.Rules) ledger.Records {
	return ledger.Records{
		NoHistory: Of(c).Keep == 0, Minimal: c.Privacy.StoreMinimal,
		MaskPast: func(past *binding.Binding) { rules.History().Past(past) },
	}
}

// archive is the store, host/store, which has the history.
type archive interface {
	Commit(ops []store.Op) error
	Scan(from, to []byte, fn func(k, v []byte) bool) error
}

// History knows the length of the history without reading all of it each time: it counts once,
// then adds what Commit keeps, and subtracts what it deletes.
type History struct {
	log     *slog.Logger
	from    archive
	privacy *privacy.Rules // nil: nothing is masked
	added   atomic.Int64   // entries that were kept since the process began

	masked  config.Identifiers // every entry is masked at least as far as this says
	counted bool
	base    int64 // the number of entries, less added
}

// New makes the History of a store.
func New(log *slog.Logger, from archive, rules *privacy.Rules) *History {
	return &History{log: log, from: from, privacy: rules}
}

// Commit keeps what a role has decided. Any goroutine may call it.
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

// Run deletes the entries that are too old or too many for the configuration, until ctx ends.
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

// shorten deletes the oldest entries above the number that limits permit. Where old is set, it
// first deletes those that ended too long ago.
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

// count reads the whole history. An entry that is kept just as it begins may count twice: then
// one of the oldest is deleted too early.
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

// mask masks, once, the entries that were kept before the configuration wanted them masked. New
// entries are masked already when they are kept.
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
				return true // an entry that cannot be read stays as it is
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

// forget deletes the oldest entries below a key, at most that many.
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
			h.counted = false // they may be deleted in spite of the error
			return err
		}
		h.base -= int64(len(ops))
		most -= int64(len(ops))
		lo = append(ops[len(ops)-1].Key, 0) // the next search begins after what was deleted
	}
	return nil
}
