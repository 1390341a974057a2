package network

import (
	"sync"

	"fairlead/internal/host/udp"
)

// Refusals brings what the network says of messages to peers from the sockets to the
// core.
type Refusals struct {
	mu   sync.Mutex
	told []udp.Refusal
}

// maxRefusals bounds those that wait for the loop: more of them say nothing new.
const maxRefusals = 64

// Take takes in one; it may be called by all.
func (r *Refusals) Take(x udp.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.told) < maxRefusals {
		r.told = append(r.told, x)
	}
}

// Tell hands over those that came since the last time, of messages to a port.
func (r *Refusals) Tell(port uint16, to func(udp.Refusal)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.told {
		if x.Dest.Port() == port {
			to(x)
		}
	}
	r.told = r.told[:0]
}
