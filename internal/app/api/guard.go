package api

import (
	"context"
	"time"
)

// GuardStatus is the status of a guard: what it protects for another program.
type GuardStatus struct {
	Version string           `json:"version"`
	Started time.Time        `json:"started" gauge:"start_time_seconds" help:"When the process started, in seconds since 1970."`
	Uptime  Lifetime         `json:"uptime"`
	Config  ConfigStatus     `json:"config"`
	Peers   []PeerProtection `json:"peers"`
	// Strangers are messages whose sender is not configured, and which were discarded.
	Strangers Traffic   `json:"strangers"`
	Programs  []Program `json:"programs" gauge:"unprotected_programs" help:"DHCP programs on this host that IPsec cannot protect; fairlead guard status names them."`
	// Degraded says in words what does not work as it should; empty: everything does.
	Degraded []string `json:"degraded" gauge:"degraded_reasons" help:"How many things do not work as they should; fairlead guard status says which."`
}

// Program is another DHCP program on this host, and the reason why IPsec cannot protect what it
// sends or receives.
type Program struct {
	PID     int    `json:"pid"`
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

// Wrong is how many things are not as they should be.
func (s *GuardStatus) Wrong() int { return len(s.Degraded) }

// NewGuardClient makes a client for a running guard. It connects with the first request.
func NewGuardClient(socket string) *Client {
	c := NewClient(socket)
	c.program = "fairlead guard"
	return c
}

// GuardStatus asks for the status of a guard.
func (c *Client) GuardStatus(ctx context.Context) (GuardStatus, error) {
	return get[GuardStatus](ctx, c, "status", nil)
}
