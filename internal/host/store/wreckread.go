package store

import (
	"context"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// readTable takes all that can be read of one table. From the front it comes up
// to the first damaged block, from the back to the last.
func (w *wreck) readTable(path string) error {
	f, err := w.fs.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var options pebble.Options
	options.EnsureDefaults()
	table, err := sstable.NewReader(context.Background(), readable, options.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	err = w.readPairs(table, false)
	if err != nil {
		err = errors.Join(err, w.readPairs(table, true))
	}
	return errors.Join(err, table.Close())
}

func (w *wreck) readPairs(table *sstable.Reader, backwards bool) error {
	it, err := table.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return err
	}
	first, next := it.First, it.Next
	if backwards {
		first, next = it.Last, it.Prev
	}
	for kv := first(); kv != nil && w.err == nil; kv = next() {
		if len(kv.K.UserKey) == 0 {
			continue
		}
		seq := uint64(kv.SeqNum())
		switch kv.Kind() {
		case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
			frame, _, err := kv.Value(nil)
			if err != nil {
				return errors.Join(err, it.Close())
			}
			w.kept(kv.K.UserKey, frame, seq)
		case pebble.InternalKeyKindDelete, pebble.InternalKeyKindDeleteSized:
			w.deleted(kv.K.UserKey, 0, seq)
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// logBlock is the size of the blocks that a log is made of. No piece of a batch
// straddles two, so that reading can start again at each.
const logBlock = 32 << 10

// readLog takes all whole batches of one log. Behind a damaged place it goes on
// with the next block.
func (w *wreck) readLog(path string) error {
	number, _, ok := wal.ParseLogFilename(w.fs.PathBase(path))
	if !ok {
		return nil
	}
	f, err := w.fs.Open(path)
	if err != nil {
		return err
	}
	stat, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	for at := int64(0); at < stat.Size() && w.err == nil; {
		read, readErr := w.readBatches(f, at, stat.Size(), uint64(number))
		if readErr == nil {
			break
		}
		err = errors.Join(err, readErr)
		at += max(read/logBlock*logBlock, 0) + logBlock
	}
	return errors.Join(err, f.Close())
}

// readBatches takes batches from offset at, the start of a block, and returns
// how far it came.
func (w *wreck) readBatches(f vfs.File, at, size int64, number uint64) (read int64, err error) {
	from := io.NewSectionReader(f, at, size-at)
	reader := numbered(record.NewReader, from, number)
	for w.err == nil {
		before := reader.Offset()
		r, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return before, nil
		}
		if err != nil {
			return before, err
		}
		batch, err := io.ReadAll(r)
		if err != nil {
			return before, err
		}
		w.takeBatch(batch)
	}
	return 0, nil
}

// takeBatch takes what one commit wrote. Its number is in the frame of the record
// that each commit writes last.
func (w *wreck) takeBatch(batch []byte) {
	header, ok := batchrepr.ReadHeader(batch)
	if !ok {
		return
	}
	own := batchSeq(batch)
	seq := uint64(header.SeqNum)
	for r := batchrepr.Read(batch); ; seq++ {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return
		}
		switch {
		case len(key) == 0:
		case kind == pebble.InternalKeyKindSet:
			w.kept(key, value, seq)
		case kind == pebble.InternalKeyKindDelete:
			w.deleted(key, own, seq)
		}
	}
}

// batchSeq returns the number of the commit that wrote a batch, or 0.
func batchSeq(batch []byte) uint64 {
	for r := batchrepr.Read(batch); ; {
		_, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return 0
		}
		if string(key) == string(metaSeq) {
			_, seq, _ := openFrame(key, value)
			return seq
		}
	}
}

// numbered opens a log whose number has a type that Pebble keeps to itself.
func numbered[N ~uint64](open func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return open(r, N(number))
}
