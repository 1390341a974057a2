package server6

// Basis is why a client gets a lease.
type Basis uint8

// The bases of a lease.
const (
	Reserved      Basis = iota + 1 // it is reserved for the client
	Held                           // the client has it, and may have it
	Named                          // the client names it, and it is free
	Waited                         // it was in quarantine and waited for the client
	OtherLength                    // the client asks for another prefix length than it has
	Found                          // it is the first free lease that the search in a pool finds
	WaitedLongest                  // nothing is free; of the leases that wait for other clients, it has waited longest
)

var basisNames = [...]string{"", "reserved", "held", "named", "waited", "other-length", "found", "waited-for-another"}

func (b Basis) String() string { return basisNames[b] }

// Obstacle is why a client does not get a lease, or gets nothing from a pool.
type Obstacle uint8

// The obstacles.
const (
	None               Obstacle = iota
	NoPool                      // no pool of the client's network has it
	OtherClass                  // its pool is for a class, and the client is not of that class
	ExcludeUnknown              // its pool is only for clients that support Prefix Exclude (RFC 6603)
	ReservedForAnother          // it is reserved for another client
	HeldByAnother               // another client has it, or the same client in another IA
	WaitsForAnother             // it is in quarantine and waits for another client
	Declined                    // a client has declined it, because another host uses it
	Unusable                    // it is our own address, a relay agent's, has a reserved interface identifier, or takes a prefix of an interface away
	Overlaps                    // it overlaps with another lease, or with one in the same answer
	Untold                      // its former client has not been told yet that it must not use it
	LimitMet                    // a limit is met
	InsteadReserved             // another lease is reserved for the client, which gets that one
	InsteadLength               // the client asks for another prefix length, and gets another prefix
	OtherLengths                // the pool does not give the prefix length that the client asks for
	Full                        // nothing in the pool is free
)

var obstacleNames = [...]string{
	"", "no-pool", "other-class", "exclude-unknown", "reserved-for-another", "held-by-another", "waits-for-another", "declined", "unusable", "overlaps", "untold",
	"limit", "another-is-reserved", "another-length", "length", "full",
}

func (o Obstacle) String() string { return obstacleNames[o] }
