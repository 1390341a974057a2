package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The key spaces of the database: the first octet of each of its keys.
const (
	spaceRecord     = 'd' // records of the caller, in frames
	spaceMeta       = 'm' // the store's own, in frames
	spaceQuarantine = 'q' // records that were set aside, as they were found
)

// metaSeq is the key of the number of the last commit.
var metaSeq = spaced(spaceMeta, []byte("seq"))

// spaced puts key into a key space.
func spaced(space byte, key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), space), key...)
}

// A value is framed as
//
//	version (1)  seq (8)  CRC-32C (4)  value
//
// in network order. The checksum is that of the key and of everything else in the frame,
// so that a value under the wrong key is noticed too. seq is the number of the commit that
// wrote the value: when a damaged database is salvaged, it tells which of two versions is
// newer.
const (
	frameVersion = 1
	frameHeader  = 1 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort    = errors.New("shorter than its frame")
	errVersion  = errors.New("unknown frame version")
	errChecksum = errors.New("checksum mismatch")
)

// appendFrame appends the frame of a value; key is the whole key, with its space.
func appendFrame(b []byte, key []byte, seq uint64, value []byte) []byte {
	start := len(b)
	b = append(b, frameVersion)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint32(b, checksum(key, b[start:], value))
	return append(b, value...)
}

// openFrame returns the value in a frame, and the number of its commit. The value is a part of
// the frame, not a copy.
func openFrame(key, frame []byte) (value []byte, seq uint64, err error) {
	if len(frame) < frameHeader {
		return nil, 0, fmt.Errorf("%w: %d octets", errShort, len(frame))
	}
	if frame[0] != frameVersion {
		return nil, 0, fmt.Errorf("%w: %d", errVersion, frame[0])
	}
	value = frame[frameHeader:]
	if checksum(key, frame[:9], value) != binary.BigEndian.Uint32(frame[9:]) {
		return nil, 0, errChecksum
	}
	return value, binary.BigEndian.Uint64(frame[1:]), nil
}

func checksum(key, header, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, header)
	return crc32.Update(sum, castagnoli, value)
}
