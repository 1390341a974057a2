package main

import (
	"sync"
	"time"

	"fairlead/internal/wire/dhcp6"
)

// traffic is a client that asks again and again.
type traffic struct {
	end  chan struct{}
	once sync.Once
	done chan struct{}

	mu      sync.Mutex      // guards all following fields
	pending map[uint32]bool // by transaction-id: the messages that were sent; false if answered
}

// between is how long the client waits before it asks again.
const between = 300 * time.Millisecond

// busy makes the client ask again and again until stop is called. Nothing else may use the client
// meanwhile.
func (c *chain) busy() *traffic {
	f := &traffic{end: make(chan struct{}), done: make(chan struct{}), pending: make(map[uint32]bool)}
	go func() {
		defer close(f.done)
		for {
			select {
			case <-f.end:
				return
			case <-c.ctx.Done():
				return
			default:
				f.ask(c)
			}
		}
	}()
	return f
}

// ask sends one Solicit, and receives answers for a moment.
func (f *traffic) ask(c *chain) {
	message := c.solicit()
	if m, err := dhcp6.ParseMessage(message); err == nil && c.asker.Send(message) == nil {
		f.mu.Lock()
		f.pending[m.TransactionID()] = true
		f.mu.Unlock()
	}
	for end := time.Now().Add(between); ; {
		p, err := c.asker.Receive(time.Until(end))
		if err != nil {
			return
		}
		// An earlier message may be answered late.
		if m, err := dhcp6.ParseMessage(p.Data); err == nil {
			f.mu.Lock()
			if f.pending[m.TransactionID()] {
				f.pending[m.TransactionID()] = false
			}
			f.mu.Unlock()
		}
	}
}

// stop ends the asking, and returns when it has ended. It may be called again.
func (f *traffic) stop() {
	f.once.Do(func() { close(f.end) })
	<-f.done
}

// count returns how often the client has asked, and how often it was answered.
func (f *traffic) count() (asked, answered int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pending := range f.pending {
		if !pending {
			answered++
		}
	}
	return len(f.pending), answered
}
