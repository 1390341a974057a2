package store

import (
	"errors"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// salvage copies into a new database what can be read of a damaged one. It goes
// by the tables and logs that are there, not by the manifest, which may be what
// is lost, and tells old from new by the number of the commit in each frame.
//
// A record that was deleted may come back, where the proof of its deletion was in
// the damaged part or was compacted away. What cannot be read is skipped.
//
// It keeps a few words in memory for each key that it meets.
func (s *Store) salvage() error {
	names, err := s.fs.List(s.path(databaseDir))
	if err != nil {
		return err
	}
	slices.Sort(names)
	to, err := s.engines.open(s.path(salvagingDir), false)
	if err != nil {
		return err
	}
	w := &wreck{store: s, to: to, batch: to.db.NewBatch(), keys: make(map[string]versions)}
	for _, name := range names {
		read := w.readTable
		switch {
		case strings.HasSuffix(name, ".sst"):
		case strings.HasSuffix(name, ".log"):
			read = w.readLog
		default:
			continue
		}
		if err := contain(func() error { return read(name) }); err != nil {
			s.log.Error("store: a part of the database cannot be read", "file", name, "reason", err)
		}
		if w.err != nil {
			break
		}
	}
	err = w.finish()
	s.log.Warn("store: salvaged what can be read", "keys", len(w.keys), "damaged", w.left)
	return errors.Join(err, to.close())
}

// versions is what is known of one key: the numbers of its newest version and of
// its newest deletions. own counts commits and is in frames and logs; engine is
// Pebble's count, which tables carry, and is 0 where Pebble knows that there is
// nothing older.
type versions struct {
	own, engine     uint64
	exists          bool
	deletedInLog    struct{ own, engine uint64 }
	deletedInTables uint64 // by Pebble's count
}

func (v versions) deleted() bool {
	d := v.deletedInLog
	return d.own > v.own || d.own == v.own && d.engine > v.engine || v.deletedInTables > v.engine
}

// wreck is a salvage under way. Its first failure to write stays in err.
type wreck struct {
	store *Store
	to    *engine
	batch *pebble.Batch
	keys  map[string]versions
	seq   uint64
	left  int // versions that did not fit their frames
	err   error
}

// salvageBatchBytes is how much is written at a time.
const salvageBatchBytes = 256 << 10

// take takes a version of a record. One that does not fit its frame stays behind.
func (w *wreck) take(key, frame []byte, engineSeq uint64) {
	if key[0] == spaceQuarantine {
		w.set(key, frame)
		return
	}
	if key[0] != spaceRecord {
		return
	}
	_, own, err := openFrame(key, frame)
	if err != nil {
		w.left++
		return
	}
	w.seq = max(w.seq, own)
	v := w.keys[string(key)]
	if v.exists && (own < v.own || own == v.own && engineSeq < v.engine) {
		return
	}
	v.exists, v.own, v.engine = true, own, engineSeq
	w.keys[string(key)] = v
	w.set(key, frame)
}

// deleted takes a deletion. own is 0 where it is not known.
func (w *wreck) deleted(key []byte, own, engineSeq uint64) {
	if key[0] != spaceRecord {
		return
	}
	v := w.keys[string(key)]
	switch d := &v.deletedInLog; {
	case own == 0:
		v.deletedInTables = max(v.deletedInTables, engineSeq)
	case own > d.own || own == d.own && engineSeq > d.engine:
		d.own, d.engine = own, engineSeq
		w.seq = max(w.seq, own)
	}
	w.keys[string(key)] = v
}

func (w *wreck) set(key, frame []byte) {
	w.write(w.batch.Set(key, frame, nil))
}

func (w *wreck) write(err error) {
	w.err = errors.Join(w.err, err)
	if w.err == nil && w.batch.Len() >= salvageBatchBytes {
		w.flush()
	}
}

// flush writes what has come together, and starts again.
func (w *wreck) flush() {
	full := w.batch
	w.batch = w.to.db.NewBatch()
	w.err = errors.Join(w.err, w.to.apply(func(b *pebble.Batch) error { return b.Apply(full, nil) }), full.Close())
}

// finish deletes what turned out to be deleted, and keeps the number of the last
// commit.
func (w *wreck) finish() error {
	for key, v := range w.keys {
		if v.exists && v.deleted() {
			w.write(w.batch.Delete([]byte(key), nil))
		}
	}
	w.set(metaSeq, appendFrame(nil, metaSeq, w.seq, reach{}.append(nil)))
	w.flush()
	return errors.Join(w.err, w.batch.Close())
}
