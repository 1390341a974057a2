package control

import (
	"context"
	"errors"

	"fairlead/internal/app/api"
)

// ProcessBackend is what the control interface asks of a process, and what it orders. The methods
// of all backends are called from many goroutines; they respect the context and return copies.
// who names the caller for the log: "alice (uid 1000, pid 4711)".
type ProcessBackend interface {
	// Reload reads the configuration file again, and tells what that changes. A file with errors
	// changes nothing: the error is config.Problems. A file that takes the rule from links with
	// delegations is refused with an *api.LossError unless r.Force is set.
	Reload(ctx context.Context, r api.ReloadRequest, who string) (api.ReloadResult, error)
	// Watch, and Trace of Bindings, close their channel soon after the context is done. They
	// never wait for a reader: see Feed.
	Watch(ctx context.Context, f api.Filter) (<-chan api.Event, error)
}

// Backend is what the control interface asks of the DHCPv6 relay alone, and what it orders.
type Backend interface {
	Links(ctx context.Context) ([]api.Link, error)
	Delegations(ctx context.Context, f api.Filter) ([]api.Delegation, error)
	// Unblock takes a block away; ErrNotFound if there is no such block.
	Unblock(ctx context.Context, b api.Block, who string) error
	Blocks(ctx context.Context) ([]api.Block, error)
}

// Bindings is what the control interface asks of all roles that know what clients hold, and what
// it orders.
type Bindings interface {
	// History tells who had what and when, the latest first. It includes what is held now.
	History(ctx context.Context, f api.HistoryFilter) ([]api.HistoryEntry, error)
	Clear(ctx context.Context, r api.ClearRequest, who string) (api.ClearResult, error)
	Trace(ctx context.Context, f api.TraceFilter) (<-chan api.Event, error)
}

// Errors that a Backend may return. Errors that wrap them reach the caller as these.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("invalid request")
	ErrBusy     = errors.New("busy")
)
