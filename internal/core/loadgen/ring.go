package loadgen

import "time"

// state says what has become of a message.
type state uint8

const (
	answered state = iota // answered, or the zero value
	waiting
	overdue // not answered in time: counted as lost, and instead as late if an answer still comes
)

// slot is one message that was sent.
type slot struct {
	intended time.Duration // the time at which the exchange should have begun
	sent     time.Duration
	xid      uint32
	client   uint32 // its index in the pool
	kind     Kind
	second   bool // the Request of a four-way exchange
	state    state
	run      uint8 // tells to which Tally the message belongs
}

const (
	xidMask = 1<<24 - 1

	// Nobody here needs transaction-ids that are hard to guess, but they should look like those
	// of a real client. They are a fixed permutation of the 24-bit numbers, which can be
	// inverted.
	scatter = 0x9e3779 | 1
)

// unscatter undoes a multiplication with scatter modulo 2^24.
func unscatter() uint32 {
	x := uint32(scatter) // the inverse in the lowest 3 bits; each step doubles the number of right bits
	for range 4 {
		x *= 2 - scatter*x
	}
	return x & xidMask
}

// ring has the messages that were sent last, to be found by transaction-id. Slots are taken in
// order, so that the message that has waited longest is at the old end.
type ring struct {
	slots   []slot
	next    uint32 // sequence number of the next message
	oldest  uint32 // sequence number of the first message that may be waiting
	inverse uint32
	shift   uint32 // chosen by the user's seed: shifts the first transaction-id
}

// newRing makes a ring of a power of two of at least size slots.
func newRing(size int, seed uint32) ring {
	n := 1024
	for n < size && n < maxSlots {
		n *= 2
	}
	return ring{slots: make([]slot, n), inverse: unscatter(), shift: seed & xidMask}
}

// maxSlots bounds the memory (to 128 MB), and the sequence numbers so that each stands for one
// slot.
const maxSlots = 1 << 22

func (r *ring) xid(number uint32) uint32 { return (number*scatter + r.shift) & xidMask }

func (r *ring) at(number uint32) *slot { return &r.slots[number&uint32(len(r.slots)-1)] }

// take returns a slot for a new message. The ring must not be full.
func (r *ring) take() (uint32, *slot) {
	n := r.next
	r.next++
	s := r.at(n)
	*s = slot{xid: r.xid(n)}
	return n, s
}

func (r *ring) full() bool { return r.next-r.oldest == uint32(len(r.slots)) }

// find returns the message with a transaction-id, unless it was sent too long ago.
func (r *ring) find(xid uint32) (*slot, bool) {
	s := r.at(((xid - r.shift) * r.inverse) & xidMask)
	return s, s.xid == xid && s.sent != never
}

// never marks a slot that was not used yet.
const never = time.Duration(0)
