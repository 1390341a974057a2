package daemon

import (
	"context"
	"time"

	"fairlead/internal/core/relay6"
	"fairlead/internal/host/store"
)

// forgetHistory takes away what is older than the configuration keeps.
func (d *daemon) forgetHistory(ctx context.Context) error {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		if err := d.forgetBefore(ctx, time.Now().Add(-d.config().History.Keep)); err != nil {
			d.log.Warn("history not shortened", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

const forgetAtOnce = 1000

func (d *daemon) forgetBefore(ctx context.Context, end time.Time) error {
	lo, hi := relay6.HistoryRange(time.Unix(0, 0), end)
	for ctx.Err() == nil {
		var ops []store.Op
		err := d.store.Scan(lo, hi, func(k, _ []byte) bool {
			ops = append(ops, store.Op{Key: append([]byte(nil), k...)})
			return len(ops) < forgetAtOnce
		})
		if err != nil || len(ops) == 0 {
			return err
		}
		if err := d.store.Commit(ops); err != nil {
			return err
		}
	}
	return nil
}
