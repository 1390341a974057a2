package engine

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"

	"fairlead/internal/app/service"
	"fairlead/internal/core/admission"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/inbound"
	"fairlead/internal/core/instant"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/linkaddr"
)

// Receiver is where datagrams come from: host/udp.
type Receiver interface {
	Wait() error
	Receive(limit int, handle func(*udp.Datagram)) int
}

// Classifier tells, before anything else is done with a packet, in which class and by which link
// and source the packet waits. It is called under the inbox's lock, and retains nothing of a
// packet.
type Classifier interface {
	Classify(p *inbound.Packet) Arrival
	// AsksForChange reports whether a client's message is likely to lead to a change of a
	// delegation.
	AsksForChange(payload []byte) bool
}

// Arrival is the answer of a Classifier.
type Arrival struct {
	Refused bool        // the packet is discarded, for the reason Drop
	Drop    effect.Drop // only valid if Refused is set
	Class   int         // a class of package admission
	Source  admission.Source
	Limited bool // whether the rates of its link apply to it
	// For a relay agent that speaks for one client: the client, and the client's message. Else the
	// zero Source, and nil.
	Client        admission.Source
	ClientMessage []byte
}

// message is a packet that was admitted, with a copy of its payload.
type message struct {
	inbound.Packet
	room []byte
}

// Inbox stands between the sockets and the core. It empties the sockets quickly, so that a sender
// that floods fills its own queue in the inbox, and not the queue of the kernel, which all
// senders share. Datagrams above a rate are discarded. The others wait in a queue that is short
// and fair.
//
// The inbox also wakes the loop, and lets it sleep. On one or two processors the loop itself
// takes in what has come, and Run, the receiver, only watches the sockets for the loop:
//
//	+--------+   Tell: Run has seen something  +------+   the loop takes   +------+
//	| asleep |   in the sockets, or Glance or  | told |     a turn         | busy |
//	|        | --- Judge asks for a look ----> |      | -----------------> |      |
//	+--------+                                 +------+                    +------+
//	   ^  |                                                                 |  ^ ^ |
//	   |  +-- pauseChanges(false): messages that had to wait may go on --------+ +-+ more is left, or
//	   |                                                                    |      pauseChanges(false)
//	   +---- nothing is in the sockets, and no turn is left (rest): Run, ---+
//	         if it waits, watches again
//
// The inbox is busy while its flag busy is set, and told while the channel told has something in
// it: pauseChanges may set the flag in each state. If there are more processors, Run itself takes
// in what has come and then calls Tell; Glance has nothing to do. If roles share the sockets, Run
// does not run: the reader of the sockets calls Feed for each datagram, and Tell after a burst.
// In both cases the loop goes from told to busy and to asleep in the same way, without looking at
// the sockets.
type Inbox struct {
	conn     Receiver
	discards *discards
	cores    bool // Run has a processor of its own, and takes in what comes

	told    chan struct{} // receives a value when there is something for the loop
	always  chan struct{} // a closed channel
	busy    atomic.Bool   // the loop looks by itself whether there is more
	waits   atomic.Bool   // Run waits for the sockets to be empty
	drained chan struct{} // receives a value once the sockets are empty

	mu         sync.Mutex // guards all following fields
	gate       *admission.Gate
	queue      *admission.Queue[*message]
	classifier Classifier
	limits     map[int]admission.Limits // by link
	refuses    func() bool              // whether everything that comes is discarded; nil: nothing is
	refusal    effect.Drop              // the reason of refuses
	at         instant.Instant          // the time of this drain
	free       []*message
	long       int // messages in use whose room is above longRoom
	admit      func(*udp.Datagram)
	packet     inbound.Packet // the packet that is being judged
}

const (
	drainAtOnce  = 512  // datagrams taken from the sockets between two turns of the core
	ordinaryRoom = 512  // octets that most messages fit in
	longRoom     = 2048 // octets, for messages that come in fragments or over links with a large MTU
	maxLong      = 64   // messages longer than longRoom at a time, so that a flood of them does not take much memory
)

