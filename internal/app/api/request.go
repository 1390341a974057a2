package api

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// Filter selects delegations, and events about them: those that match every field that is set.
type Filter struct {
	Client Identifier
	Prefix netip.Prefix // delegations that lie in it, or in which it lies
	Link   string
}

// Matches reports whether the filter selects a binding of a client on a link. An invalid prefix
// stands for an event that is not about a prefix.
func (f Filter) Matches(client Identifier, prefix netip.Prefix, link string) bool {
	return (f.Client == "" || f.Client == client) &&
		(f.Link == "" || f.Link == link) &&
		(!f.Prefix.IsValid() || prefix.IsValid() && f.Prefix.Overlaps(prefix))
}

// HistoryFilter selects what clients had at some time in [From, To).
type HistoryFilter struct {
	Filter
	From  time.Time // zero: from the beginning of the history
	To    time.Time // zero: until now
	Limit int       // entries at most; 0: MaxHistory
}

// MaxHistory is the most entries that one answer of History holds.
const MaxHistory = 10000

// TraceFilter selects the messages to trace: those of a client, or those of a link. Exactly one
// of the two is set.
type TraceFilter struct {
	Client Identifier
	Link   string
}

// ClearRequest names the delegations to end (RFC 8987 O-2): those that match every field that is
// set, exactly. At least one of Prefix, Client, Link and All is set. With Block, grants that
// match are not learned again until Unblock. Block cannot be combined with All.
type ClearRequest struct {
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Client Identifier   `json:"client,omitempty"`
	Link   string       `json:"link,omitempty"`
	All    bool         `json:"all,omitempty"`
	Block  bool         `json:"block,omitempty"`
}

// ClearResult tells what a ClearRequest has done.
type ClearResult struct {
	Cleared int  `json:"cleared"` // delegations that have ended
	Blocked bool `json:"blocked"` // there is a block now, a new one or one that was there before
}

// Block is a block: a grant that matches every field that is set is not learned until an operator
// takes the block away.
type Block struct {
	Prefix netip.Prefix `json:"prefix,omitzero"`
	Client Identifier   `json:"client,omitempty"`
	Link   string       `json:"link,omitempty"`
}

// Check refuses a request that names nothing, or everything by accident.
func (r ClearRequest) Check() error {
	named := r.Prefix.IsValid() || r.Client != "" || r.Link != ""
	switch {
	case r.Prefix.IsValid() && r.Prefix != r.Prefix.Masked():
		return errors.New("prefix: bits are set beyond its length")
	case r.All && named:
		return errors.New("all goes with nothing else")
	case r.All && r.Block: // the Reply would still be forwarded (G-1): every client would have a prefix and no route
		return errors.New("all cannot be blocked")
	case r.Block && r.Prefix.IsValid() && r.Prefix.Addr().Is4():
		return errors.New("leases of DHCPv4 cannot be blocked")
	case !r.All && !named:
		return errors.New("clear needs a prefix, a client, a link or all")
	}
	return nil
}

// Attrs is the request for logs.
func (r ClearRequest) Attrs() []slog.Attr {
	a := selectionAttrs(r.Prefix, r.Client, r.Link)
	if r.All {
		a = append(a, slog.Bool("all", true))
	}
	if r.Block {
		a = append(a, slog.Bool("block", true))
	}
	return a
}

// Attrs is the result for logs.
func (r ClearResult) Attrs() []slog.Attr { return []slog.Attr{slog.Int("cleared", r.Cleared)} }

// Check refuses a block that names nothing.
func (b Block) Check() error {
	if !b.Prefix.IsValid() && b.Client == "" && b.Link == "" {
		return errors.New("unblock needs a prefix, a client or a link")
	}
	return nil
}

// Attrs is the block for logs.
func (b Block) Attrs() []slog.Attr { return selectionAttrs(b.Prefix, b.Client, b.Link) }

func selectionAttrs(p netip.Prefix, client Identifier, link string) []slog.Attr {
	var a []slog.Attr
	if p.IsValid() {
		a = append(a, slog.String("prefix", p.String()))
	}
	if client != "" {
		a = append(a, slog.String("client", client.String()))
	}
	if link != "" {
		a = append(a, slog.String("link", link))
	}
	return a
}
