package store

import (
	"slices"
	"sort"
	"sync"
)

// maxCorruptListed bounds the list that Corrupt returns.
const maxCorruptListed = 1000

// CorruptRecord is a record that was set aside.
type CorruptRecord struct {
	Key    []byte // as its owner named it
	Reason string // what is wrong with the value
}

// Stats is the state of a store at one moment.
type Stats struct {
	Healthy           bool     // open for writing, and the disk has room
	Full              bool     // less than the reserve is free
	DiskBytes         uint64   // of the database, without what was set aside
	Commits           uint64   // since Open
	Failures          uint64   // refused commits and cuts, since Open
	RecordsSetAside   uint64   // in quarantine, earlier runs included
	DatabasesSetAside []string // paths of folders, earlier runs included
	CommitsLost       uint64   // acknowledged commits that Open found missing at the end of the log
	LastError         string   // the last failure since Open, even if it is over
}

// facts is what a store remembers about itself.
type facts struct {
	mu      sync.Mutex        // guards all following fields
	counted Stats             // without Healthy, Full and DiskBytes, which are looked up
	corrupt map[string]string // key -> reason, at most maxCorruptKept
}

func (f *facts) committed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted.Commits++
}

// failed counts a failure and keeps its text.
func (f *facts) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted.Failures++
	f.counted.LastError = err.Error()
}

// Corrupt returns the records that were set aside because their checksums were wrong, those of
// earlier processes included, sorted by key. The list ends after 1000; Stats has the whole
// number.
func (s *Store) Corrupt() []CorruptRecord {
	s.facts.mu.Lock()
	defer s.facts.mu.Unlock()
	list := make([]CorruptRecord, 0, len(s.facts.corrupt))
	for key, reason := range s.facts.corrupt {
		list = append(list, CorruptRecord{Key: []byte(key), Reason: reason})
	}
	sort.Slice(list, func(i, j int) bool { return string(list[i].Key) < string(list[j].Key) })
	return list
}

// Stats returns the state of the store. It waits while the store is being opened again.
func (s *Store) Stats() Stats {
	full := s.room() < s.reserve
	s.reading.RLock()
	var bytes uint64
	writes := false
	if e := s.engine; e != nil {
		writes = e.writes()
		bytes = e.db.Metrics().DiskSpaceUsage()
	}
	s.reading.RUnlock()

	f := &s.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.counted
	now.Healthy, now.Full, now.DiskBytes = writes && !full, full, bytes
	now.DatabasesSetAside = slices.Clone(now.DatabasesSetAside)
	return now
}

// missed notes that acknowledged commits are missing.
func (f *facts) missed(commits uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted.CommitsLost = commits
}

// found takes over the findings of a look at the whole database.
func (f *facts) found(i inventory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted.RecordsSetAside, f.corrupt = i.quarantined, i.corrupt
}

// corrupted adds records to the list; moved is how many of them are in quarantine now.
func (f *facts) corrupted(bad []badRecord, moved int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.corrupt == nil {
		f.corrupt = make(map[string]string)
	}
	for _, b := range bad {
		if len(f.corrupt) < maxCorruptListed {
			f.corrupt[string(b.key)] = b.reason.Error()
		}
	}
	f.counted.RecordsSetAside += uint64(moved)
}

// brokenDatabases replaces the list of databases that were set aside.
func (f *facts) brokenDatabases(paths []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted.DatabasesSetAside = paths
}
