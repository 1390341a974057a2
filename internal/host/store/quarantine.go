package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// maxQuarantineBatch bounds how many records one pass moves to quarantine. The next pass finds
// the others.
const maxQuarantineBatch = 1024

// badRecord is a record with an invalid frame.
type badRecord struct {
	key    []byte // without its space
	frame  []byte // as it was found
	reason error
}

func newBadRecord(key, frame []byte, reason error) badRecord {
	return badRecord{key: bytes.Clone(key[1:]), frame: bytes.Clone(frame), reason: reason}
}

// inventory tells what a database has besides sound records.
type inventory struct {
	seq         uint64            // number of the last commit
	quarantined uint64            // records in quarantine
	corrupt     map[string]string // their keys and the reasons, at most maxCorruptKept
}

// quarantine moves records out of the way that a scan found invalid, and reports them. If the
// store cannot be written, it only reports them.
func (s *Store) quarantine(bad []badRecord) {
	s.writing.Lock()
	defer s.writing.Unlock()
	moved := 0
	if e := s.engine; e != nil && e.writes() {
		var err error
		if moved, err = e.quarantine(bad); err != nil {
			s.facts.failed(err)
			s.log.Warn("store: damaged records stay where they are", "reason", err)
		}
	}
	s.facts.corrupted(bad, moved)
	s.log.Error("store: damaged records set aside", "found", len(bad), "moved", moved)
}

// quarantine moves bad records to a key space of their own, except those that were written again
// since, and returns how many it moved.
func (e *engine) quarantine(bad []badRecord) (moved int, err error) {
	err = e.apply(func(b *pebble.Batch) error {
		for _, r := range bad {
			still, err := e.unchanged(r)
			if err != nil {
				return err
			}
			if !still {
				continue
			}
			moved++
			err = errors.Join(
				b.Set(spaced(spaceQuarantine, r.key), r.frame, nil),
				b.Delete(spaced(spaceRecord, r.key), nil))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return moved, nil
}

// unchanged reports whether a record is still as it was found.
func (e *engine) unchanged(r badRecord) (bool, error) {
	frame, closer, err := e.db.Get(spaced(spaceRecord, r.key))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return bytes.Equal(frame, r.frame), closer.Close()
}

// takeStock returns what the database has besides sound records. If there are damaged ones, it
// first moves them to quarantine.
func (e *engine) takeStock(damaged bool, log *slog.Logger) (stock inventory, err error) {
	err = contain(func() error {
		for damaged {
			found, err := e.inspect()
			if err != nil {
				return err
			}
			if len(found.bad) == 0 {
				break
			}
			moved, err := e.quarantine(found.bad)
			if err != nil {
				return err
			}
			log.Error("store: damaged records set aside", "found", len(found.bad), "moved", moved)
		}
		if stock.seq, _, err = e.lastCommit(); err != nil {
			return err
		}
		return e.listQuarantine(&stock)
	})
	return stock, err
}

// findings are the result of a walk through the records.
type findings struct {
	bad      []badRecord // at most as many as one pass moves
	manifest reach       // as the last commit has it
}

// inspect reads all records.
func (e *engine) inspect() (found findings, err error) {
	err = e.walk([]byte{spaceRecord}, []byte{spaceRecord + 1}, func(key, frame []byte) bool {
		if _, _, err := openFrame(key, frame); err != nil && len(found.bad) < maxQuarantineBatch {
			found.bad = append(found.bad, newBadRecord(key, frame, err))
		}
		return true
	})
	if err != nil {
		return found, err
	}
	_, found.manifest, err = e.lastCommit()
	return found, err
}

// lastCommit returns the number of the last commit, and how far the manifest was durable then. In
// a new database both are zero.
func (e *engine) lastCommit() (seq uint64, manifest reach, err error) {
	frame, closer, err := e.db.Get(metaSeq)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, reach{}, nil
	}
	if err != nil {
		return 0, reach{}, err
	}
	value, seq, err := openFrame(metaSeq, frame)
	if err != nil {
		return 0, reach{}, errors.Join(fmt.Errorf("%w: number of the last commit: %w", ErrDamaged, err), closer.Close())
	}
	return seq, parseReach(value), closer.Close()
}

func (e *engine) listQuarantine(found *inventory) error {
	found.corrupt = make(map[string]string)
	return e.walk([]byte{spaceQuarantine}, []byte{spaceQuarantine + 1}, func(key, frame []byte) bool {
		found.quarantined++
		if len(found.corrupt) < maxCorruptListed {
			_, _, reason := openFrame(spaced(spaceRecord, key[1:]), frame)
			if reason == nil {
				reason = errChecksum
			}
			found.corrupt[string(key[1:])] = reason.Error()
		}
		return true
	})
}
