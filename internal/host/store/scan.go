package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Scan calls fn with each record of [from, to) in the order of the keys until fn returns false. A
// nil from is the beginning, a nil to the end. k and v are valid only during the call, and must
// not be changed; fn must not call the store.
//
// A record whose checksum is wrong is left out, reported by Corrupt, and moved to quarantine. A
// commit that is under way may be seen before it is acknowledged.
//
// Errors: ErrClosed; ErrBroken if nothing can be read; ErrDamaged if a part of the database
// cannot be read: fn has seen what is before it, and the next Commit repairs the store.
func (s *Store) Scan(from, to []byte, fn func(k, v []byte) bool) error {
	bad, err := s.scan(from, to, fn)
	if len(bad) > 0 {
		s.quarantine(bad)
	}
	if err != nil {
		return opError("scan", err)
	}
	return nil
}

func (s *Store) scan(from, to []byte, fn func(k, v []byte) bool) (bad []badRecord, err error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	switch {
	case s.closed.Load():
		return nil, ErrClosed
	case s.empty:
		return nil, nil
	case s.engine == nil:
		return nil, ErrBroken
	}
	lower := spaced(spaceRecord, from)
	upper := []byte{spaceRecord + 1}
	if to != nil {
		upper = spaced(spaceRecord, to)
	}
	err = s.engine.walk(lower, upper, func(key, frame []byte) bool {
		value, _, err := openFrame(key, frame)
		if err == nil {
			return fn(key[1:], value)
		}
		if len(bad) < maxQuarantineBatch {
			bad = append(bad, newBadRecord(key, frame, err))
		}
		return true
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
		s.engine.fs.cut(err)
	}
	return bad, err
}

// walk calls fn with each pair of the database in [lower, upper) until fn returns false.
func (e *engine) walk(lower, upper []byte, fn func(key, frame []byte) bool) error {
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	e.fs.ahead.begin()
	defer e.fs.ahead.end()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		frame, err := it.ValueAndErr()
		if err != nil || !fn(it.Key(), frame) {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}
