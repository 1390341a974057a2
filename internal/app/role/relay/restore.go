package relay

import (
	"bytes"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/history"
	"fairlead/internal/app/kept"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/store"
)

func (d *player) coreConfig(cfg *config.Config) *relay6.Config {
	c := section(cfg).Core(cfg.Peers, d.House.Identity.ID(), d.House.Host)
	c.Records = history.Records(cfg, d.House.Privacy)
	c.Aggregates = d.Part.Aggregates(cfg)
	return &c
}

// coreOf makes a core that knows the present links and everything that was kept. It succeeds the
// core before it, if there is one.
func (d *player) coreOf(n instant.Now, eff *effect.Effects) (*relay6.Relay, error) {
	core := relay6.New(d.coreConfig(d.Config()), d.House.BootID)
	if old := d.Engine.Core; old != nil {
		core.Succeed(old)
	}
	core.SetTrace(d.Book.Traced())
	core.Start(eff)
	k := newKeepsake(d.House.Told, d.House.Store)
	if err := k.rewrite(d.House.Store.Commit); err != nil {
		return nil, err
	}
	d.keeper.owe(k.former)
	if err := k.readLinks(core.RestoreLink); err != nil {
		return nil, err
	}
	if err := d.TellLinks(core, eff); err != nil {
		return nil, err
	}
	if d.Engine.Core == nil {
		d.foreign.begin(core)
	}
	d.foreign.permit(core, eff)
	if err := k.readBlocks(); err != nil {
		return nil, err
	}
	return core, k.Restore(binding.Relay6, func(records iter.Seq[binding.Record], lastWall time.Time) {
		core.Restore(n, records, k.blocks, lastWall, eff)
	})
}

// scanner reads records; it is host/store.
type scanner interface {
	Scan(from, to []byte, fn func(k, v []byte) bool) error
}

// keepsake is what was kept.
type keepsake struct {
	kept.Reader
	from   scanner
	former []store.Op // records that were rewritten in memory, and could not be written
	blocks []delegation.Block
}

func newKeepsake(log *slog.Logger, from scanner) *keepsake {
	s := &keepsake{from: from}
	s.Reader = kept.Reader{Log: log, Scan: s.scan}
	return s
}

// rewriteAtOnce bounds how many records one commit rewrites.
const rewriteAtOnce = 4096

// rewrite turns records of the version that had only one role into present ones. If the store
// cannot be written, they are read as if it had been.
func (s *keepsake) rewrite(commit func([]store.Op) error) error {
	from, to := relay6.FormerRange()
	for more := true; more; {
		var ops []store.Op
		more = false
		err := s.from.Scan(from, to, func(k, v []byte) bool {
			if more = len(ops) >= 2*rewriteAtOnce; more {
				return false
			}
			from = append(bytes.Clone(k), 0)
			now, err := relay6.Rewrite(bytes.Clone(k), v)
			if err != nil {
				s.Odd(k, err)
				return true
			}
			for _, op := range now {
				ops = append(ops, store.Op{Key: op.Key, Value: op.Value})
			}
			return true
		})
		if err != nil || len(ops) == 0 {
			return err
		}
		if ops, err = s.withoutOlder(ops); err != nil {
			return err
		}
		if err := commit(ops); err != nil {
			s.Log.Error("records of a former version could not be rewritten: they are used all the same", "error", err)
			s.former = append(s.former, ops...)
		}
	}
	return nil
}

// keeper keeps what the engine has decided. Records that could not be rewritten are written
// first: otherwise the next start would take an old record for a delegation that has ended
// meanwhile.
type keeper struct {
	to   engine.Keeper
	mu   sync.Mutex // guards owed
	owed []store.Op
}

// owe takes in what is still to be rewritten.
func (k *keeper) owe(ops []store.Op) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owed = ops
}

// Commit implements engine.Keeper.
func (k *keeper) Commit(ops []store.Op) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.owed) > 0 {
		n := min(len(k.owed), 2*rewriteAtOnce)
		if err := k.to.Commit(k.owed[:n]); err != nil {
			return fmt.Errorf("records of a former version: %w", err)
		}
		k.owed = k.owed[n:]
	}
	return k.to.Commit(ops)
}

// withoutOlder leaves out rewritten records whose keys are in use already: an earlier start could
// not write the store, and what was kept after that is newer.
func (s *keepsake) withoutOlder(ops []store.Op) ([]store.Op, error) {
	some := ops[:0]
	for _, op := range ops {
		there := false
		if op.Value != nil {
			if err := s.from.Scan(op.Key, append(bytes.Clone(op.Key), 0), func(_, _ []byte) bool { there = true; return false }); err != nil {
				return nil, err
			}
		}
		if !there {
			some = append(some, op)
		}
	}
	return some, nil
}

// scan scans the store, and then the rewritten records that could not be written.
func (s *keepsake) scan(from, to []byte, fn func(k, v []byte) bool) error {
	err := s.from.Scan(from, to, fn)
	for _, op := range s.former {
		if op.Value != nil && bytes.Compare(op.Key, from) >= 0 && bytes.Compare(op.Key, to) < 0 && !fn(op.Key, op.Value) {
			break
		}
	}
	return err
}

func (s *keepsake) readBlocks() error {
	lo, hi := delegation.BlockRange()
	return s.scan(lo, hi, func(k, _ []byte) bool {
		b, err := delegation.ParseBlock(k)
		if err != nil {
			s.Odd(k, err)
			return true
		}
		s.blocks = append(s.blocks, b)
		return true
	})
}

// readLinks gives the records of links to restore.
func (s *keepsake) readLinks(restore func(link string, rec relay6.LinkRecord)) error {
	lo, hi := relay6.LinkRange()
	return s.scan(lo, hi, func(k, v []byte) bool {
		link, rec, err := relay6.ParseLinkRecord(k, v)
		if err != nil {
			s.Odd(k, err)
			return true
		}
		restore(link, rec)
		return true
	})
}
