package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"
)

// Commit makes all changes of ops, in their order, or none. It returns when they are durable,
// however slow the disk is. After a failure the store can be read, and each call tries to open it
// for writing again: the caller decides how often.
//
// Errors: ErrFull, ErrBroken: nobody may be told that ops are kept; they may still be found in
// the store, all of them or none. ErrTooLarge, ErrClosed.
func (s *Store) Commit(ops []Op) error {
	size, grows, err := measure(ops)
	if err != nil {
		return opError("commit", err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.commit(ops, size, grows); err != nil {
		if !errors.Is(err, ErrClosed) {
			s.facts.failed(err)
		}
		return opError("commit", err)
	}
	return nil
}

// commit does what Commit does. The caller holds writing.
func (s *Store) commit(ops []Op, size uint64, grows bool) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.revive(); err != nil {
		return err
	}
	if len(ops) == 0 {
		return nil
	}
	if grows && s.reserve > 0 && s.room() < s.reserve+size {
		return fmt.Errorf("%w: less than %d octets are left", ErrFull, s.reserve+size)
	}
	seq := s.seq + 1
	manifest := s.engine.fs.manifestReach()
	err := s.engine.apply(func(b *pebble.Batch) error { return fillBatch(b, ops, seq, manifest) })
	if err != nil {
		s.retire()
		return classify(err)
	}
	s.seq = seq
	s.noteReached()
	s.facts.committed()
	return nil
}

// fillBatch puts ops into a batch, and the record that each commit writes about itself.
func fillBatch(b *pebble.Batch, ops []Op, seq uint64, manifest reach) error {
	var key, frame []byte
	set := func(space byte, k, v []byte) error {
		key = append(append(key[:0], space), k...)
		frame = appendFrame(frame[:0], key, seq, v)
		return b.Set(key, frame, nil)
	}
	for _, op := range ops {
		if op.Value == nil {
			key = append(append(key[:0], spaceRecord), op.Key...)
			if err := b.Delete(key, nil); err != nil {
				return err
			}
			continue
		}
		if err := set(spaceRecord, op.Key, op.Value); err != nil {
			return err
		}
	}
	return set(spaceMeta, metaSeq[1:], manifest.append(nil))
}

// sayGoodbye ends the log with an empty commit. If the commit before it is broken later, the
// empty one proves that it was once whole.
func (s *Store) sayGoodbye() error {
	if s.engine == nil || !s.engine.writes() {
		return nil
	}
	manifest := s.engine.fs.manifestReach()
	err := s.engine.apply(func(b *pebble.Batch) error { return fillBatch(b, nil, s.seq+1, manifest) })
	if err != nil {
		return opError("close", classify(err))
	}
	return nil
}

// measure returns how large a batch becomes at most, and whether it adds anything.
func measure(ops []Op) (size uint64, grows bool, err error) {
	for _, op := range ops {
		if len(op.Key) > MaxKeyBytes {
			return 0, false, fmt.Errorf("%w: a key of %d octets, %d are allowed", ErrTooLarge, len(op.Key), MaxKeyBytes)
		}
		size += uint64(len(op.Key) + len(op.Value))
		grows = grows || op.Value != nil
	}
	if size > MaxBatchBytes {
		return 0, false, fmt.Errorf("%w: %d octets, %d are allowed", ErrTooLarge, size, MaxBatchBytes)
	}
	return size, grows, nil
}

// room returns the free octets of the file system. If the file system does not tell, there is
// room enough.
func (s *Store) room() uint64 {
	usage, err := s.fs.GetDiskUsage(s.dir)
	if err != nil {
		return ^uint64(0)
	}
	return usage.AvailBytes
}

// classify puts ErrFull or ErrBroken in front of a disk's error.
func classify(err error) error {
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, ErrBroken):
		return err
	case isFull(err):
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func opError(op string, err error) error { return fmt.Errorf("store: %s: %w", op, err) }
