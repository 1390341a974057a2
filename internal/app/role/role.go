// Package role says what the process needs to know of a role, and what it lends to one
// that is played. A role is registered, not built in: it is one value, which
// cmd/fairlead names. The process knows no role by name.
package role

import (
	"context"
	"log/slog"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/cli"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/engine"
	"fairlead/internal/app/history"
	"fairlead/internal/app/hook"
	"fairlead/internal/app/identity"
	"fairlead/internal/app/kernel"
	"fairlead/internal/app/process"
	"fairlead/internal/app/protect"
	"fairlead/internal/host/netlink"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/store"
	"fairlead/internal/host/udp"
)

// Role is one way to take part in DHCP.
type Role struct {
	// Section is the role's part of the configuration. Its name is the role's.
	Section config.Kind
	// Protect is what a configuration wants protected; nil: its peers, and strangers are
	// the role's own to refuse.
	Protect func(*config.Config) protect.Settings
	// Commands are what an operator can ask a running role, or have it do.
	Commands []cli.Command
	// New is a player of the role. It does nothing yet.
	New func(h *House) Player
}

// House is what the process lends to a role that it plays. The guard's has no more than
// Process, Told, Config, Hops and Wrong.
type House struct {
	*process.Process
	Told     *slog.Logger // Log, and those who watch are told of its warnings
	Config   *config.Config
	BootID   string
	Host     string             // the host's name
	Identity *identity.Identity // who we are for servers
	Store    *store.Store
	History  *history.History // where a role keeps what it has decided
	Netlink  *netlink.Conn
	Events   <-chan netlink.Event // of links and routes, for this role
	Filter   *nft.Table
	Kernel   *kernel.Kernel // what all roles have there
	Hops     *protect.Supervisor
	Hook     *hook.Runner
	Bindings *bindings.House // of all roles

	// Wrong is what does not work as it should of what all roles share, in words.
	Wrong func() []string
}

// Player plays a role. Hears, Refused, Reconfigure, Count, Judge and Prospect are called
// while Tasks run, from several goroutines.
type Player interface {
	// Restore brings the host to what was kept, before any socket is open, and returns
	// how many leases are held on each link.
	Restore() (held map[string]int, err error)
	// Open hands the player its sockets, before Tasks run. Where roles share them in is
	// nil, and what comes is fed to Inbox.
	Open(in engine.Receiver, out Sockets)
	// Inbox is where its datagrams go. It is not asked of a guard, which has none.
	Inbox() *engine.Inbox
	// Hears reports whether a datagram that came in on a link without clients of any role
	// is for the role, such as a peer's. It is asked where several roles share the sockets.
	Hears(d *udp.Datagram) bool
	// Tasks are what runs until its context ends, by name.
	Tasks() map[string]process.Task
	// Done is closed when all has left that was decided before the end.
	Done() <-chan struct{}
	// Alive returns once the player has answered.
	Alive(ctx context.Context) error
	// Refused is told what the network says of a message to a peer.
	Refused(udp.Refusal)

	// Routes are the role's own paths of the control interface.
	Routes() []control.Route
	// Collectors are the role's own metrics, beside those of api.Counters.
	Collectors() []prometheus.Collector
	// Count fills in the figures that are the role's.
	Count(ctx context.Context, c *api.Counters) error
	// Judge adds to a status, which has the figures of c, what the role knows to be wrong.
	Judge(ctx context.Context, s *api.Status, c *api.Counters) error

	// Prospect adds what another configuration would change for the role, and returns how
	// many leases are held on each link. Nothing is changed.
	Prospect(ctx context.Context, next *config.Config, r *api.ReloadResult) (held map[string]int, err error)
	// Reconfigure has another configuration hold. It is done wholly once it has begun,
	// whatever becomes of ctx.
	Reconfigure(ctx context.Context, next *config.Config) error

	Close() error
}

// Sockets are where datagrams leave, and what opens them: host/udp.
type Sockets interface {
	engine.Sender
	// SetLinks says which links the role's clients are on, and AddLocal and RemoveLocal
	// from which addresses it speaks to peers.
	SetLinks(client []udp.Link) error
	AddLocal(at udp.Local) error
	RemoveLocal(at udp.Local) error
	Source(to netip.Addr, vrf string) (netip.Addr, error)
}
