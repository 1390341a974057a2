package network

import (
	"net/netip"

	"fairlead/internal/host/udp"
)

// Gated are the sockets behind the barrier in user space: datagrams to a peer leave only while
// May permits it. The barriers in the kernel come after it.
type Gated struct {
	Sockets
	May func(local, remote netip.Addr) bool // the Supervisor's May, of package protect
}

func (g Gated) refuses(o *udp.Outgoing) bool {
	return o.Kind == udp.ToPeer && !g.May(o.Source, o.Dest.Addr())
}

// Send sends the datagrams that may leave, in their order, and reports the others as failed.
func (g Gated) Send(batch []udp.Outgoing, failed func(i int, err error)) {
	first := 0
	for i := range batch {
		if !g.refuses(&batch[i]) {
			continue
		}
		if i > first {
			from := first
			g.Sockets.Send(batch[first:i], func(n int, err error) { failed(from+n, err) })
		}
		failed(i, errUnprotected)
		first = i + 1
	}
	switch rest := first; {
	case rest == 0:
		g.Sockets.Send(batch, failed)
	case rest < len(batch):
		g.Sockets.Send(batch[rest:], func(n int, err error) { failed(rest+n, err) })
	}
}
