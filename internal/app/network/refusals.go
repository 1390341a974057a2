package network

import (
	"sync"

	"fairlead/internal/host/udp"
)

// Refusals brings the network's errors about messages to peers from the sockets to the core.
type Refusals struct {
	mu   sync.Mutex
	told []udp.Refusal
}

// maxRefusals bounds the errors that wait for the loop: more of them would tell nothing new.
const maxRefusals = 64

// Take takes in one error. Any goroutine may call it.
func (r *Refusals) Take(x udp.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.told) < maxRefusals {
		r.told = append(r.told, x)
	}
}

// Tell hands over the errors about messages to this port that came since the last call.
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
