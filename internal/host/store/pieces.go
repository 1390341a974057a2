package store

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Pebble's logs and manifests consist of pieces. A piece never lies in two blocks. A
// batch, or an edit of the manifest, is one piece or several. Each piece begins with
//
//	CRC-32C (4)  length (2)  type (1)                                      types 1 to 4: manifests
//	CRC-32C (4)  length (2)  type (1)  log number (4)                      types 5 to 8
//	CRC-32C (4)  length (2)  type (1)  log number (4)  synced offset (8)   types 9 to 12
//
// in little-endian order. Anything may follow the last piece, because files are used
// again.
//
// Pebble takes a broken piece in the last block for a torn tail, and forgets what
// follows. In this store every commit waits until the one before it is durable, and so
// does every edit: the beginning of a later one proves that the broken piece was once
// whole, and that the disk has lost it since. The mark at the end of a log proves
// nothing, because it may be written together with the last batch.
const (
	logBlock       = 32 << 10
	manifestHeader = 7
	logHeader      = manifestHeader + 4
	syncHeader     = logHeader + 8
)

// pieceLog is a log, or a manifest, read into memory.
type pieceLog struct {
	data     []byte
	number   uint32 // of a log
	manifest bool
}

// piece is a whole piece.
type piece struct {
	first, last bool
	payload     []byte
	end         int // offset of what follows
}

// at reads the piece at an offset.
func (l pieceLog) at(off int) (piece, bool) {
	blockEnd := min(off-off%logBlock+logBlock, len(l.data))
	if off+manifestHeader > blockEnd {
		return piece{}, false
	}
	kind := l.data[off+6]
	header := headerLen(kind)
	end := off + header + int(binary.LittleEndian.Uint16(l.data[off+4:]))
	switch {
	case header == 0, l.manifest != (header == manifestHeader), end > blockEnd:
		return piece{}, false
	case !l.manifest && binary.LittleEndian.Uint32(l.data[off+7:]) != l.number:
		return piece{}, false
	case pieceSum(l.data[off+6:end]) != binary.LittleEndian.Uint32(l.data[off:]):
		return piece{}, false
	}
	place := (kind - 1) % 4 // whole, first, middle, last
	return piece{first: place <= 1, last: place%3 == 0, payload: l.data[off+header : end], end: end}, true
}

// headerLen returns the length of the header of a type, or 0.
func headerLen(kind byte) int {
	switch {
	case kind >= 1 && kind <= 4:
		return manifestHeader
	case kind >= 5 && kind <= 8:
		return logHeader
	case kind >= 9 && kind <= 12:
		return syncHeader
	}
	return 0
}

// pieceSum is the CRC-32C, masked as the format prescribes.
func pieceSum(b []byte) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// walk gives each whole batch to take. It returns the end of the last one, and the offsets
// of pieces that were lost. A torn tail does not count as lost.
func (l pieceLog) walk(take func(batch []byte)) (end int, lost []int) {
	var batch []byte
	within := false // a batch has begun and not ended
	for off := 0; off < len(l.data); {
		if rest := logBlock - off%logBlock; rest < syncHeader && zero(l.data[off:min(off+rest, len(l.data))]) {
			off += rest
			continue
		}
		p, ok := l.at(off)
		if !ok || !within && !p.first {
			next := l.resume(off)
			if next < 0 {
				return end, lost
			}
			lost = append(lost, off)
			off, within = next, false
			continue
		}
		if p.first {
			if within {
				lost = append(lost, off)
			}
			batch = batch[:0]
		}
		batch = append(batch, p.payload...)
		off = p.end
		if within = !p.last; p.last {
			take(batch)
			end = off
		}
	}
	return end, lost
}

// resume returns where the first batch after a broken piece begins, or -1. If the length
// of the broken piece leads to another piece, reading goes on there. Otherwise the next
// piece may be anywhere.
func (l pieceLog) resume(off int) int {
	if off+manifestHeader <= len(l.data) {
		next := off + headerLen(l.data[off+6]) + int(binary.LittleEndian.Uint16(l.data[off+4:]))
		if next > off && l.startsAt(next) {
			return next
		}
	}
	for next := off + 1; next+manifestHeader <= len(l.data); next++ {
		if l.startsAt(next) {
			return next
		}
	}
	return -1
}

func (l pieceLog) startsAt(off int) bool {
	p, ok := l.at(off)
	return ok && p.first && len(p.payload) > 0
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
