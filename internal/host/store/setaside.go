package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The folders in the folder of the store.
const (
	databaseDir  = "db"
	salvagingDir = "db.salvaging" // an unfinished copy, which is not used
	salvagedDir  = "db.salvaged"  // a whole copy, which is to become the database
	corruptDir   = "corrupt-"     // followed by a number: a database that was set aside
)

// finishSettingAside goes on where a crash has interrupted setAside.
func (s *Store) finishSettingAside() error {
	if err := s.fs.RemoveAll(s.path(salvagingDir)); err != nil && !oserror.IsNotExist(err) {
		return classify(err)
	}
	whole, err := s.exists(salvagedDir)
	if err != nil {
		return classify(err)
	}
	if whole {
		if err := s.swap(); err != nil {
			return classify(err)
		}
	}
	return s.listCorrupt()
}

// setAside copies what can be read of a damaged database, puts the copy in its place, and keeps
// the damaged one under another name.
func (s *Store) setAside(why error) error {
	s.log.Error("store: the database is damaged and will be set aside", "reason", why)
	s.facts.failed(why)
	if err := s.salvage(); err != nil {
		return fmt.Errorf("salvage: %w", classify(err))
	}
	if err := s.rename(salvagingDir, salvagedDir); err != nil {
		return classify(err)
	}
	if err := s.swap(); err != nil {
		return classify(err)
	}
	return s.listCorrupt()
}

// swap puts the salvaged copy in the place of the database. After a crash at any point it can be
// repeated.
func (s *Store) swap() error {
	damaged, err := s.exists(databaseDir)
	if err != nil {
		return err
	}
	if damaged {
		name, err := s.freeName()
		if err != nil {
			return err
		}
		if err := s.rename(databaseDir, name); err != nil {
			return err
		}
		s.log.Error("store: a damaged database was set aside", "path", s.path(name))
	}
	return s.rename(salvagedDir, databaseDir)
}

// rename renames a folder in the folder of the store, durably.
func (s *Store) rename(from, to string) error {
	if err := s.fs.Rename(s.path(from), s.path(to)); err != nil {
		return err
	}
	return syncDir(s.fs, s.dir)
}

func syncDir(disk vfs.FS, path string) error {
	dir, err := disk.OpenDir(path)
	if err != nil {
		return err
	}
	if err := dir.Sync(); err != nil {
		_ = dir.Close() // the error of the sync tells more
		return err
	}
	return dir.Close()
}

func (s *Store) exists(name string) (bool, error) {
	_, err := s.fs.Stat(s.path(name))
	if oserror.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

// freeName returns the first unused name for a damaged database.
func (s *Store) freeName() (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s%d", corruptDir, n)
		taken, err := s.exists(name)
		if err != nil || !taken {
			return name, err
		}
	}
}

// listCorrupt finds the databases that were set aside, by this process and by earlier ones.
func (s *Store) listCorrupt() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return classify(err)
	}
	slices.Sort(names)
	var paths []string
	for _, name := range names {
		if strings.HasPrefix(name, corruptDir) {
			paths = append(paths, s.path(name))
		}
	}
	s.facts.brokenDatabases(paths)
	return nil
}
