package rig

import (
	"net/netip"
	"testing"

	"fairlead/internal/lab"
	"fairlead/internal/lab/labtest"
	"fairlead/internal/lab/peer"
	"fairlead/internal/lab/relay"
	"fairlead/internal/lab/script"
)

// Rig is the usual topology with a Fairlead in its relay node.
type Rig struct {
	*Net
	*labtest.Kernel // of the relay node
	Plan            lab.Plan
	Relay           *Host
	Core            *Host
	Server          *Host
	Fairlead        *Program // set after Prepare
	Played          *Server  // set after Answers

	top     *lab.Topology
	clients []*Host
}

// Build makes a topology. Nothing runs in it yet.
func Build(t *testing.T, plan lab.Plan) *Rig {
	t.Helper()
	n := New(t)
	top := must[*lab.Topology](n)(n.Topology(plan))
	host := func(d *lab.Node) *Host { return &Host{Node: d, Net: n} }
	r := &Rig{
		Net: n, Kernel: labtest.KernelOf(t, top.Relay), Plan: plan,
		Relay: host(top.Relay), Core: host(top.Core), Server: host(top.Server), top: top,
	}
	for i := range plan.Clients {
		r.clients = append(r.clients, host(top.Client(i+1)))
	}
	return r
}

// Client returns the client with that number, counted from 1.
func (r *Rig) Client(number int) *Host { return r.clients[number-1] }

// Downlink returns the name of the relay's interface towards a client.
func (r *Rig) Downlink(number int) string { return r.top.Downlink(number) }

// Line returns the point-to-point link to a client, whose first end is the relay's.
func (r *Rig) Line(number int) *lab.Pump { return r.top.Line(number) }

// AddServer makes a further server host, 2 or higher, at lab.ExtraServerAddress.
func (r *Rig) AddServer(number int) *Host {
	r.T.Helper()
	return &Host{Node: must[*lab.Node](r.Net)(r.top.AddServer(number)), Net: r.Net}
}

// NoMetrics is the beginning of Standard.
const NoMetrics = "metrics: {listen: off}\n"

// Standard returns the configuration for the topology: its server, its links to clients with
// additional keys such as "filter: strict", no metrics, and defaults for everything else.
func (r *Rig) Standard(linkKeys ...string) string {
	text := NoMetrics + relay.Standard(r.top)
	for _, k := range linkKeys {
		text += "      " + k + "\n"
	}
	return text
}

// Prepare prepares the Fairlead of the relay node for a start with a configuration.
func (r *Rig) Prepare(text string) {
	r.T.Helper()
	r.Fairlead = r.Relay.Fairlead(relay.Config{Text: text})
}

// Answers makes a played server on the server host answer by that function.
func (r *Rig) Answers(answer script.Answer) {
	r.T.Helper()
	r.Played = r.Server.Server(lab.ServerAddress, answer)
}

// Kea starts Kea on the server host, with leases that outlast the test.
func (r *Rig) Kea() *lab.Proc {
	r.T.Helper()
	return r.Server.Serve(peer.Kea, peer.ServerConfig{Timers: peer.LongTimers})
}

// Play opens the socket of a played client on a link, with an identifier.
func (r *Rig) Play(link int, id []byte) *Client {
	r.T.Helper()
	return r.Client(link).Play(id)
}

// WantRoute waits until the kernel has exactly one route to a prefix, which leads to a client.
func (r *Rig) WantRoute(p netip.Prefix, client int) {
	r.T.Helper()
	r.WantRouteVia(p, r.Client(client).LinkLocal("c0").String(), r.Downlink(client))
}

// AddressIn gives an address from a prefix to a client's home network, and returns it.
func (r *Rig) AddressIn(client int, p netip.Prefix) netip.Addr {
	r.T.Helper()
	inside := p.Addr().Next()
	r.Client(client).Address("lan0", inside.String()+"/64")
	return inside
}