// NewInbox returns an inbox without sockets.
func NewInbox() *Inbox {
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails
	key := admission.Key{binary.NativeEndian.Uint64(secret[:8]), binary.NativeEndian.Uint64(secret[8:])}
	in := &Inbox{
		discards: newDiscards(), limits: make(map[int]admission.Limits),
		told: make(chan struct{}, 1), always: make(chan struct{}), drained: make(chan struct{}, 1),
		gate:  admission.NewGate(key, admission.DefaultSources),
		queue: admission.NewQueue[*message](key, admission.DefaultBounds()...),
	}
	close(in.always)
	in.admit = in.judge
	return in
}

// open has the inbox read from conn. If conn is nil, the inbox is fed.
func (in *Inbox) open(conn Receiver, cores bool) { in.conn, in.cores = conn, cores || conn == nil }

// Feed takes in a datagram of sockets that several inboxes share. The caller calls Tell once it
// has fed all datagrams that have come.
func (in *Inbox) Feed(at instant.Instant, d *udp.Datagram) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.at = at
	in.judge(d)
}

// Configure sets the limits of each link.
func (in *Inbox) Configure(c Classifier, limits map[int]admission.Limits) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.classifier = c
	for index := range in.limits {
		if _, stays := limits[index]; !stays {
			in.gate.Remove(index)
		}
	}
	for index, l := range limits {
		if old, known := in.limits[index]; !known || old != l {
			in.gate.Set(index, l)
		}
	}
	in.limits = limits
}

// RefuseWhile has everything that comes discarded, for the given reason, while told returns true.
// It is called before the inbox has sockets.
func (in *Inbox) RefuseWhile(told func() bool, reason effect.Drop) {
	in.refuses, in.refusal = told, reason
}

// Run watches the sockets until ctx ends or they are closed.
func (in *Inbox) Run(ctx context.Context) error {
	if in.conn == nil {
		<-ctx.Done()
		return nil
	}
	for {
		if err := in.conn.Wait(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if in.cores {
			for in.drain(service.Now().Boot) {
				in.Tell()
			}
			continue
		}
		in.waits.Store(true)
		in.Tell()
		select {
		case <-in.drained:
		case <-ctx.Done():
			return nil
		}
	}
}

// Tell wakes the loop.
func (in *Inbox) Tell() {
	select {
	case in.told <- struct{}{}:
	default: // it has been told
	}
}

// Glance has the loop look at the sockets before its caller goes on. The caller shares the one
// processor with the loop. By itself, the runtime would ask the kernel for packets only once no
// goroutine wants to run any more. A busy loop looks anyway.
func (in *Inbox) Glance() {
	if in.cores || in.busy.Load() {
		return
	}
	in.Tell()
	runtime.Gosched()
}

// ready returns a channel that can be received from while there is something for the loop.
func (in *Inbox) ready() <-chan struct{} {
	if in.busy.Load() {
		return in.always
	}
	return in.told
}

// turn appends to batch the messages whose turn it is, at most limit of them.
func (in *Inbox) turn(at instant.Instant, batch []*message, limit int) []*message {
	arrived := !in.cores && in.drain(at)
	batch, more := in.next(batch, limit)
	in.busy.Store(more || arrived)
	return batch
}

// rest is called after each turn, when its Changes and datagrams are on their way. If no message
// is left and Run waits for that, Run is told.
func (in *Inbox) rest() {
	if !in.busy.Load() && in.waits.Swap(false) {
		in.drained <- struct{}{}
	}
}

// pauseChanges has messages that ask for Changes wait, or go on. When they go on, the loop looks
// for those that had to wait.
func (in *Inbox) pauseChanges(paused bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.queue.Pause(admission.Changes, paused)
	if !paused {
		in.busy.Store(true)
	}
}

// drain takes what has arrived and reports whether there was anything.
func (in *Inbox) drain(at instant.Instant) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.at = at
	return in.conn.Receive(drainAtOnce, in.admit) > 0
}

