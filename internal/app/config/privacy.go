package config

// Privacy says how much is written down of what identifies clients (DUIDs, addresses, prefixes,
// link-layer addresses) and relays and lines (remote-id, subscriber-id, interface-id, relay-id).
// It does not bound what operators are shown of the present. History.Keep says how long the
// history is kept.
type Privacy struct {
	Log     Identifiers // in the log, and therefore in the journal
	History Identifiers // in records of delegations that have ended
	Trace   Identifiers // in the output of "fairlead trace" and "fairlead watch"
	Crash   Identifiers // in the report of a panic
	// StoreMinimal says that the store keeps nothing of a client that the relay can do without,
	// and that the record of a delegation that has ended is deleted at once.
	StoreMinimal bool
	// SaltKept says that the key of hashes is kept in the state folder, so that a hash means the
	// same client after a restart. Otherwise each start makes a new key.
	SaltKept bool
}

// Identifiers says how much of an identifier is written.
type Identifiers uint8

// IdentifiersShort keeps both ends of an identifier; with IdentifiersHashed one can only tell one
// identifier from another; with IdentifiersNone not even that.
const (
	IdentifiersFull Identifiers = iota
	IdentifiersShort
	IdentifiersHashed
	IdentifiersNone
)

func (i Identifiers) String() string { return [...]string{"full", "short", "hashed", "none"}[i] }

func (p *Privacy) decode(v Value) {
	v.Mapping(
		Optional("log", Read(&p.Log, identifiers)),
		Optional("history", Read(&p.History, identifiers)),
		Optional("store", Read(&p.StoreMinimal, oneOf(choice[bool]{"full", false}, choice[bool]{"minimal", true}))),
		Optional("trace", Read(&p.Trace, identifiers)),
		Optional("crash", Read(&p.Crash, identifiers)),
		Optional("salt", Read(&p.SaltKept, oneOf(choice[bool]{"boot", false}, choice[bool]{"kept", true}))),
	)
}

var identifiers = oneOf(
	choice[Identifiers]{"full", IdentifiersFull}, choice[Identifiers]{"short", IdentifiersShort},
	choice[Identifiers]{"hashed", IdentifiersHashed}, choice[Identifiers]{"none", IdentifiersNone})
