package api

import (
	"context"
	"time"
)

// GuardStatus is a guard at a glance: what it protects for another program.
type GuardStatus struct {
	Version string           `json:"version"`
	Started time.Time        `json:"started" gauge:"start_time_seconds" help:"When the process started, in seconds since 1970."`
	Uptime  Lifetime         `json:"uptime"`
	Config  ConfigStatus     `json:"config"`
	Peers   []PeerProtection `json:"peers"`
	// Strangers is what came from nobody that is configured, and was discarded.
	Strangers Traffic   `json:"strangers"`
	Programs  []Program `json:"programs" gauge:"unprotected_programs" help:"DHCP programs on this host that IPsec cannot protect; fairlead guard status names them."`
	// Degraded says in words what does not work as it should; empty: all well.
	Degraded []string `json:"degraded" gauge:"degraded_reasons" help:"How many things do not work as they should; fairlead guard status says which."`
}

// Program is a DHCP program of somebody else on this host, and why IPsec cannot
// protect what it sends or takes in.
type Program struct {
	PID     int    `json:"pid"`
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

// GuardClient speaks with a running guard over its Unix socket, as Client does
// with a relay.
type GuardClient struct{ c *Client }

// NewGuardClient does not connect yet.
func NewGuardClient(socket string) *GuardClient {
	c := NewClient(socket)
	c.program = "fairlead guard"
	return &GuardClient{c}
}

// Status is the guard at a glance.
func (g *GuardClient) Status(ctx context.Context) (GuardStatus, error) {
	return get[GuardStatus](ctx, g.c, "status", nil)
}

// Reload makes the guard read its configuration file again. A file with errors is
// a RemoteError with Problems.
func (g *GuardClient) Reload(ctx context.Context, r ReloadRequest) (ReloadResult, error) {
	return g.c.Reload(ctx, r)
}

// Watch opens a stream of what happens to the protection, as Client.Watch does.
func (g *GuardClient) Watch(ctx context.Context) (Stream, error) {
	return g.c.open(ctx, "watch", nil)
}
