package protect

import (
	"context"

	"fairlead/internal/core/hop"
)

// ear hears of strongSwan's events while there is somebody whom they concern. The
// zero value but for charon is deaf.
type ear struct {
	charon strongswan
	events <-chan hop.Event // nil: deaf
	stop   context.CancelFunc
}

// listen begins to listen, or ends it, unless it is so already.
func (e *ear) listen(ctx context.Context, wanted bool) {
	switch {
	case wanted && e.events == nil:
		ctx, e.stop = context.WithCancel(ctx)
		e.events = e.charon.Events(ctx)
	case !wanted && e.events != nil:
		e.stop()
		for range e.events { // until nobody is left who would tell
			continue
		}
		e.events = nil
	}
}
