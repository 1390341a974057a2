package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/errors/oserror"
	"golang.org/x/sys/unix"
)

// maxLost bounds the engines that are left behind before the store stops making new ones: each
// keeps its memory.
const maxLost = 8

// takeLock takes the lock that keeps other processes out. A disk that accepts no writes needs no
// lock until it does.
func (s *Store) takeLock() error {
	if s.lock != nil {
		return nil
	}
	lock, err := s.fs.Lock(s.path(lockFile))
	switch {
	case err == nil:
		s.lock = lock
		return nil
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EIO), isFull(err), oserror.IsPermission(err):
		return classify(err)
	}
	return fmt.Errorf("%w: %w", ErrLocked, err)
}

// returnLock releases the lock.
func (s *Store) returnLock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// makeDir makes the folder so that it survives a power cut: it syncs each parent folder that it
// makes, and the folder above the first of them.
func (s *Store) makeDir() error {
	above := []string{s.fs.PathDir(s.dir)}
	for {
		last := above[len(above)-1]
		next := s.fs.PathDir(last)
		if _, err := s.fs.Stat(last); next == last || !oserror.IsNotExist(err) {
			break
		}
		above = append(above, next)
	}
	if err := s.fs.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	for _, dir := range above {
		// We may not be permitted to open a folder that others made; to make it durable is up to
		// them.
		if err := syncDir(s.fs, dir); err != nil && !oserror.IsPermission(err) {
			return err
		}
	}
	return nil
}

func (s *Store) path(name string) string { return s.fs.PathJoin(s.dir, name) }

// start opens the store for the first time. If its disk accepts no writes, it is opened only for
// reading; if there is no database either, it is empty. start runs before any other goroutine
// knows the store.
func (s *Store) start() error {
	err := s.openForWriting()
	if err == nil || errors.Is(err, ErrLocked) {
		return err
	}
	err = classify(err)
	there, unseen := s.exists(databaseDir)
	if s.empty = unseen == nil && !there; !s.empty && s.openForReading() != nil {
		return err
	}
	s.facts.failed(err)
	s.log.Warn("store: opened for reading only", "reason", err, "empty", s.empty)
	return nil
}

// awaitCutOff replaces an engine soon after it was cut off, even if nobody commits: an engine
// that is cut off may try again and again what has failed.
func (s *Store) awaitCutOff() {
	defer close(s.done)
	for {
		select {
		case <-s.quit:
			return
		case <-s.cuts:
			s.writing.Lock()
			s.retire()
			s.writing.Unlock()
		}
	}
}

// wake tells the keeper that an engine was cut off. It never blocks.
func (s *Store) wake() {
	select {
	case s.cuts <- struct{}{}:
	default:
	}
}

// retire replaces an engine that was cut off by one that only reads. The caller holds writing.
func (s *Store) retire() {
	if s.engine == nil || s.engine.fs.cause() == nil {
		return
	}
	cause := classify(s.engine.fs.cause())
	s.facts.failed(cause)
	s.log.Warn("store: cut off from its disk", "reason", cause)
	s.reading.Lock()
	defer s.reading.Unlock()
	if err := s.drop(); err != nil {
		s.log.Debug("store: closing the database", "reason", err)
	}
	if err := s.openForReading(); err != nil {
		s.log.Warn("store: cannot be read", "reason", err)
	}
}

// revive makes sure that there is an engine that writes. The caller holds writing.
func (s *Store) revive() error {
	s.retire()
	if s.engine != nil && s.engine.writes() {
		return nil
	}
	if s.lost >= maxLost {
		return fmt.Errorf("%w: the database gave up %d times", ErrBroken, s.lost)
	}
	if room := s.room(); room < s.reserve {
		return fmt.Errorf("%w: %d octets are left, %d are needed", ErrFull, room, s.reserve)
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if err := s.drop(); err != nil {
		s.log.Debug("store: closing the database", "reason", err)
	}
	if err := s.openForWriting(); err != nil {
		if err = classify(err); !s.empty {
			err = errors.Join(err, s.openForReading())
		}
		return err
	}
	s.log.Info("store: takes writes again")
	return nil
}

// drop closes the engine if there is one. The caller holds writing and reading.
func (s *Store) drop() error {
	old := s.engine
	s.engine = nil
	if old == nil {
		return nil
	}
	err := old.close()
	if errors.Is(err, errFatal) {
		s.lost++
	}
	return err
}

// openForReading makes the engine one that does not write. The disk must have a database.
func (s *Store) openForReading() error {
	e, err := s.engines.open(s.path(databaseDir), true)
	if err != nil {
		return err
	}
	s.engine = e
	return nil
}

// openForWriting makes the engine one that writes, after all records were checked. Damaged
// records, or a damaged database, are set aside first.
func (s *Store) openForWriting() error {
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	if s.tighten != nil {
		if err := s.tighten(s.dir); err != nil {
			s.log.Warn("store: others can read files of the database", "error", err)
		}
	}
	if err := s.finishSettingAside(); err != nil {
		return err
	}
	e, found, err := s.openChecked()
	if err != nil && isDamage(err) {
		if err := s.setAside(err); err != nil {
			return err
		}
		e, found, err = s.openChecked()
	}
	if err != nil {
		return err
	}
	s.missing(found.seq)
	s.engine, s.seq, s.empty = e, found.seq, false
	s.facts.found(found)
	return nil
}

// openChecked checks all records, and then opens an engine that writes.
func (s *Store) openChecked() (*engine, inventory, error) {
	bad, err := s.look()
	if err != nil {
		return nil, inventory{}, err
	}
	e, err := s.engines.open(s.path(databaseDir), false)
	if err != nil {
		return nil, inventory{}, err
	}
	found, err := e.takeStock(bad > 0, s.log)
	if cause := e.fs.cause(); cause != nil {
		err = cause
	}
	if err != nil {
		return nil, inventory{}, errors.Join(err, e.close())
	}
	return e, found, nil
}

// isDamage reports whether an error means that the database cannot be read. Other causes are a
// disk that cannot be written, a lack of rights, or a lack of memory or descriptors: then the
// same database may open later.
func isDamage(err error) bool {
	if errors.Is(err, ErrDamaged) {
		return true
	}
	passing := []error{ErrFull, ErrBroken, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EACCES, unix.EPERM}
	return !slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) })
}
