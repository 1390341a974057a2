package engine

import (
	"context"
	"sync"
	"sync/atomic"

	"fairlead/internal/core/effect"
	"fairlead/internal/host/udp"
)

// turn is one round of the loop: what the core decided in it, and the messages that these
// decisions may point into. They stay together until the last datagram has left.
type turn struct {
	eff      effect.Effects
	messages []*message
	toPeers  []udp.Outgoing
	toLinks  []udp.Outgoing
	left     atomic.Int32 // senders that are not done with this turn

	gone chan struct{} // closed once all datagrams have left; nil if no Change follows them
}

const (
	maxTurn   = 128 // messages that the core decides on in one turn
	someTurns = 4   // turns that may be on their way out while senders run
)

// senders send in two goroutines, one towards peers and one towards clients: the system call that
// sends is by far the largest part of what a message costs. On one or two processors there are no
// senders, and the loop sends by itself.
type senders struct {
	toPeers, toLinks chan *turn
	free             chan *turn
	running          sync.WaitGroup
}

func newSenders(send func([]udp.Outgoing), done func(*turn)) *senders {
	s := &senders{
		toPeers: make(chan *turn, someTurns), toLinks: make(chan *turn, someTurns),
		free: make(chan *turn, someTurns),
	}
	for range someTurns - 1 { // the loop has one more
		s.free <- new(turn)
	}
	serve := func(from chan *turn, part func(*turn) []udp.Outgoing) {
		s.running.Go(func() {
			for t := range from {
				send(part(t))
				if t.left.Add(-1) == 0 {
					done(t)
					s.free <- t
				}
			}
		})
	}
	serve(s.toPeers, func(t *turn) []udp.Outgoing { return t.toPeers })
	serve(s.toLinks, func(t *turn) []udp.Outgoing { return t.toLinks })
	return s
}

// close returns once everything has been sent.
func (s *senders) close() {
	close(s.toPeers)
	close(s.toLinks)
	s.running.Wait()
}

// dispatch sends the datagrams that wait for nothing, and ends the turn.
func (e *Engine[C]) dispatch() {
	t := e.turn
	if e.senders == nil || len(t.toPeers)+len(t.toLinks) == 0 {
		e.sendHere()
		return
	}
	t.left.Store(2)
	e.senders.toPeers <- t
	e.senders.toLinks <- t
	e.turn = <-e.senders.free
}

// sendHere does the same without the senders: when it returns, all datagrams have left.
func (e *Engine[C]) sendHere() {
	e.send(e.turn.toPeers)
	e.send(e.turn.toLinks)
	e.endTurn(e.turn)
}

// endTurn gives back what a turn held.
func (e *Engine[C]) endTurn(t *turn) {
	if len(t.messages) > 0 {
		e.inbox.done(t.messages)
	}
	t.messages, t.toPeers, t.toLinks = t.messages[:0], t.toPeers[:0], t.toLinks[:0]
	if t.gone != nil {
		close(t.gone)
		t.gone = nil
	}
}

// takeTurn lets the core decide on the messages whose turn it is.
func (e *Engine[C]) takeTurn(ctx context.Context) {
	e.batch = e.inbox.turn(e.at.Boot, e.batch[:0], maxTurn)
	e.handle(ctx, e.batch)
	e.turn.messages = append(e.turn.messages, e.batch...)
	e.carryOut(ctx)
	e.inbox.rest()
}

func (e *Engine[C]) send(batch []udp.Outgoing) {
	if e.out == nil || len(batch) == 0 {
		return
	}
	e.out.Send(batch, func(i int, err error) { e.unsent(batch[i], err) })
}
