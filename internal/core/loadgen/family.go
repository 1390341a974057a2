package loadgen

// Family is a version of DHCP. The choice of the next client and the statistics are the
// same in both; messages are made and read by the family's profile.
type Family uint8

// The families.
const (
	DHCPv6 Family = iota
	DHCPv4
	families
)

// String is "DHCPv6" or "DHCPv4".
func (f Family) String() string { return f.profile().name }

// StatusName is the family's name of a status of Tally.Status.
func (f Family) StatusName(code int) string { return f.profile().statusName(code) }

func (f Family) profile() *profile { return profiles[f] }

var profiles = [families]*profile{DHCPv6: &dhcpv6, DHCPv4: &dhcpv4}

// profile has all differences between the families.
type profile struct {
	name   string
	traits [Kinds]trait

	newGeneral func(c *Config) *general
	newServer  func(id []byte, c *Config) *server
	// read parses a message. It returns false if the message is no answer to a client, or names
	// no server.
	read       func(message []byte) (answer, bool)
	statusName func(code int) string
}

// trait has the properties of an exchange of a kind in a family.
type trait struct {
	name    string // as ParseMix reads it; empty: the family has no such exchange
	speaker speaker
	offered bool // the answer to the first message is an offer, which a Request takes up
	grants  bool // the client holds a lease after the exchange
	named   bool // the first message is for a server that has been heard already
}

// success is the status of an answer without a refusal.
const success = 0

// speaker says which clients can begin an exchange.
type speaker uint8

const (
	anybody speaker = iota
	newcomer
	holder
)

// answer is the content of a server's message.
type answer struct {
	xid    uint32
	offer  bool   // it is an Advertise or an Offer
	server []byte // the server's identifier, which is valid
	status uint16 // the first status that is not success
	gone   bool   // the server says that the client has no lease any more
	got    binding
}

// binding is a client's lease, or the lease that it was offered. An IPv4 address is in the last
// four octets of address.
type binding struct {
	address [16]byte // valid if na
	prefix  [17]byte // of the IA_PD: the length, then 16 octets; valid if pd
	na, pd  bool
}

func (b *binding) empty() bool { return !b.na && !b.pd }

// variant returns which of the leases there are, as an index of templates.
func (b *binding) variant() int {
	v := 0
	if b.na {
		v |= 1
	}
	if b.pd {
		v |= 2
	}
	return v
}

const variants = 4

// general has the messages that are for any server.
type general struct {
	solicit, rapid, information template
	rebind                      [variants]template
}

// server is a server that was heard, with the messages that are for it.
type server struct {
	id                      []byte
	request, renew, release [variants]template
}
