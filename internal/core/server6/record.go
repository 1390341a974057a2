package server6

import (
	"errors"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
)

// What the keys of the server's own records begin with, after the role's space. Leases have theirs by
// core/binding.
const (
	declinedLetter = 'q' // of an address that a client has declined
	replayLetter   = 'r' // of the one record of what is sent against replays
)

// RecordRange is the range of keys in which the server's own records are.
func RecordRange() (from, to []byte) {
	from, _ = binding.Range(binding.Server6, declinedLetter)
	_, to = binding.Range(binding.Server6, replayLetter)
	return from, to
}

// ErrRecord is a record that cannot be read.
var ErrRecord = errors.New("record of the DHCPv6 server: malformed")

// RestoreRecord takes in one of the server's own records, after the leases; errors are ErrRecord.
func (s *Server) RestoreRecord(now instant.Now, key, value []byte) error {
	if string(key) == string(replayKey) {
		return s.reconfigures.restoreReplay(value)
	}
	return s.restoreDeclined(now, key, value)
}

// record is one of the server's own records as it is now; nil if it is there no more.
func (s *Server) record(key string) []byte {
	if key == string(replayKey) {
		return s.reconfigures.record()
	}
	return s.quarantine.record(key)
}
