package demo

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

	mu            sync.Mutex // guards all following fields
	sent, replies int
}

// between is how long the client waits before it asks again.
const between = 300 * time.Millisecond

// busy has the client ask again and again until stop is called. Nobody else may
// use the client meanwhile.
func (c *chain) busy() *traffic {
	f := &traffic{end: make(chan struct{}), done: make(chan struct{})}
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

// ask sends one Solicit, and counts what comes back for a moment.
func (f *traffic) ask(c *chain) {
	if c.asker.Send(c.solicit()) == nil {
		f.mu.Lock()
		f.sent++
		f.mu.Unlock()
	}
	for end := time.Now().Add(between); ; {
		p, err := c.asker.Receive(time.Until(end))
		if err != nil {
			return
		}
		if _, err := dhcp6.ParseMessage(p.Data); err == nil {
			f.mu.Lock()
			f.replies++
			f.mu.Unlock()
		}
	}
}

// stop ends it, and returns when it has ended. It may be called again.
func (f *traffic) stop() {
	f.once.Do(func() { close(f.end) })
	<-f.done
}

func (f *traffic) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

func (f *traffic) answered() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replies
}
