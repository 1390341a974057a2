package store

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engine is one Pebble instance with its view of the disk. When its view is cut off, another
// engine replaces it.
type engine struct {
	db     *pebble.DB
	fs     *cutFS
	fatal  chan struct{} // closed when Pebble gave up: it may hold locks for ever
	giveUp sync.Once
}

// The memory that Pebble may use. A store of 100 000 records of 200 octets is 25 MB on disk, and
// needs a few of these in memory.
const (
	memTableBytes = 2 << 20
	memTables     = 4
	cacheBytes    = 2 << 20
	maxOpenFiles  = 128
	// Clients renew, so the same records are written again and again: the more of them are merged
	// at once, the less is written again for each.
	mergeAt = 16
	// All records of a damaged table may be lost: so a table has few.
	tableFileBytes  = 512 << 10
	tableBlockBytes = 1 << 10
)

// errFatal is the error of a call into Pebble that did not return.
var errFatal = errors.New("the database gave up")

// engineOptions are what all engines of a store have in common.
type engineOptions struct {
	disk     vfs.FS
	memTable uint64
	log      *slog.Logger
	onCut    func() // called once when the engine is cut off from the disk; must not block
}

// open opens the database in dir. If the engine was cut off, the error is the reason.
func (o engineOptions) open(dir string, readOnly bool) (*engine, error) {
	e := &engine{
		fs:    &cutFS{FS: o.disk, readOnly: readOnly, onCut: o.onCut},
		fatal: make(chan struct{}),
	}
	err := contain(func() (err error) {
		e.db, err = pebble.Open(dir, e.options(o))
		return err
	})
	if cause := e.fs.cause(); cause != nil {
		if err == nil {
			err = e.close()
		}
		return nil, errors.Join(cause, err)
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *engine) options(of engineOptions) *pebble.Options {
	o := &pebble.Options{
		FS:                          e.fs,
		ReadOnly:                    e.fs.readOnly,
		Logger:                      &engineLogger{log: of.log, engine: e},
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		CacheSize:                   cacheBytes,
		MaxOpenFiles:                maxOpenFiles,
		MemTableSize:                of.memTable,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       mergeAt,
		// A compaction that cannot succeed must not delay a commit.
		L0StopWritesThreshold:      math.MaxInt32,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		EventListener: &pebble.EventListener{
			BackgroundError: e.backgroundError,
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				e.fs.cut(fmt.Errorf("%w: %s: %w", ErrDamaged, i.Path, i.Details))
			},
		},
	}
	for i := range o.Levels {
		o.TargetFileSizes[i] = tableFileBytes
		o.Levels[i].BlockSize = tableBlockBytes
		// Compression would take a fifth of a commit's time, and the records are small.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	return o
}

// writes reports whether the engine accepts writes.
func (e *engine) writes() bool { return !e.fs.readOnly && e.fs.cause() == nil }

// backgroundError cuts the engine off: Pebble would try a failed flush or compaction again, at
// once and for ever.
func (e *engine) backgroundError(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	if pebble.IsCorruptionError(err) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	} else {
		err = classify(err)
	}
	e.fs.cut(fmt.Errorf("background work: %w", err))
}

// apply commits a batch, and returns when it is durable.
func (e *engine) apply(fill func(*pebble.Batch) error) error {
	err := contain(func() error {
		b := e.db.NewBatch()
		if err := fill(b); err != nil {
			return errors.Join(err, b.Close())
		}
		if err := e.db.Apply(b, pebble.Sync); err != nil {
			return err
		}
		return b.Close()
	})
	if errors.Is(err, errFatal) {
		e.abandon(err)
	}
	if cause := e.fs.cause(); cause != nil {
		return cause
	}
	return err
}

// abandon marks the engine as one that cannot be closed, and cuts it off from the disk.
func (e *engine) abandon(err error) {
	e.giveUp.Do(func() { close(e.fatal) })
	e.fs.cut(err)
}

// close ends the engine. An engine that gave up is left behind: the error is errFatal.
func (e *engine) close() error {
	select {
	case <-e.fatal:
		return errFatal
	default:
	}
	closed := make(chan error, 1)
	go func() { closed <- contain(e.db.Close) }()
	select {
	case err := <-closed:
		return err
	case <-e.fatal:
		return errFatal
	}
}

// contain runs a call into Pebble that may end its goroutine or panic.
func contain(call func() error) error {
	err := errFatal
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: %v", errFatal, r)
			}
		}()
		err = call()
	}()
	<-done
	return err
}
