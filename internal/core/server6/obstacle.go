package server6

// Basis is why a client gets a lease.
type Basis uint8

// The bases of a lease.
const (
	Reserved      Basis = iota + 1 // it is reserved for the client
	Held                           // the client has it, and may have it
	Named                          // the client names it, and it is free
	Waited                         // it has waited for the client
	OtherLength                    // the client asks for another length of prefix than it has
	Found                          // it is the free one that the client's search in a pool finds first
	WaitedLongest                  // nothing is free, and it has waited longest for another client
)

var basisNames = [...]string{"", "reserved", "held", "named", "waited", "other-length", "found", "waited-for-another"}

func (b Basis) String() string { return basisNames[b] }

// Obstacle is why a client does not get a lease, or nothing of a pool.
type Obstacle uint8

// The obstacles.
const (
	None               Obstacle = iota
	NoPool                      // no pool of the client's network has it
	OtherClass                  // its pool is for clients of a class that the client is not of
	ExcludeUnknown              // its pool is for clients that know of Prefix Exclude
	ReservedForAnother          // it is reserved for another client
	HeldByAnother               // another client has it, or the same in another IA
	WaitsForAnother             // it waits for another client
	Declined                    // a client has declined it, as another host uses it
	Unusable                    // it is an address of ours or of a relay agent, or of a reserved interface identifier
	Overlaps                    // it overlaps with another lease, or with another one of the same answer
	Untold                      // its former client has yet to be told to be without
	LimitMet                    // a limit is met
	InsteadReserved             // another one is reserved for the client
	InsteadLength               // the client asks for another length of prefix
	OtherLengths                // the pool does not give the length that the client asks for
	Full                        // nothing of the pool is free
)

var obstacleNames = [...]string{
	"", "no-pool", "other-class", "exclude-unknown", "reserved-for-another", "held-by-another", "waits-for-another", "declined", "unusable", "overlaps", "untold",
	"limit", "another-is-reserved", "another-length", "length", "full",
}

func (o Obstacle) String() string { return obstacleNames[o] }
