package daemon

import (
	"context"

	"fairlead/internal/host/netlink"
)

// spread gives each event of links and routes to n roles, until the watch ends, which closes all
// channels. A slow role delays the others. If the kernel's buffer is then too small, the kernel
// says so, and everything is read again.
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
