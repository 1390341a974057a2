package network

import (
	"net/netip"

	"fairlead/internal/host/udp"
)

// Gated is the sockets, but for datagrams to peers that may not leave now: user space's
// own barrier before those of the kernel.
type Gated struct {
	Sockets
	May func(local, remote netip.Addr) bool // protect.Supervisor's
}

func (g Gated) refuses(o *udp.Outgoing) bool {
	return o.Kind == udp.ToPeer && !g.May(o.Source, o.Dest.Addr())
}

// Send sends what lies between those that are refused.
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
