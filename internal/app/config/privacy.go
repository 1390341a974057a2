package config

// Privacy says how much is written down of what identifies clients (DUIDs, addresses,
// prefixes, link-layer addresses) and relays and lines (remote-id, subscriber-id,
// interface-id, relay-id). It bounds what is written down, not
// what operators are shown of the present. How long the history lasts is
// History.Keep.
type Privacy struct {
	Log     Identifiers // in the log, and so in the journal
	History Identifiers // in records of delegations that have ended
	Trace   Identifiers // in what "fairlead trace" and "fairlead watch" tell
	Crash   Identifiers // in the report of a panic
	// StoreMinimal: the store keeps nothing of a client that the relay can work
	// without, and what has ended is deleted at once.
	StoreMinimal bool
	// SaltKept: the key of hashes lives in the state folder, so that a hash means
	// the same client after a restart; otherwise each start makes a new one.
	SaltKept bool
}

// Identifiers is how much of an identifier is written.
type Identifiers uint8

// IdentifiersShort keeps the ends, IdentifiersHashed tells one from another and
// no more, IdentifiersNone does not even do that.
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
