package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/wal"
)

const (
	manifestMarker = "marker.manifest."
	manifestPrefix = "MANIFEST-"
)

// look reads the whole database before anything may write to it: Pebble deletes files that its
// manifest does not name, and a manifest that has lost its end does not name all. look returns
// how many records are not valid. A database that is not there, or was never finished, is sound.
func (s *Store) look() (bad int, err error) {
	names, err := s.fs.List(s.path(databaseDir))
	if err != nil && !oserror.IsNotExist(err) {
		return 0, err
	}
	var marker string
	there := false
	for _, name := range names {
		if strings.HasPrefix(name, manifestMarker) {
			marker = max(marker, name) // the later one counts, as it does for Pebble
		}
		if strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".log") {
			there = true
		}
	}
	switch {
	case !there:
		return 0, nil
	case marker == "":
		return 0, fmt.Errorf("%w: nothing points to its manifest", ErrDamaged)
	}
	if err := s.checkLogs(names); err != nil {
		return 0, err
	}
	manifest, err := s.checkManifest(marker)
	if err != nil {
		return 0, err
	}
	return s.lookThrough(manifest)
}

// lookThrough reads all records.
func (s *Store) lookThrough(manifest reach) (bad int, err error) {
	e, err := s.engines.open(s.path(databaseDir), true)
	if err != nil {
		return 0, err
	}
	err = contain(func() error {
		found, err := e.inspect()
		if err != nil {
			return err
		}
		bad = len(found.bad)
		return found.manifest.within(manifest)
	})
	return bad, errors.Join(err, e.close())
}

// checkLogs finds damage in the logs that Pebble would take for a torn tail.
func (s *Store) checkLogs(names []string) error {
	for _, name := range names {
		log, err := s.readLog(name)
		if err != nil {
			return err
		}
		if _, lost := log.walk(func([]byte) {}); len(lost) > 0 {
			return fmt.Errorf("%w: %s at offset %d", ErrDamaged, name, lost[0])
		}
	}
	return nil
}

// readLog reads a log of the database. It returns an empty log for a file that is not one. A log
// is as large as a memory table, or as the largest batch.
func (s *Store) readLog(name string) (pieceLog, error) {
	number, _, ok := wal.ParseLogFilename(name)
	if !ok {
		return pieceLog{}, nil
	}
	data, err := s.readFile(name)
	return pieceLog{data: data, number: uint32(number)}, err
}

// checkManifest returns how much of the manifest that a marker points to is whole.
func (s *Store) checkManifest(marker string) (reach, error) {
	at := strings.Index(marker, manifestPrefix)
	if at < 0 {
		return reach{}, fmt.Errorf("%w: %s points to no manifest", ErrDamaged, marker)
	}
	name := marker[at:]
	data, err := s.readFile(name)
	if err != nil {
		return reach{}, err
	}
	end, lost := pieceLog{data: data, manifest: true}.walk(func([]byte) {})
	if len(lost) > 0 {
		return reach{}, fmt.Errorf("%w: %s at offset %d", ErrDamaged, name, lost[0])
	}
	return reach{name, uint64(end)}, nil
}

func (s *Store) readFile(name string) ([]byte, error) {
	f, err := s.fs.Open(s.fs.PathJoin(s.path(databaseDir), name))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// reach says how far a manifest was durable. Each commit has it, so that a manifest that has lost
// its end is noticed.
type reach struct {
	name string
	size uint64
}

func (r reach) append(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, r.size), r.name...)
}

func parseReach(b []byte) reach {
	if len(b) < 8 {
		return reach{}
	}
	return reach{name: string(b[8:]), size: binary.BigEndian.Uint64(b)}
}

// within returns an error if the manifest once reached further than it does now. If it is another
// manifest, nothing can be said: a new manifest is written before anything points to it.
func (r reach) within(now reach) error {
	if r.name == now.name && r.size > now.size {
		return fmt.Errorf("%w: %s has %d octets, and had %d", ErrDamaged, now.name, now.size, r.size)
	}
	return nil
}
