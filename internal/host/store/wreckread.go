package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// readTable takes all records of one table that can be read: from the front up to the first
// damaged block, from the back down to the last one.
func (w *wreck) readTable(name string) error {
	disk := w.store.fs
	f, err := disk.Open(disk.PathJoin(w.store.path(databaseDir), name))
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
			w.take(kv.K.UserKey, frame, seq)
		case pebble.InternalKeyKindDelete, pebble.InternalKeyKindDeleteSized:
			w.deleted(kv.K.UserKey, 0, seq)
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// readLog takes all whole batches of one log.
func (w *wreck) readLog(name string) error {
	log, err := w.store.readLog(name)
	if err != nil {
		return err
	}
	if _, lost := log.walk(w.takeBatch); len(lost) > 0 {
		return fmt.Errorf("%d places are damaged, the first at offset %d", len(lost), lost[0])
	}
	return nil
}

// takeBatch takes what one commit wrote. The number of the commit is in the frame of the record
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
			w.take(key, value, seq)
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
