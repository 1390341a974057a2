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

// Wrong is how many things are not as they should be.
func (s *GuardStatus) Wrong() int { return len(s.Degraded) }

// NewGuardClient is for a running guard. It does not connect yet.
func NewGuardClient(socket string) *Client {
	c := NewClient(socket)
	c.program = "fairlead guard"
	return c
}

// GuardStatus is a guard at a glance.
func (c *Client) GuardStatus(ctx context.Context) (GuardStatus, error) {
	return get[GuardStatus](ctx, c, "status", nil)
}
