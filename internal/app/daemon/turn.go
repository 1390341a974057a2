package daemon

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"fairlead/internal/app/service"
	"fairlead/internal/core/effect"
	"fairlead/internal/host/udp"
)

// turn is one round of the loop: what the core decided in it, and the messages
// that this may point into. They are one until the last datagram has left.
type turn struct {
	eff      effect.Effects
	messages []*message
	toPeers  []udp.Outgoing
	toLinks  []udp.Outgoing
	left     atomic.Int32 // senders that are not done with it

	gone chan struct{} // closed once all has left; nil: no change follows
}

const (
	maxTurn   = 128 // messages that the core decides on in one turn
	someTurns = 4   // that may be on their way out where there are cores for it
)

// senders send on cores of their own, one towards peers and one towards clients:
// by far the most of what a message costs is the system call that sends it. On
// one or two cores there are none, and the loop sends by itself.
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
	for range someTurns - 1 { // and one is the loop's
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

// dispatch sends what waits for nothing and ends the turn.
func (l *loop) dispatch() {
	t := l.turn
	if l.senders == nil || len(t.toPeers)+len(t.toLinks) == 0 {
		l.sendHere()
		return
	}
	t.left.Store(2)
	l.senders.toPeers <- t
	l.senders.toLinks <- t
	l.turn = <-l.senders.free
}

// sendHere is dispatch without the senders: when it returns, all has left.
func (l *loop) sendHere() {
	l.net.send(l.turn.toPeers)
	l.net.send(l.turn.toLinks)
	l.endTurn(l.turn)
}

// endTurn gives back what a turn held.
func (l *loop) endTurn(t *turn) {
	if len(t.messages) > 0 {
		l.intake.done(t.messages)
	}
	t.messages, t.toPeers, t.toLinks = t.messages[:0], t.toPeers[:0], t.toLinks[:0]
	if t.gone != nil {
		close(t.gone)
		t.gone = nil
	}
}

// receive has the loop look at the sockets whenever something has arrived. Where
// there are cores for it, it takes it in by itself.
func (l *loop) receive(ctx context.Context) error {
	for {
		if err := l.intake.conn.Wait(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if l.senders != nil {
			for l.intake.drain(service.Now().Boot) {
				select {
				case l.arrived <- struct{}{}:
				default: // it has been told
				}
			}
			continue
		}
		select {
		case l.arrived <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-l.drained:
		case <-ctx.Done():
			return nil
		}
	}
}

// takeTurn lets the core decide on the messages whose turn it is, and reports
// whether there may be more.
func (l *loop) takeTurn(ctx context.Context) (more bool) {
	arrived := false
	if l.senders == nil {
		arrived = l.intake.drain(l.at.Boot)
	}
	l.batch, more = l.intake.next(l.batch[:0], maxTurn)
	l.handle(ctx, l.batch)
	l.turn.messages = append(l.turn.messages, l.batch...)
	l.carryOut(ctx)
	more = more || arrived
	l.busy.Store(more)
	if !more && l.awaited {
		l.awaited = false
		l.drained <- struct{}{}
	}
	return more
}

// glance has the loop look at the sockets before its caller goes on, who shares
// the one core with it. The runtime would do that only once no goroutine wants
// to run any more: it does not ask the kernel before. A busy loop looks anyway.
func (l *loop) glance() {
	if l.senders != nil || l.busy.Load() {
		return
	}
	select {
	case l.glances <- struct{}{}:
	default: // it has been told
	}
	runtime.Gosched()
}
