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
// commit that is under way may be seen before it is acknowledged. Where the store is cut off from
// its disk meanwhile, the rest is read from what is durable.
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

// scan reads an engine, and goes on with the next one where the first was cut off meanwhile.
func (s *Store) scan(from, to []byte, fn func(k, v []byte) bool) (bad []badRecord, err error) {
	lower := spaced(spaceRecord, from)
	upper := []byte{spaceRecord + 1}
	if to != nil {
		upper = spaced(spaceRecord, to)
	}
	for {
		var again bool
		if again, err = s.scanEngine(&lower, upper, fn, &bad); !again {
			return bad, err
		}
		s.writing.Lock()
		s.retire()
		s.writing.Unlock()
	}
}

// scanEngine reads the present engine from lower on, and moves lower behind what fn has seen. With
// again, the engine was cut off from the disk: it may miss tables that it believes to have written,
// which is no damage.
func (s *Store) scanEngine(lower *[]byte, upper []byte, fn func(k, v []byte) bool, bad *[]badRecord) (again bool, err error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	switch {
	case s.closed.Load():
		return false, ErrClosed
	case s.empty:
		return false, nil
	case s.engine == nil:
		return false, ErrBroken
	}
	var last []byte
	err = s.engine.walk(*lower, upper, func(key, frame []byte) bool {
		last = append(last[:0], key...)
		value, _, err := openFrame(key, frame)
		if err == nil {
			return fn(key[1:], value)
		}
		if len(*bad) < maxQuarantineBatch {
			*bad = append(*bad, newBadRecord(key, frame, err))
		}
		return true
	})
	if err == nil {
		return false, nil
	}
	if cause := s.engine.fs.cause(); cause != nil && !errors.Is(cause, ErrDamaged) {
		if last != nil {
			*lower = append(last, 0)
		}
		return true, nil
	}
	err = fmt.Errorf("%w: %w", ErrDamaged, err)
	s.engine.fs.cut(err)
	return false, err
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
