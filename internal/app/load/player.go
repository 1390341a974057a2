package load

import (
	"time"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
)

// port is where messages leave and arrive: inject.Port or inject.Relay.
type port interface {
	Room() []byte
	Queue(m loadgen.Message, message []byte)
	Flush()
	Receive(limit int, each func(client uint32, arrived int64, message []byte)) int
	Wait(d time.Duration)
	Dropped() uint64
	Close()
}

// player brings an Engine and a port together.
type player struct {
	engine *loadgen.Engine
	port   port
	base   time.Time     // instant 0
	now    time.Duration // the time of this turn
	wall   int64         // the wall clock at instant 0
	since  time.Duration // what is heard in this turn has come after this
	unsent int           // messages of this turn that could not be sent
	hear   func(client uint32, arrived int64, message []byte)
}

func newPlayer(e *loadgen.Engine) *player {
	// Instants are above 0.
	p := &player{engine: e, base: time.Now().Add(-time.Second)}
	p.hear = p.heard
	return p
}

func (p *player) notSent(number uint32) {
	p.unsent++
	p.engine.Unsent(number)
}

// look reads the clocks.
func (p *player) look() {
	t := time.Now()
	p.now = t.Sub(p.base)
	p.wall = t.UnixNano() - int64(p.now)
}

// most bounds the frames that are handled, and the exchanges that begin, in one turn.
const most = 256

// listen begins a turn: it handles what has come.
func (p *player) listen() (all bool) {
	p.look()
	p.unsent = 0
	if all = p.port.Receive(most, p.hear) < most; all {
		p.since = p.now
	}
	p.engine.Expire(p.now)
	return all
}

// heard handles one frame. The kernel tells by the wall clock when it arrived. Where the wall clock
// was set meanwhile, that instant is not of this turn, and the frame counts as arrived now.
func (p *player) heard(client uint32, arrived int64, message []byte) {
	at := time.Duration(arrived - p.wall)
	if at < p.since || at > p.now {
		at = p.now
	}
	if b, m, more := p.engine.Answer(p.port.Room(), client, at, message); more {
		p.port.Queue(m, b)
	}
}

// begin begins one exchange, if there is a client for it.
func (p *player) begin(k loadgen.Kind, intended time.Duration) bool {
	b, m, ok := p.engine.Begin(p.port.Room(), k, intended, p.now)
	if ok {
		p.port.Queue(m, b)
	}
	return ok
}

// rest ends a turn. It sends, and sleeps until there may be something to do, at most until an
// instant. Answers wake it, or it looks for them after a nap.
func (p *player) rest(until, nap time.Duration) {
	p.port.Flush()
	if p.unsent > 0 {
		inject.Nap(time.Millisecond) // a queue that is full, or a link that is down, may have recovered then
		return
	}
	if due, ok := p.engine.Due(); ok {
		until = min(until, due+time.Microsecond)
	}
	d := min(until-p.now, longestRest)
	switch {
	case d <= 0:
	case nap > 0:
		inject.Nap(min(d, nap))
	default:
		p.port.Wait(d)
	}
}

// longestRest is the longest time until an interruption by the user is noticed.
const longestRest = 50 * time.Millisecond
