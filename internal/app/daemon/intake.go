package daemon

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"

	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// receiver is where datagrams come from: host/udp.
type receiver interface {
	Wait() error
	Receive(limit int, handle func(*udp.Datagram)) int
}

// message is a datagram that was admitted, with a copy of its payload.
type message struct {
	udp.Datagram
	room []byte
}

// inlet is what the intake has to know of a link.
type inlet struct {
	name    string
	clients bool // clients are on it
	trusted bool // relay agents on it may speak for many clients, whoever they are
	limits  admission.Limits
}

// intake stands between the sockets and the core. It empties the sockets quickly,
// so that who floods fills a queue of his own and not that of the kernel, which
// all share: what is above a rate goes no further, the rest waits for its turn in
// a queue that is short and fair.
type intake struct {
	conn receiver
	lost *failures
	may  func(local, remote netip.Addr) bool // protect.Supervisor's; nil: all may

	mu    sync.Mutex // guards all following fields
	gate  *admission.Gate
	queue *admission.Queue[*message]
	peers *trust.Set
	links map[int]inlet
	at    instant.Instant // of this drain
	free  []*message
	long  int // messages in use whose room is above longRoom
	admit func(*udp.Datagram)
}

const (
	drainAtOnce  = 512  // datagrams taken from the sockets between two turns of the core
	ordinaryRoom = 512  // octets that most messages have room in
	longRoom     = 2048 // octets of what comes in fragments, or over links of a large MTU
	maxLong      = 64   // of these at a time: no flood of them takes much memory
)

func newIntake(lost *failures) *intake {
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails
	key := admission.Key{binary.NativeEndian.Uint64(secret[:8]), binary.NativeEndian.Uint64(secret[8:])}
	in := &intake{
		lost: lost, peers: trust.NewSet(nil), links: make(map[int]inlet),
		gate:  admission.NewGate(key, admission.DefaultSources),
		queue: admission.NewQueue[*message](key, admission.DefaultBounds()...),
	}
	in.admit = in.judge
	return in
}

// set says who the peers are, and what may come from each link.
func (in *intake) set(peers *trust.Set, links map[int]inlet) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.peers = peers
	for index := range in.links {
		if _, stays := links[index]; !stays {
			in.gate.Remove(index)
		}
	}
	for index, l := range links {
		if old, known := in.links[index]; !known || old.limits != l.limits {
			in.gate.Set(index, l.limits)
		}
	}
	in.links = links
}

// drain takes what has arrived and reports whether there was anything.
func (in *intake) drain(at instant.Instant) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.at = at
	return in.conn.Receive(drainAtOnce, in.admit) > 0
}

// next appends to batch the messages whose turn it is, at most limit of them, and
// says whether more are waiting for theirs.
func (in *intake) next(batch []*message, limit int) (_ []*message, more bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for range limit {
		m, ok := in.queue.Pop()
		if !ok {
			return batch, false
		}
		batch = append(batch, m)
	}
	return batch, in.queue.Ready()
}

// hold has messages that ask for changes wait, or no longer.
func (in *intake) hold(held bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.queue.Hold(admission.Changes, held)
}

// done takes messages back.
func (in *intake) done(batch []*message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, m := range batch {
		in.put(m)
	}
}

// judge admits or discards one datagram, which is the sockets'.
func (in *intake) judge(d *udp.Datagram) {
	if in.may != nil && d.Path != udp.PathFrame && fromRelayOrServer(d.Payload) && !in.may(d.Dest, d.Source.Addr()) {
		in.lost.drop(d.Link, effect.DropUnprotected)
		return
	}
	l := in.links[d.Link]
	class, source := in.origin(d, &l)
	if l.clients {
		verdict := in.gate.Admit(in.at, d.Link, source)
		if !verdict.Admitted() {
			in.lost.drop(d.Link, overRate[verdict])
			return
		}
		if verdict == admission.Newcomer {
			source = admission.Newcomers()
		}
	}
	if class == admission.Clients && asksForChange(d.Payload) {
		class = admission.Changes
	}
	m := in.take(d)
	if m == nil {
		in.lost.drop(d.Link, effect.DropQueueFull)
		return
	}
	if shed, dropped := in.queue.Push(class, d.Link, source, m); dropped {
		in.lost.drop(shed.Link, effect.DropQueueFull)
		in.put(shed)
	}
}

// fromRelayOrServer reports whether a message is one that peers send. What comes from
// a peer by a packet socket is for the core to refuse.
func fromRelayOrServer(payload []byte) bool {
	return len(payload) > 0 && dhcp6.MessageType(payload[0]).IsRelay()
}

// settleAtOnce is how often the sockets are looked at until they are empty.
const settleAtOnce = 256

// settle takes all that has come and is not read yet, and reports whether the sockets
// were empty then.
func (in *intake) settle(at instant.Instant) bool {
	if in.conn == nil {
		return true // they are not open yet
	}
	for range settleAtOnce {
		if !in.drain(at) {
			return true
		}
	}
	return false
}

// origin is whose turn a datagram waits for. Servers, and relay agents that we
// know, speak for many clients; anybody else is one host.
func (in *intake) origin(d *udp.Datagram, l *inlet) (class int, _ admission.Source) {
	from := d.Source.Addr()
	source := admission.SourceOf(linkLayer(d), from)
	if len(d.Payload) == 0 {
		return admission.Clients, source
	}
	switch dhcp6.MessageType(d.Payload[0]) {
	case dhcp6.RelayReply:
		if !l.clients && in.fromPeer(trust.Server, d, l) {
			return admission.Answers, source.ForMany()
		}
	case dhcp6.RelayForward:
		if l.trusted || in.fromPeer(trust.Relay, d, l) {
			source = source.ForMany()
		}
	}
	return admission.Clients, source
}

// fromPeer reports whether a datagram may be a peer's, by its source, and by the
// way it came where the peer is protected.
func (in *intake) fromPeer(role trust.Role, d *udp.Datagram, l *inlet) bool {
	p := in.peers.Find(role, d.Source.Addr(), l.name)
	return p != nil && relay6.Protected(p, d.Dest, d.Path == udp.PathFrame)
}

// overRate is what a verdict is called where drops are counted.
var overRate = [...]effect.Drop{
	admission.OverLink:      effect.DropRateLink,
	admission.OverSource:    effect.DropRateSource,
	admission.OverNewcomers: effect.DropRateNewcomers,
}

// take copies a datagram; nil if too many long ones are there.
func (in *intake) take(d *udp.Datagram) *message {
	var m *message
	switch n := len(in.free); {
	case len(d.Payload) > longRoom && in.long == maxLong:
		return nil
	case len(d.Payload) > ordinaryRoom:
		m = &message{room: make([]byte, len(d.Payload))}
	case n > 0:
		m = in.free[n-1]
		in.free = in.free[:n-1]
	default:
		m = &message{room: make([]byte, ordinaryRoom)}
	}
	if len(m.room) > longRoom {
		in.long++
	}
	m.Datagram = *d
	m.Payload = m.room[:copy(m.room, d.Payload)]
	return m
}

// shrink lets go of messages that a burst needed.
func (in *intake) shrink() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.free = nil
}

// put takes one message back.
func (in *intake) put(m *message) {
	switch {
	case len(m.room) > longRoom:
		in.long--
	case len(m.room) == ordinaryRoom:
		in.free = append(in.free, m)
	}
}
