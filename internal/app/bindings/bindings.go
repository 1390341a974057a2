// Package bindings answers operators who ask what clients hold, or have it end: for every role of
// a process that has bindings, and from the history, which all roles share. A role has a Book,
// which asks its core in the engine's loop. House puts the books together.
package bindings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/privacy"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// AnyBook is a Book, whatever its core is.
type AnyBook interface {
	// Live are its live bindings, and when they were looked at.
	Live(ctx context.Context) ([]Living, instant.Now, error)
	// Orphans are what the kernel has on the role's links and the store does not explain.
	Orphans(ctx context.Context) ([]api.Delegation, error)
	// Clients are who an identifier may name.
	Clients(id api.Identifier) []binding.Client
	// Clear ends what is selected, and returns how many bindings that was.
	Clear(ctx context.Context, s delegation.Selection) (int, error)
	// Block ends what is selected, and has it not learned again. can is false, and nothing
	// is done, if the role has no blocks.
	Block(ctx context.Context, s delegation.Selection) (cleared int, can bool, err error)
	// Trace has the core trace what is selected; nil: nothing.
	Trace(ctx context.Context, t *effect.Trace) error
}

// Living is a live binding.
type Living struct {
	binding.Binding
	Unproved bool // see api.Delegation
}

// Scanner is where the history is: host/store.
type Scanner interface {
	Scan(from, to []byte, fn func(k, v []byte) bool) error
}

// House is what clients hold, as all roles know it.
type House struct {
	log     *slog.Logger
	privacy *privacy.Rules
	store   Scanner
	feed    *control.Feed
	books   []AnyBook
	leases  []AnyBook // those of the books whose bindings are leases

	mu      sync.Mutex // guards tracing
	tracing bool
}

// NewHouse is a house without books.
func NewHouse(log *slog.Logger, rules *privacy.Rules, store Scanner, feed *control.Feed) *House {
	return &House{log: log, privacy: rules, store: store, feed: feed}
}

// Add takes in the book of a role. All books are added before the first question.
func (h *House) Add(one AnyBook) { h.books = append(h.books, one) }

// AddLeases is Add for a role whose bindings are leases.
func (h *House) AddLeases(one AnyBook) {
	h.Add(one)
	h.leases = append(h.leases, one)
}

// HasLeases reports whether any role has leases.
func (h *House) HasLeases() bool { return len(h.leases) > 0 }

