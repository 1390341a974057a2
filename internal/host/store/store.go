// Package store keeps opaque records on disk so that a power cut, a kill or a
// full disk loses nothing that was acknowledged (DESIGN section 8).
//
// It is an ordered map of octet strings over the embedded database Pebble. It
// knows nothing of DHCP: what a key or a value means is its caller's business,
// and so is time. It is not a cache and not a log.
//
// What it promises:
//
//   - Commit is atomic and durable when it returns nil. After an error the batch
//     is there wholly or not at all.
//   - A disk that fails or fills up is an error, never an exit or a hang: at the
//     first write that fails the database is cut off from the disk as by a power
//     cut, stays readable, and is opened again by a later Commit.
//   - A torn tail is cut; where it held commits that had been acknowledged, that
//     is told by Stats.CommitsLost. A record whose checksum fails is set aside, and so is a
//     database that cannot be read, after what can be read of it was copied.
//   - Files that it did not make are left alone: it works in dir/db, and never
//     deletes what it set aside in dir/corrupt-….
//
// All methods may be called from any goroutine; commits are served one at a
// time, and scans run beside them. Keys and values passed in are copied before
// the method returns; slices handed to the function of a Scan die with its call.
package store

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What callers branch on, by errors.Is.
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

// DefaultReserve is the free space below which nothing grows any more.
const DefaultReserve = 16 << 20

// Op is one change: a record to keep, or one to delete.
type Op struct {
	Key   []byte
	Value []byte // nil: delete the key. An empty value is a value.
}

// Options say where and how a store keeps its records. The zero value is usable.
type Options struct {
	FS           vfs.FS       // nil: the file system of the machine
	Logger       *slog.Logger // nil: silence
	ReserveBytes int64        // 0: DefaultReserve; below 0: the disk alone says when it is full

	memTable uint64 // 0: memTableBytes. Tests flush more often.
}

// Store is an open store.
type Store struct {
	fs      vfs.FS
	dir     string
	log     *slog.Logger
	reserve uint64
	engines engineOptions
	tighten func(dir string) error // takes files away from others; nil: the disk is no folder of this host
	closed  atomic.Bool

	cuts chan struct{} // an engine was cut off from its disk
	quit chan struct{} // tells the keeper to end
	done chan struct{} // the keeper has ended

	writing sync.Mutex // held by whoever commits, opens, repairs or closes; guards all following fields
	seq     uint64     // of the last commit
	lost    int        // engines left behind
	lock    io.Closer  // nil: not held
	reached vfs.File   // see reachedFile; nil: not open

	reading sync.RWMutex // held shared while engine is read, alone while it is replaced
	engine  *engine      // nil: nothing to read from. Replaced only with writing held too.
	empty   bool         // there is no database yet, and none could be made; guarded as engine is

	facts facts
}

// Open opens the store in dir, and makes it if need be, readable by its owner
// alone. A torn tail is cut. A damaged database does not stop it: see
// Stats.DatabasesSetAside. On a disk that takes no writes, whatever the reason, the
// store is opened for reading, empty if nothing was ever kept, and Commit goes on
// trying.
//
// Errors: ErrLocked, ErrFull, ErrBroken, or what the file system said.
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

// Close ends the store. What was committed is durable already, so that an error
// is of no consequence to it. It waits for a Commit and for scans that are under
// way. A second Close returns ErrClosed.
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
