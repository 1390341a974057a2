// Package role says what the process needs to know of a role, and what it lends to a role that it
// plays. A role is one value, which cmd/fairlead names. The process knows no role by name.
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
	// Protect is what a configuration wants protected. nil: the peers of the configuration, and
	// the role itself refuses strangers.
	Protect func(*config.Config) protect.Settings
	// Commands are the commands with which an operator asks or changes a running role.
	Commands []cli.Command
	// New makes a player of the role, which does nothing yet.
	New func(h *House) Player
}

// House is what the process lends to a role that it plays. That of the guard has only Process,
// Told, Config, Hops and Wrong.
type House struct {
	*process.Process
	Told     *slog.Logger // like Log; those who watch are told of its warnings too
	Config   *config.Config
	BootID   string
	Host     string             // the host's name
	Identity *identity.Identity // by which servers know us
	Store    *store.Store
	History  *history.History // keeps what a role has decided
	Netlink  *netlink.Conn
	Events   <-chan netlink.Event // of links and routes, for this role
	Filter   *nft.Table
	Kernel   *kernel.Kernel // all routes and filter elements of all roles
	Hops     *protect.Supervisor
	Hook     *hook.Runner
	Bindings *bindings.House // books of all roles

	// Wrong says in words what does not work as it should in the parts that all roles share.
	Wrong func() []string
}

// Player plays a role. Hears, Refused, Reconfigure, Count, Judge and Prospect are called while
// Tasks run, by several goroutines.
type Player interface {
	// Restore takes in what was kept, before any socket is open and before the kernel is brought
	// to it. It returns the number of leases on each link.
	Restore() (held map[string]int, err error)
	// Open gives the player its sockets, before Tasks run. If roles share them, in is nil, and
	// datagrams are fed to Inbox.
	Open(in engine.Receiver, out Sockets)
	// Inbox is where datagrams for the role go. A guard has none, and is not asked.
	Inbox() *engine.Inbox
	// Hears reports whether a datagram that came in on a link without clients of any role is for
	// this role, such as a peer's. It is called where several roles share the sockets.
	Hears(d *udp.Datagram) bool
	// Tasks run until their context ends, by name.
	Tasks() map[string]process.Task
	// Done is closed when everything has left that was decided before the end.
	Done() <-chan struct{}
	// Alive returns once the player has answered.
	Alive(ctx context.Context) error
	// Refused takes in an error of the network about a message to a peer.
	Refused(udp.Refusal)

	// Routes are the role's own paths of the control interface.
	Routes() []control.Route
	// Collectors are the role's own metrics. api.Counters has the others.
	Collectors() []prometheus.Collector
	// Count fills in the role's figures.
	Count(ctx context.Context, c *api.Counters) error
	// Judge adds to a status what the role knows to be wrong. The status has the figures of c.
	Judge(ctx context.Context, s *api.Status, c *api.Counters) error

	// Prospect adds what another configuration would change for the role, and returns the number
	// of leases on each link. It changes nothing.
	Prospect(ctx context.Context, next *config.Config, r *api.ReloadResult) (held map[string]int, err error)
	// Reconfigure makes another configuration the present one. Once it has begun, it is done as a
	// whole, even if ctx ends.
	Reconfigure(ctx context.Context, next *config.Config) error

	Close() error
}

// Sockets are the sockets of host/udp: datagrams leave by them.
type Sockets interface {
	engine.Sender
	// SetLinks says on which links the role's clients are. AddLocal and RemoveLocal say from
	// which addresses it speaks to peers.
	SetLinks(client []udp.Link) error
	AddLocal(at udp.Local) error
	RemoveLocal(at udp.Local) error
	Source(to netip.Addr, vrf string) (netip.Addr, error)
}
