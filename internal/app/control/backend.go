package control

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// Backend is what the control interface asks and commands. Its methods are
// called from many goroutines; they respect the context and hand out copies.
// Who is the caller in words, for the log: "alice (uid 1000, pid 4711)".
type Backend interface {
	Status(ctx context.Context) (Status, error)
	Links(ctx context.Context) ([]Link, error)
	Peers(ctx context.Context) ([]Peer, error)
	Delegations(ctx context.Context, f Filter) ([]Delegation, error)
	// History is who had which prefix when, the latest first, live delegations
	// included.
	History(ctx context.Context, f HistoryFilter) ([]HistoryEntry, error)
	Clear(ctx context.Context, r ClearRequest, who string) (ClearResult, error)
	// Unblock takes a block away; ErrNotFound if there is none like it.
	Unblock(ctx context.Context, b Block, who string) error
	Blocks(ctx context.Context) ([]Block, error)
	// Reload reads the configuration file again, and says what that changes. A file
	// with errors changes nothing, and comes back as config.Problems. One that
	// takes the rule from links with delegations is a *LossError unless it is
	// forced.
	Reload(ctx context.Context, r ReloadRequest, who string) (ReloadResult, error)
	// Watch and Trace close their channel soon after the context is done, and
	// never wait for a reader: see Feed.
	Watch(ctx context.Context, f Filter) (<-chan Event, error)
	Trace(ctx context.Context, f TraceFilter) (<-chan Event, error)
	// Counters is one snapshot for one scrape of the metrics.
	Counters(ctx context.Context) (Counters, error)
}

// What a Backend may answer; errors that wrap them reach the caller as such.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("invalid request")
	ErrBusy     = errors.New("busy")
)

// Filter selects delegations, and events about them: those that match every
// field that is set.
type Filter struct {
	Client DUID
	Prefix netip.Prefix // delegations that lie in it, or that it lies in
	Link   string
}

// Matches reports whether the filter selects what a client has on a link. An
// invalid prefix stands for an event that is about none.
func (f Filter) Matches(client DUID, prefix netip.Prefix, link string) bool {
	return (f.Client == "" || f.Client == client) &&
		(f.Link == "" || f.Link == link) &&
		(!f.Prefix.IsValid() || prefix.IsValid() && f.Prefix.Overlaps(prefix))
}

// HistoryFilter selects what was delegated at some time in [From, To).
type HistoryFilter struct {
	Filter
	From  time.Time // zero: since the history begins
	To    time.Time // zero: until now
	Limit int       // entries at most; 0: MaxHistory
}

// MaxHistory is the most entries that one answer of History holds.
const MaxHistory = 10000

// TraceFilter selects the messages to trace: those of a client or those of a
// link. One of them is set.
type TraceFilter struct {
	Client DUID
	Link   string
}

// ClearRequest names the delegations to end (RFC 8987 O-2): those that match
// every field that is set, exactly. At least one of Prefix, Client, Link and
// All is set. With Block, which does not go with All, what is named is not learned
// again until unblocked.
type ClearRequest struct {
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Client DUID         `json:"client,omitempty"`
	Link   string       `json:"link,omitempty"`
	All    bool         `json:"all,omitempty"`
	Block  bool         `json:"block,omitempty"`
}

// ClearResult is what a Clear did.
type ClearResult struct {
	Cleared int  `json:"cleared"` // delegations ended
	Blocked bool `json:"blocked"` // a block was added, or was there
}

// Block is what may not be learned until an operator takes the block away: a
// grant that matches every field that is set.
type Block struct {
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Client DUID         `json:"client,omitempty"`
	Link   string       `json:"link,omitempty"`
}
