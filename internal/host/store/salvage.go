package store

import (
	"errors"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// salvage copies what can be read of a damaged database into a new one. It reads the tables and
// logs that are there, and not the manifest, which may be what is lost. The number of the commit
// in each frame tells which version of a record is newer.
//
// A record that was deleted may come back, if the evidence of its deletion was in the damaged
// part, or was compacted away. What cannot be read is skipped.
//
// It needs a few words of memory for each key.
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

// versions tells what is known of one key: the numbers of its newest version and of its newest
// deletions. own counts commits, and is in frames and logs. engine is Pebble's count, which is in
// tables; it is 0 where Pebble knows that there is nothing older.
type versions struct {
	own, engine     uint64
	exists          bool
	deletedInLog    struct{ own, engine uint64 }
	deletedInTables uint64 // in Pebble's count
}

func (v versions) deleted() bool {
	d := v.deletedInLog
	return d.own > v.own || d.own == v.own && d.engine > v.engine || v.deletedInTables > v.engine
}

// wreck is a salvage that is under way. err has its first failure to write.
type wreck struct {
	store *Store
	to    *engine
	batch *pebble.Batch
	keys  map[string]versions
	seq   uint64
	left  int // versions with invalid frames, which are not copied
	err   error
}

// salvageBatchBytes is how much one write has.
const salvageBatchBytes = 256 << 10

// take takes one version of a record. A version with an invalid frame is left.
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

// flush writes the present batch, and begins a new one.
func (w *wreck) flush() {
	full := w.batch
	w.batch = w.to.db.NewBatch()
	w.err = errors.Join(w.err, w.to.apply(func(b *pebble.Batch) error { return b.Apply(full, nil) }), full.Close())
}

// finish deletes the keys whose deletion is the newest, and writes the number of the last commit.
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
