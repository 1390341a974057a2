package daemon

import (
	"context"

	"fairlead/internal/host/netlink"
)

// spread brings each event of links and routes to n roles, until the watch ends, which
// closes all channels. A role that is slow holds the others up: the kernel says when its
// buffer was too small for that, and then everything is read anew.
func spread(watch context.Context, events <-chan netlink.Event, n int) []<-chan netlink.Event {
	if n == 1 {
		return []<-chan netlink.Event{events}
	}
	in, out := make([]chan netlink.Event, n), make([]<-chan netlink.Event, n)
	for i := range in {
		in[i] = make(chan netlink.Event)
		out[i] = in[i]
	}
	go func() {
		for e := range events {
			for _, r := range in {
				select {
				case r <- e:
				case <-watch.Done():
				}
			}
		}
		for _, r := range in {
			close(r)
		}
	}()
	return out
}
