package protect

import (
	"context"

	"fairlead/internal/core/hop"
)

// ear listens to strongSwan's events while some hop needs them. A zero value with a charon does
// not listen.
type ear struct {
	charon strongswan
	events <-chan hop.Event // nil: it does not listen
	stop   context.CancelFunc
}

// listen begins or ends listening, as wanted says.
func (e *ear) listen(ctx context.Context, wanted bool) {
	switch {
	case wanted && e.events == nil:
		ctx, e.stop = context.WithCancel(ctx)
		e.events = e.charon.Events(ctx)
	case !wanted && e.events != nil:
		e.stop()
		for range e.events { // until no sender is left
			continue
		}
		e.events = nil
	}
}
