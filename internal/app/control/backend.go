package control

import (
	"context"
	"errors"

	"fairlead/internal/app/api"
)

// ProcessBackend is what the control interface asks and commands of a process. The
// methods of backends are called from many goroutines; they respect the context and hand
// out copies. Who is the caller in words, for the log: "alice (uid 1000, pid 4711)".
type ProcessBackend interface {
	// Reload reads the configuration file again, and says what that changes. A file
	// with errors changes nothing, and comes back as config.Problems. One that
	// takes the rule from links with delegations is an *api.LossError unless it is
	// forced.
	Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error)
	// Watch, and Trace of Bindings, close their channel soon after the context is done, and
	// never wait for a reader: see Feed.
	Watch(ctx context.Context, f api.Filter) (<-chan api.Event, error)
}

// Backend is what the control interface asks and commands of the DHCPv6 relay alone.
type Backend interface {
	Links(ctx context.Context) ([]api.Link, error)
	Delegations(ctx context.Context, f api.Filter) ([]api.Delegation, error)
	// Unblock takes a block away; ErrNotFound if there is none like it.
	Unblock(ctx context.Context, b api.Block, who string) error
	Blocks(ctx context.Context) ([]api.Block, error)
}

// Bindings is what the control interface asks and commands of all roles of a process that
// know who holds what.
type Bindings interface {
	// History is who had what when, the latest first, what is held now included.
	History(ctx context.Context, f api.HistoryFilter) ([]api.HistoryEntry, error)
	Clear(ctx context.Context, r api.ClearRequest, who string) (api.ClearResult, error)
	Trace(ctx context.Context, f api.TraceFilter) (<-chan api.Event, error)
}

// What a Backend may answer; errors that wrap them reach the caller as such.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("invalid request")
	ErrBusy     = errors.New("busy")
)
