package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A log that was cut looks as if it had never been longer. So the number of the last
// acknowledged commit is in a file of its own too:
//
//	number (8)  CRC-32C (4)
//
// It is written when the commit is durable. It is not synced, because that would cost as
// much as the commit: after a power cut the number may be too small, and is never too
// large.
const reachedFile = "reached"

// noteReached writes the number of the last commit. If that fails, a later loss is not noticed;
// nothing else is affected.
func (s *Store) noteReached() {
	if s.reached == nil {
		f, err := s.fs.OpenReadWrite(s.path(reachedFile), vfs.WriteCategoryUnspecified)
		if err != nil {
			s.log.Debug("store: number of the last commit not noted", "reason", err)
			return
		}
		s.reached = f
	}
	b := binary.BigEndian.AppendUint64(nil, s.seq)
	if _, err := s.reached.WriteAt(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), 0); err != nil {
		s.log.Debug("store: number of the last commit not noted", "reason", err)
		s.letGoOfReached()
	}
}

func (s *Store) letGoOfReached() {
	if s.reached != nil {
		_ = s.reached.Close() // what was written counts, or nothing does
		s.reached = nil
	}
}

// readReached reads the number; 0 if it is not known.
func (s *Store) readReached() (uint64, error) {
	f, err := s.fs.Open(s.path(reachedFile))
	if oserror.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if len(b) != 12 || crc32.Checksum(b[:8], castagnoli) != binary.BigEndian.Uint32(b[8:]) {
		return 0, nil
	}
	return binary.BigEndian.Uint64(b), nil
}

// missing notes how many acknowledged commits the database, whose last one is seq, does not have.
func (s *Store) missing(seq uint64) {
	reached, err := s.readReached()
	if err != nil {
		s.log.Warn("store: whether its log lost its end cannot be told", "reason", err)
		return
	}
	if reached > seq {
		s.facts.missed(reached - seq)
		s.log.Error("store: the end of its log is lost, and with it the last records that were kept", "commits", reached-seq)
	}
}
