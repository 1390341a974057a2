// Package store keeps opaque records on disk so that a power cut, a kill or a
// full disk loses nothing that was acknowledged.
//
// It is an ordered map of octet strings, on the embedded database Pebble. It knows
// nothing of DHCP, nor of time: only its caller knows what keys and values mean. It is
// not a cache and not a log.
//
// It promises:
//
//   - When Commit returns nil, the batch is durable as a whole. After an error, the batch
//     is there as a whole or not at all.
//   - A disk that fails or fills up is an error, never an exit or a hang: at the
//     first write that fails the database is cut off from the disk, as by a power
//     cut. It can still be read, and a later Commit opens it again.
//   - A torn tail is cut off. If acknowledged commits were in it, Stats.CommitsLost tells how
//     many. A record with a wrong checksum is set aside. So is a database that cannot be
//     read, after what can be read of it was copied.
//   - It leaves files alone that it did not make. It works in dir/db, and never deletes
//     what it has set aside in dir/corrupt-….
//
// Any goroutine may call the methods. Commits are made one at a time, and scans run
// beside them. Keys and values of a caller are copied before the method returns. The
// slices that a Scan gives to its function are valid only during that call.
package store

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors that callers distinguish, by errors.Is.
var (
	ErrClosed   = errors.New("the store is closed")
	ErrFull     = errors.New("the disk is full")
	ErrBroken   = errors.New("the store is cut off from its disk")
	ErrDamaged  = errors.New("the database is damaged")
	ErrLocked   = errors.New("another process uses the store")
	ErrTooLarge = errors.New("the batch is too large")
)

// Limits of one batch.
const (
	MaxKeyBytes   = 4 << 10
	MaxBatchBytes = 64 << 20 // keys and values of one Commit
)

// DefaultReserve is the free space, in octets, below which nothing may grow.
const DefaultReserve = 16 << 20

// Op is one change: a record to keep, or one to delete.
type Op struct {
	Key   []byte
	Value []byte // nil: delete the key. An empty value is a value.
}

// Options say where and how a store keeps its records. The zero value is usable.
type Options struct {
	FS           vfs.FS       // nil: the file system of the machine
	Logger       *slog.Logger // nil: nothing is logged
	ReserveBytes int64        // 0: DefaultReserve; below 0: only the disk itself says that it is full

	memTable uint64 // 0: memTableBytes; smaller in tests, so that they flush more often
}

// Store is an open store.
type Store struct {
	fs      vfs.FS
	dir     string
	log     *slog.Logger
	reserve uint64
	engines engineOptions
	tighten func(dir string) error // closes files to other users; nil: the disk is not a folder of this host
	closed  atomic.Bool

	cuts chan struct{} // tells the keeper that an engine was cut off from its disk
	quit chan struct{} // closed to end the keeper
	done chan struct{} // closed when the keeper has ended

	writing sync.Mutex // held while committing, opening, repairing and closing; guards all following fields
	seq     uint64     // of the last commit
	lost    int        // engines left behind
	lock    io.Closer  // nil: not held
	reached vfs.File   // see reachedFile; nil: not open

	reading sync.RWMutex // held shared while engine is used, alone while it is replaced
	engine  *engine      // nil: nothing can be read; replaced only with writing held too
	empty   bool         // there is no database yet, and none could be made; guarded as engine is

	facts facts
}

// Open opens the store in dir. If there is none it makes one, which only its owner can read. A
// torn tail is cut off. A damaged database does not prevent opening: see Stats.DatabasesSetAside.
// If the disk accepts no writes, for whatever reason, the store is opened for reading, and is
// empty if nothing was ever kept; each Commit tries again.
//
// Errors: ErrLocked, ErrFull, ErrBroken, or an error of the file system.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{
		fs:      o.FS,
		dir:     dir,
		log:     o.Logger,
		reserve: DefaultReserve,
		cuts:    make(chan struct{}, 1),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	if s.fs == nil {
		s.fs, s.tighten = privateFS{vfs.Default}, tighten
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.ReserveBytes > 0:
		s.reserve = uint64(o.ReserveBytes)
	case o.ReserveBytes < 0:
		s.reserve = 0
	}
	s.engines = engineOptions{disk: s.fs, memTable: memTableBytes, log: s.log, onCut: s.wake}
	if o.memTable > 0 {
		s.engines.memTable = o.memTable
	}
	if err := s.start(); err != nil {
		return nil, opError("open", errors.Join(err, s.returnLock()))
	}
	go s.awaitCutOff()
	return s, nil
}

// Close closes the store. What was committed is durable before that, whether Close fails or not.
// Close waits for a Commit and for scans that are under way. A second Close returns ErrClosed.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return opError("close", ErrClosed)
	}
	close(s.quit)
	<-s.done
	s.writing.Lock()
	defer s.writing.Unlock()
	s.reading.Lock()
	defer s.reading.Unlock()
	s.letGoOfReached()
	err := errors.Join(s.sayGoodbye(), s.drop())
	return errors.Join(err, s.returnLock())
}
