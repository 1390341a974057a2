// Package kept reads the records of the store for a core that begins.
package kept

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/ledger"
	"fairlead/internal/host/store"
)

// Reader reads records. A record that cannot be read is reported and left; the others count.
type Reader struct {
	Log  *slog.Logger
	Scan func(from, to []byte, fn func(k, v []byte) bool) error // Scan of package store

	Err error // set by Bindings when it has yielded everything
}

// Bindings yields the bindings that are kept in a space, one after another, because there may be
// very many. The next ones are read meanwhile: with a million, reading takes as long as taking in.
func (r *Reader) Bindings(in binding.Space) iter.Seq[binding.Record] {
	return func(yield func(binding.Record) bool) {
		read, used := make(chan []binding.Record, groups), make(chan []binding.Record, groups)
		for range groups {
			used <- make([]binding.Record, 0, groupLen)
		}
		enough := make(chan struct{})
		go func() {
			defer close(read)
			r.Err = r.readGroups(in, read, used, enough)
		}()
		defer func() { // the reader is done when Bindings returns
			close(enough)
			for range read {
			}
		}()
		for group := range read {
			for _, rec := range group {
				if !yield(rec) {
					return
				}
			}
			used <- group[:0]
		}
	}
}

// Records are read ahead in groups: as many, and of so many records.
const (
	groups   = 4
	groupLen = 256
)

// readGroups reads the bindings of a space into groups that have been used, until it is enough.
func (r *Reader) readGroups(in binding.Space, read chan<- []binding.Record, used <-chan []binding.Record, enough <-chan struct{}) error {
	lo, hi := binding.KeyRange(in)
	var reader binding.Reader
	group := <-used
	err := r.Scan(lo, hi, func(k, v []byte) bool {
		rec, err := reader.Parse(v)
		if err != nil {
			r.Odd(k, err)
			return true
		}
		if group = append(group, rec); len(group) < groupLen {
			return true
		}
		read <- group
		select {
		case group = <-used:
			return true
		case <-enough:
			group = nil
			return false
		}
	})
	read <- group
	return err
}

// Restore gives a core the bindings that are kept in a space, and the last time that was kept.
func (r *Reader) Restore(in binding.Space, core func(records iter.Seq[binding.Record], lastWall time.Time)) error {
	lastWall, err := r.Clock()
	if err != nil {
		return err
	}
	core(r.Bindings(in), lastWall)
	return r.Err
}

// Clock is the last time that was kept; zero if there is none.
func (r *Reader) Clock() (last time.Time, err error) {
	key := ledger.ClockKey()
	err = r.Scan(key, append(append([]byte(nil), key...), 0), func(_, v []byte) bool {
		last = ledger.ParseClock(v)
		return false
	})
	return last, err
}

// Odd reports a record that cannot be read.
func (r *Reader) Odd(key []byte, err error) {
	r.Log.Error("record not understood: left alone", "key", fmt.Sprintf("%x", key), "error", err)
}

// Build makes a core from the store by build. If a part of the database cannot be read, the store
// is repaired, once.
func Build[C any](log *slog.Logger, commit func([]store.Op) error, eff *effect.Effects, build func() (C, error)) (C, error) {
	core, err := build()
	if errors.Is(err, store.ErrDamaged) {
		log.Error("store cannot be read: it is repaired", "error", err)
		if err = commit(nil); err == nil {
			eff.Reset()
			core, err = build()
		}
	}
	return core, err
}
