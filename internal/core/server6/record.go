package server6

import (
	"errors"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/instant"
)

// The keys of the server's own records begin with the role's space and one of these letters. The
// keys of leases are made by core/binding.
const (
	declinedLetter = 'q' // for an address that a client has declined
	replayLetter   = 'r' // for the one record of reserved replay values (reconfigures)
)

// RecordRange is the range of keys that the server's own records have.
func RecordRange() (from, to []byte) {
	from, _ = binding.Range(binding.Server6, declinedLetter)
	_, to = binding.Range(binding.Server6, replayLetter)
	return from, to
}

// ErrRecord says that a record cannot be read.
var ErrRecord = errors.New("record of the DHCPv6 server: malformed")

// RestoreRecord takes in one of the server's own records, after the leases; errors are ErrRecord.
func (s *Server) RestoreRecord(now instant.Now, key, value []byte) error {
	if string(key) == string(replayKey) {
		return s.reconfigures.restoreReplay(value)
	}
	return s.restoreDeclined(now, key, value)
}

// record is one of the server's own records as it is to be in the store now; nil: it is to be
// removed.
func (s *Server) record(key string) []byte {
	if key == string(replayKey) {
		return s.reconfigures.record()
	}
	return s.quarantine.record(key)
}
