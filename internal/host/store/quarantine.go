package store

import (
	"bytes"
	"errors"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
)

// maxQuarantineBatch bounds what one pass moves to quarantine; the next pass
// finds the rest.
const maxQuarantineBatch = 1024

// badRecord is a record that does not fit its frame.
type badRecord struct {
	key    []byte // without its space
	frame  []byte // as it was found
	reason error
}

func newBadRecord(key, frame []byte, reason error) badRecord {
	return badRecord{key: bytes.Clone(key[1:]), frame: bytes.Clone(frame), reason: reason}
}

// inventory is what a look at the whole database tells.
type inventory struct {
	seq         uint64            // the highest number of a commit
	quarantined uint64            // records in quarantine
	corrupt     map[string]string // their keys and reasons, at most maxCorruptKept
}

// quarantine moves records out of the way that a scan came across, and reports
// them. Where the store does not take writes, it only reports.
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

// quarantine moves bad records to their own space, except those that were
// written anew since, and returns how many it moved.
func (e *engine) quarantine(bad []badRecord) (moved int, err error) {
	err = e.apply(func(b *pebble.Batch) error {
		for _, r := range bad {
			still, err := e.holds(r)
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

// holds reports whether the record is still as it was found.
func (e *engine) holds(r badRecord) (bool, error) {
	frame, closer, err := e.db.Get(spaced(spaceRecord, r.key))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return bytes.Equal(frame, r.frame), closer.Close()
}

// check looks at every record, moves those to quarantine that do not fit their
// frames, and returns what it found. An error means that the database cannot be
// read whole.
func (e *engine) check(log *slog.Logger) (found inventory, err error) {
	err = guard(func() error {
		for {
			bad, seq, err := e.inspect()
			if err != nil {
				return err
			}
			found.seq = seq
			if len(bad) == 0 {
				break
			}
			moved, err := e.quarantine(bad)
			if err != nil {
				return err
			}
			log.Error("store: damaged records set aside", "found", len(bad), "moved", moved)
		}
		return e.listQuarantine(&found)
	})
	return found, err
}

// inspect reads all that carries a frame. It stops early when it has found as
// many bad records as one pass moves.
func (e *engine) inspect() (bad []badRecord, seq uint64, err error) {
	err = e.walk([]byte{spaceRecord}, []byte{spaceMeta + 1}, func(key, frame []byte) bool {
		_, n, err := openFrame(key, frame)
		switch {
		case err == nil:
			seq = max(seq, n)
		case key[0] == spaceRecord:
			bad = append(bad, newBadRecord(key, frame, err))
		}
		return len(bad) < maxQuarantineBatch
	})
	return bad, seq, err
}

func (e *engine) listQuarantine(found *inventory) error {
	found.corrupt = make(map[string]string)
	return e.walk([]byte{spaceQuarantine}, []byte{spaceQuarantine + 1}, func(key, frame []byte) bool {
		found.quarantined++
		if len(found.corrupt) < maxCorruptKept {
			_, _, reason := openFrame(spaced(spaceRecord, key[1:]), frame)
			if reason == nil {
				reason = errChecksum
			}
			found.corrupt[string(key[1:])] = reason.Error()
		}
		return true
	})
}
