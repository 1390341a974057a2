// Package guard plays the guard of "fairlead guard". It protects the messages of another
// program's DHCP server or relay agent on this host as RFC 8213 asks for, by a configuration of
// peers as the relay has. The program that it protects does not know of it. The guard relays
// nothing itself, and keeps nothing.
package guard

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/metrics"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/app/role"
	"fairlead/internal/app/service"
	"fairlead/internal/core/hop"
	"fairlead/internal/core/trust"
	"fairlead/internal/host/bypass"
	"fairlead/internal/host/udp"
)

// Role is the guard.
func Role() role.Role {
	return role.Role{
		Section: config.Kind{Name: config.GuardName}, Protect: settings,
		New: func(h *role.House) role.Player { return &guard{house: h, cfg: h.Config} },
	}
}

// guard has all parts of the role.
type guard struct {
	house *role.House

	mu       sync.Mutex // guards all following fields
	cfg      *config.Config
	programs []api.Program
	hidden   string // why there may be more programs
}

var _ role.Player = (*guard)(nil)

// settings make the protection that a file asks for. Messages of peers with protection none pass
// the guard tables in clear.
func settings(cfg *config.Config) protect.Settings {
	own := cfg.Sections[config.GuardName].(*config.Guard)
	s := protect.Settings{Hops: cfg.Hops(), Others: own.Others, Remove: cfg.IPsec.Remove}
	for i := range cfg.Peers {
		if p := &cfg.Peers[i]; p.Protection == trust.ProtectionNone {
			s.Open = append(s.Open, hop.Open{Role: p.Role, Address: p.Address, Prefix: p.Prefix, Link: p.Zone})
		}
	}
	return s
}

// Restore has nothing to restore.
func (g *guard) Restore() (map[string]int, error) { return nil, nil }

// Open is never called: a guard has no sockets and no inbox.
func (g *guard) Open(engine.Receiver, role.Sockets) {}

// Inbox is nil.
func (g *guard) Inbox() *engine.Inbox { return nil }

// Hears is never called.
func (g *guard) Hears(*udp.Datagram) bool { return false }

// Refused is never called.
func (g *guard) Refused(udp.Refusal) {}

// Tasks are what runs.
func (g *guard) Tasks() map[string]process.Task {
	return map[string]process.Task{"programs": g.watchPrograms}
}

// Done is never called.
func (g *guard) Done() <-chan struct{} { return nil }

// Alive succeeds, because there is no loop that could hang.
func (g *guard) Alive(context.Context) error { return nil }

// Routes has the guard's status, which is not that of a relay.
func (g *guard) Routes() []control.Route { return control.Guard(g) }

// Collectors are the figures of the guard.
func (g *guard) Collectors() []prometheus.Collector {
	return []prometheus.Collector{metrics.Guard(g.Status)}
}

// Count has nothing that belongs into api.Counters.
func (g *guard) Count(context.Context, *api.Counters) error { return nil }

// Prospect adds nothing: a guard has only peers and settings, which the process compares.
func (g *guard) Prospect(context.Context, *config.Config, *api.ReloadResult) (map[string]int, error) {
	return nil, nil
}

// Reconfigure makes a configuration the present one.
func (g *guard) Reconfigure(_ context.Context, next *config.Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg = next
	return nil
}

// Close has nothing to close.
func (g *guard) Close() error { return nil }

func (g *guard) config() *config.Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg
}

// Status is the status of the guard.
func (g *guard) Status(context.Context) (api.GuardStatus, error) {
	states, cfg := g.house.Hops.States(), g.config()
	s := api.GuardStatus{
		Version: service.Version(), Started: g.house.Started, Uptime: api.Lifetime(time.Since(g.house.Started)),
		Config:    g.house.Reloads().ConfigStatus,
		Strangers: api.Traffic(g.house.Hops.Strangers()), Programs: g.found(),
		Degraded: append(g.house.Wrong(), g.wrong()...),
	}
	for i := range cfg.Peers {
		s.Peers = append(s.Peers, control.ProtectionOf(&cfg.Peers[i], states))
	}
	return s, nil
}

// Judge adds problems with programs.
func (g *guard) Judge(_ context.Context, s *api.Status, _ *api.Counters) error {
	s.Degraded = append(s.Degraded, g.wrong()...)
	return nil
}

func (g *guard) found() []api.Program {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]api.Program(nil), g.programs...)
}

func (g *guard) wrong() (words []string) {
	g.mu.Lock()
	hidden := g.hidden
	g.mu.Unlock()
	if hidden != "" {
		words = append(words, hidden)
	}
	if why := g.house.Hops.Frames(); why != "" {
		words = append(words, "what programs send to peers by packet sockets is not held back: "+why)
	}
	for _, p := range g.found() {
		words = append(words, fmt.Sprintf("program %s (%d): %s", p.Name, p.PID, p.Problem))
	}
	return words
}

// watchEvery is the time between two searches for programs that IPsec cannot protect.
const watchEvery = 5 * time.Second

// watchPrograms looks for programs whose messages bypass IPsec, and logs each of them once.
func (g *guard) watchPrograms(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	told := make(map[int]bool)
	for {
		g.look(told)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (g *guard) look(told map[int]bool) {
	found, err := bypass.Programs(g.ports()...)
	programs := make([]api.Program, 0, len(found))
	there := make(map[int]bool, len(found))
	for _, p := range found {
		c := api.Program{PID: p.PID, Name: p.Name, Problem: "reads packets past IPsec, by a packet socket: it cannot be protected; what it sends to peers by one is held back"}
		if g.house.Hops.Frames() != "" {
			c.Problem = "reads and sends packets past IPsec, by a packet socket: it cannot be protected"
		}
		if strings.HasPrefix(p.Name, "kea-dhcp4") {
			c.Problem += "; set dhcp-socket-type to udp"
		}
		programs = append(programs, c)
		if there[p.PID] = true; !told[p.PID] {
			g.house.Told.Warn("a DHCP program passes IPsec by", "program", p.Name, "pid", p.PID, "ports", p.Port, "problem", c.Problem)
		}
	}
	clear(told)
	for pid := range there {
		told[pid] = true
	}
	hidden := ""
	if err != nil {
		hidden = "programs that pass IPsec by may be overlooked: " + err.Error()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if hidden != "" && g.hidden == "" {
		g.house.Told.Warn("programs that pass IPsec by may be overlooked", "error", err)
	}
	g.programs, g.hidden = programs, hidden
}

// ports are those of the families that have protected peers.
func (g *guard) ports() (ports []uint16) {
	for _, h := range g.config().Hops() {
		ports = append(ports, h.Port())
	}
	return ports
}