// next appends to batch the messages whose turn it is, at most limit of them, and reports whether
// more messages are waiting.
func (in *Inbox) next(batch []*message, limit int) (_ []*message, more bool) {
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

// looksAtOnce bounds how often Judge looks at the sockets until they are empty.
const looksAtOnce = 256

// Judge takes in everything that has come and was not read yet, so that the classifier judges it
// by what holds now. It reports whether the sockets were empty then, and tells the loop.
func (in *Inbox) Judge(at instant.Instant) (empty bool) {
	if in.conn == nil {
		return true // the sockets are not open yet, or others read from them
	}
	for range looksAtOnce {
		if empty = !in.drain(at); empty {
			break
		}
	}
	in.Tell()
	return empty
}

// done takes back messages that are not needed any more.
func (in *Inbox) done(batch []*message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, m := range batch {
		in.put(m)
	}
}

// judge admits or discards one datagram. The datagram's memory belongs to the sockets.
func (in *Inbox) judge(d *udp.Datagram) {
	if in.refuses != nil && in.refuses() {
		in.discards.add(d.Link, in.refusal)
		return
	}
	p := &in.packet
	*p = inbound.Packet{
		Link: d.Link, Source: d.Source, Dest: d.Dest, LinkLayer: linkaddr.From(d.MAC[:d.MACLen]),
		HardwareType: d.HardwareType, Framed: d.Path == udp.PathFrame, Payload: d.Payload,
	}
	a := in.classifier.Classify(p)
	if a.Refused {
		in.discards.add(d.Link, a.Drop)
		return
	}
	if a.Limited {
		verdict := in.gate.Admit(in.at, d.Link, a.Source)
		if !verdict.Admitted() {
			in.discards.add(d.Link, overRate[verdict])
			return
		}
		if verdict == admission.Newcomer {
			a.Source = admission.Newcomers()
		}
	}
	asks := p.Payload
	if a.ClientMessage != nil {
		asks = a.ClientMessage
	}
	if a.Class == admission.Clients && in.classifier.AsksForChange(asks) {
		a.Class = admission.Changes
	}
	m := in.take(p)
	if m == nil {
		in.discards.add(d.Link, effect.DropQueueFull)
		return
	}
	if shed, dropped := in.queue.Push(a.Class, d.Link, a.Source, a.Client, m); dropped {
		in.discards.add(shed.Link, effect.DropQueueFull)
		in.put(shed)
	}
}

// overRate has, for each verdict, the drop reason by which it is counted.
var overRate = [...]effect.Drop{
	admission.OverLink:      effect.DropRateLink,
	admission.OverSource:    effect.DropRateSource,
	admission.OverNewcomers: effect.DropRateNewcomers,
}

// take copies a packet. It returns nil if there are too many long messages already.
func (in *Inbox) take(p *inbound.Packet) *message {
	var m *message
	switch n := len(in.free); {
	case len(p.Payload) > longRoom && in.long == maxLong:
		return nil
	case len(p.Payload) > ordinaryRoom:
		m = &message{room: make([]byte, len(p.Payload))}
	case n > 0:
		m = in.free[n-1]
		in.free = in.free[:n-1]
	default:
		m = &message{room: make([]byte, ordinaryRoom)}
	}
	if len(m.room) > longRoom {
		in.long++
	}
	m.Packet = *p
	m.Payload = m.room[:copy(m.room, p.Payload)]
	return m
}

// Shrink gives up the memory of messages that only a burst needed.
func (in *Inbox) Shrink() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.free = nil
}

// put takes one message back.
func (in *Inbox) put(m *message) {
	switch {
	case len(m.room) > longRoom:
		in.long--
	case len(m.room) == ordinaryRoom:
		in.free = append(in.free, m)
	}
}
