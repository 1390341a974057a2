package relay

import (
	"sync"

	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/relay6"
	"fairlead/internal/host/udp"
	"fairlead/internal/wire/dhcp6"
)

// refusals brings what the network says of messages to peers from the sockets to the
// core.
type refusals struct {
	mu   sync.Mutex
	told []udp.Refusal
}

// maxRefusals bounds those that wait for the loop: more of them say nothing new.
const maxRefusals = 64

func (r *refusals) take(x udp.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.told) < maxRefusals {
		r.told = append(r.told, x)
	}
}

// tell hands those that came since the last time to the core.
func (r *refusals) tell(now instant.Now, core *relay6.Relay, eff *effect.Effects) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.told {
		if x.Dest.Port() == dhcp6.ServerPort {
			core.Unreachable(now, x.Dest.Addr(), x.Link, x, eff)
		}
	}
	r.told = r.told[:0]
}
