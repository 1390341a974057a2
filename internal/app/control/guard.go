package control

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"fairlead/internal/app/config"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
)

// GuardBackend is what the control interface of "fairlead guard" asks and
// commands, as Backend is for the relay.
type GuardBackend interface {
	Status(ctx context.Context) (GuardStatus, error)
	// Reload reads the configuration file again, and says what that changes: peers,
	// settings and warnings. A file with errors changes nothing, and comes back as
	// config.Problems.
	Reload(ctx context.Context, r ReloadRequest, who string) (ReloadResult, error)
	// Watch closes its channel soon after the context is done, and never waits
	// for a reader: see Feed.
	Watch(ctx context.Context) (<-chan Event, error)
}

// GuardStatus is a guard at a glance: what it protects for another program.
type GuardStatus struct {
	Version string       `json:"version"`
	Started time.Time    `json:"started"`
	Uptime  Lifetime     `json:"uptime"`
	Config  ConfigStatus `json:"config"`
	Peers   []GuardPeer  `json:"peers"`
	// Strangers is what came from nobody that is configured, and was discarded.
	Strangers Traffic   `json:"strangers"`
	Programs  []Program `json:"programs"` // DHCP programs that IPsec cannot protect
	// Degraded says in words what does not work as it should; empty: all well.
	Degraded []string `json:"degraded"`
}

// GuardPeer is one configured peer of the program that is guarded.
type GuardPeer struct {
	Name       string `json:"name"`
	Role       string `json:"role"` // "server" or "relay"
	Protection string `json:"protection"`
	Protected  bool   `json:"protected"`
	Hops       []Hop  `json:"hops,omitempty"`
}

// GuardPeerOf is a peer with those of all hops that are its own.
func GuardPeerOf(p *trust.Peer, all []hop.State) GuardPeer {
	return GuardPeer{
		Name: p.Name, Role: p.Role.String(), Protection: p.Protection.String(),
		Protected: Protected(p, all), Hops: HopsOf(p.Name, all),
	}
}

// Program is a DHCP program of somebody else on this host, and why IPsec cannot
// protect what it sends or takes in.
type Program struct {
	PID     int    `json:"pid"`
	Name    string `json:"name"`
	Problem string `json:"problem"`
}

// ListenGuard is Listen for a guard. audit is the file of the audit log; empty:
// with the log.
func ListenGuard(c *config.Control, audit string, b GuardBackend, log *slog.Logger) (*Server, error) {
	return open(c, audit, log, func(s *Server) http.Handler { return s.guardRoutes(b) })
}

// guardRoutes are all paths of a guard's interface.
func (s *Server) guardRoutes(b GuardBackend) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/status", query(s, noFilter, func(ctx context.Context, _ struct{}) (GuardStatus, error) {
		status, err := b.Status(ctx)
		return status.whole(), err
	}))
	mux.Handle("GET /v1/watch", stream(s, noFilter, func(ctx context.Context, _ struct{}) (<-chan Event, error) { return b.Watch(ctx) }))
	mux.Handle("POST /v1/reload", reload(s, b.Reload))
	return s.bounded(mux)
}

// whole has an empty list where there was none, which JSON would call null.
func (g GuardStatus) whole() GuardStatus {
	g.Peers, _ = list(g.Peers, nil)
	g.Programs, _ = list(g.Programs, nil)
	g.Degraded, _ = list(g.Degraded, nil)
	return g
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