// Leases are the leases of all roles that a filter selects, in the order of their prefixes.
func (h *House) Leases(ctx context.Context, f api.Filter) (all []api.Delegation, err error) {
	for _, one := range h.leases {
		found, err := List(ctx, one, f)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	Sort(all)
	return all, nil
}

// HasBooks reports whether there is any book.
func (h *House) HasBooks() bool { return len(h.books) > 0 }

var _ control.Bindings = (*House)(nil)

// matches reports whether a filter selects a binding.
func matches(f *api.Filter, one *binding.Binding) bool {
	return f.Matches(api.Identifier(one.Client.Identifier()), one.Prefix, one.Link)
}

// List returns the live bindings and the orphans of a role that a filter selects, in the order of
// their prefixes. Whose an orphan is is not known: a filter that names a client selects none.
func List(ctx context.Context, of AnyBook, f api.Filter) ([]api.Delegation, error) {
	all, at, err := of.Live(ctx)
	var found []api.Delegation
	for i := range all {
		if matches(&f, &all[i].Binding) {
			one := control.DelegationOf(&all[i].Binding, at)
			one.Unproved = all[i].Unproved
			found = append(found, one)
		}
	}
	var orphans []api.Delegation
	if err == nil && f.Client == "" {
		orphans, err = of.Orphans(ctx)
	}
	for i := range orphans {
		if o := &orphans[i]; f.Matches("", o.Prefix, o.Link) {
			found = append(found, *o)
		}
	}
	Sort(found)
	return found, err
}

// Sort sorts bindings by their prefixes.
func Sort(all []api.Delegation) {
	slices.SortFunc(all, func(a, b api.Delegation) int { return a.Prefix.Compare(b.Prefix) })
}

// History returns the newest entries that match: bindings that are held now, and bindings that
// have ended.
func (h *House) History(ctx context.Context, f api.HistoryFilter) ([]api.HistoryEntry, error) {
	if f.To.IsZero() {
		f.To = time.Now()
	}
	if f.Limit <= 0 || f.Limit > api.MaxHistory {
		f.Limit = api.MaxHistory
	}
	found := newest{limit: f.Limit}
	for _, book := range h.books {
		all, _, err := book.Live(ctx)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if all[i].Granted.Before(f.To) && matches(&f.Filter, &all[i].Binding) {
				found.add(control.HistoryOf(&all[i].Binding, time.Time{}, ""))
			}
		}
	}
	from := f.From
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	// A binding that ended after To may have been held before it.
	lo, hi := ledger.HistoryRange(from, time.Now().Add(time.Hour))
	masked := h.maskedFilter(f.Filter)
	err := h.store.Scan(lo, hi, func(k, v []byte) bool {
		past, err := ledger.ParsePast(k, v)
		if err == nil && past.Granted.Before(f.To) && (matches(&f.Filter, &past.Binding) || matches(&masked, &past.Binding)) {
			found.add(control.HistoryOf(&past.Binding, past.Ended, past.Reason))
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err() // a part of it would look like all of it
	}
	return found.take(), err
}

// maskedFilter selects among masked records what a filter selects: an operator who asks for one
// client, or for one prefix, knows its identifier.
func (h *House) maskedFilter(f api.Filter) api.Filter {
	m := h.privacy.History()
	if m.How() == config.IdentifiersNone { // nothing can be found
		return f
	}
	f.Client, f.Prefix = api.Identifier(m.DUID(string(f.Client))), m.Prefix(f.Prefix)
	return f
}

// selections are a request in the cores' form, one for each client that the request may name.
func selections(r *api.ClearRequest, of AnyBook) []delegation.Selection {
	s := delegation.Selection{Prefix: r.Prefix, Link: r.Link, All: r.All}
	if r.Client == "" {
		return []delegation.Selection{s}
	}
	var all []delegation.Selection
	for _, s.Client = range of.Clients(r.Client) {
		all = append(all, s)
	}
	return all
}

// Clear ends in every role what a request names. If it is to be blocked too, it ends only in
// roles that have blocks.
func (h *House) Clear(ctx context.Context, r api.ClearRequest, who string) (result api.ClearResult, err error) {
	if r.Block && r.All {
		return result, fmt.Errorf("%w: all and block: everything cannot be blocked", control.ErrInvalid)
	}
	if r.Block && r.Client != "" {
		if err = h.mayBlock(ctx, r.Client); err != nil {
			return result, err
		}
	}
	for _, book := range h.books {
		if err = clearIn(ctx, book, &r, &result); err != nil {
			break
		}
	}
	h.log.Info("bindings cleared", "by", who, "cleared", result.Cleared, "blocked", result.Blocked, "whole", err == nil)
	if err == nil && r.Block && !result.Blocked {
		err = fmt.Errorf("%w: block: only delegations of DHCPv6 can be blocked, and the DHCPv6 relay does not run", control.ErrInvalid)
	}
	return result, err
}

// mayBlock returns an error if an identifier names a client that is known only by its addresses:
// a block of it would not hold any more when a server's message tells its DUID.
func (h *House) mayBlock(ctx context.Context, id api.Identifier) error {
	for _, book := range h.books {
		all, _, err := book.Live(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			if c := all[i].Client; c.Kind() == binding.ByAddress && c.Identifier() == string(id) {
				return fmt.Errorf("%w: block: the DUID of this client is not known, and a block of its addresses would end as soon as a server tells it: block the prefix or the link", control.ErrInvalid)
			}
		}
	}
	return nil
}

// clearIn ends what a request names in one role.
func clearIn(ctx context.Context, of AnyBook, r *api.ClearRequest, result *api.ClearResult) error {
	for _, s := range selections(r, of) {
		var n int
		var err error
		if r.Block {
			var can bool
			n, can, err = of.Block(ctx, s)
			result.Blocked = result.Blocked || can
		} else {
			n, err = of.Clear(ctx, s)
		}
		if result.Cleared += n; err != nil {
			return err
		}
	}
	return nil
}

// Trace turns tracing on while anybody reads it. Only one selection is traced at a time, because
// tracing costs something for every packet.
func (h *House) Trace(ctx context.Context, f api.TraceFilter) (<-chan api.Event, error) {
	h.mu.Lock()
	if h.tracing {
		h.mu.Unlock()
		return nil, fmt.Errorf("trace: another trace is running: %w", control.ErrBusy)
	}
	h.tracing = true
	h.mu.Unlock()
	end := func() {
		bounded, cancel := context.WithTimeout(context.Background(), endTrace)
		defer cancel()
		if err := h.trace(bounded, nil); err != nil {
			h.log.Warn("trace not ended", "error", err)
		}
		h.mu.Lock()
		h.tracing = false
		h.mu.Unlock()
	}
	if err := h.trace(ctx, &effect.Trace{Client: string(f.Client), Link: f.Link}); err != nil {
		end()
		return nil, err
	}
	context.AfterFunc(ctx, end)
	events, err := h.feed.Subscribe(ctx, func(e *api.Event) bool {
		return e.Kind == effect.NoteTrace.String() && (f.Client == "" || f.Client == e.Client) && (f.Link == "" || f.Link == e.Link)
	})
	return h.privacy.Events(ctx, events), err
}

// endTrace bounds how long the end of a trace may wait for the cores.
const endTrace = 5 * time.Second

// trace has every role trace what is selected; nil: nothing is traced.
func (h *House) trace(ctx context.Context, t *effect.Trace) error {
	var errs []error
	for _, book := range h.books {
		errs = append(errs, book.Trace(ctx, t))
	}
	return errors.Join(errs...)
}
