package effect

import (
	"net/netip"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/wire/dhcp6"
)

// NoteKind is a kind of typed event for log, metrics, audit, watch and hooks.
type NoteKind uint8

// The notes.
const (
	NoteDelegation    NoteKind = iota + 1 // a delegation changed or was refused: Event is set
	NoteRelease                           // a Release did not match the delegation it named
	NoteServerUnicast                     // a server allows unicast, which passes the relay by
	NoteLimit                             // a Request was not forwarded: a limit is met
	NoteLink                              // a link appeared, changed or vanished
	NoteLinkAddress                       // the link-address of a link where clients hold leases changed
	NoteStore                             // what could not be kept or installed: Err is set
	NoteForeign                           // another program's route takes a client's traffic, or ours was changed
	NoteTrace                             // one step of a message that is traced
	NoteClock                             // delegations are held until the clock can be trusted
	NoteReconfigure                       // a client was asked to come back, and has not
	NotePeer                              // a server fell silent, cannot be reached, answers again, or is chosen
	NotePool                              // a pool is nearly full, or has room again: Pool is set
)

var noteNames = [...]string{"", "delegation", "release-mismatch", "server-unicast", "limit", "link", "link-address", "store", "foreign", "trace", "clock", "reconfigure", "peer", "pool"}

func (k NoteKind) String() string { return noteNames[k] }

// Note is one typed event. Which fields are set depends on the kind.
type Note struct {
	Kind   NoteKind
	Link   string
	Peer   string
	Client binding.Client
	IAID   uint32
	Type   string // of the message, by name
	XID    uint32
	Text   string // constant words: what happened
	Reason string
	Err    error
	Event  binding.Event
	Lease  *TracedLease // NoteTrace: one of those that the message carries
	Pool   *Pool        // NotePool
}

// TracedLease is one prefix, address or status in a message that is traced.
type TracedLease struct {
	IA               dhcp6.OptionCode // OptionIAPD or OptionIANA; 0: a status of the whole message
	IAID             uint32
	Prefix           netip.Prefix // invalid: of the IA as a whole
	Preferred, Valid time.Duration
	Status           dhcp6.StatusCode
	StatusSet        bool // a status was there
}

// Pool is how far a pool of a server is taken, in the smallest parts that it gives. What is
// reserved is no part of it. What waits in quarantine is taken.
type Pool struct {
	Network     string
	Subnet      netip.Prefix
	First, Last netip.Addr   // of a pool of addresses; invalid: of prefixes
	Prefix      netip.Prefix // of a pool of prefixes; invalid: of addresses
	Size, Taken uint64       // a Size of 2^64-1 stands for 2^64 as well
	// NearlyFull says that 90 % of the pool are taken, or were taken since when it has not had
	// less than 80 % taken.
	NearlyFull bool
}

// Trace selects the messages whose steps become notes: those of a client, those of a
// link, or, where both are empty, all.
type Trace struct {
	Client string // the octets of its identifier (binding.Client.Identifier)
	Link   string
}
