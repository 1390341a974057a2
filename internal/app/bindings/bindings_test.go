package bindings

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/config"
	"fairlead/internal/app/control"
	"fairlead/internal/app/privacy"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

const (
	somebody       = "\x00\x03\x00\x01\x02\x00\x5e\x77\x88\x99"
	somebodysRoute = "2001:db8:7788:9900::/56"
)

var started = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func hers() binding.Binding {
	return binding.Binding{
		Link: "d1", Client: binding.DUID(somebody), IAID: 1, Prefix: netip.MustParsePrefix(somebodysRoute),
		NextHop: netip.MustParseAddr("fe80::7788:99ff"), Granted: started,
	}
}

// book is a role that holds what it was given, and remembers what is asked of it.
type book struct {
	live    []binding.Binding
	orphans []api.Delegation
	blocks  bool
	fail    error
	cleared []delegation.Selection
	blocked []delegation.Selection

	mu     sync.Mutex // guards traced
	traced []*effect.Trace
}

func (h *book) Live(context.Context) (all []Living, at instant.Now, err error) {
	for _, b := range h.live {
		all = append(all, Living{Binding: b})
	}
	return all, instant.Now{Wall: started}, h.fail
}

func (h *book) Orphans(context.Context) ([]api.Delegation, error) { return h.orphans, h.fail }

func (h *book) Clients(id api.Identifier) []binding.Client {
	return []binding.Client{binding.DUID(id), binding.DUID(id + "'s")}
}

func (h *book) Clear(_ context.Context, s delegation.Selection) (int, error) {
	h.cleared = append(h.cleared, s)
	return len(h.live), h.fail
}

func (h *book) Block(_ context.Context, s delegation.Selection) (int, bool, error) {
	if !h.blocks {
		return 0, false, nil
	}
	h.blocked = append(h.blocked, s)
	return len(h.live), true, h.fail
}

func (h *book) Trace(_ context.Context, t *effect.Trace) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.traced = append(h.traced, t)
	return h.fail
}

// asked is what was to be traced so far.
func (h *book) asked() []*effect.Trace {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.traced)
}

// past is a history in memory.
type past map[string][]byte

func (p past) Scan(from, to []byte, fn func(k, v []byte) bool) error {
	for k, v := range p {
		if k >= string(from) && k < string(to) && !fn([]byte(k), v) {
			return nil
		}
	}
	return nil
}

func rules(how config.Identifiers) *privacy.Rules {
	return privacy.New(privacy.NewKey(), config.Privacy{History: how}, nil)
}

func houseOf(all ...AnyBook) *House {
	h := NewHouse(slog.New(slog.DiscardHandler), rules(config.IdentifiersFull), past{}, control.NewFeed())
	for _, one := range all {
		h.Add(one)
	}
	return h
}

// Whoever knows a client or a prefix finds what he had, also where the history does not
// say whose it is.
func TestHistoryIsFoundByWhoKnows(t *testing.T) {
	h := houseOf()
	h.privacy = rules(config.IdentifiersHashed)
	p := hers()
	h.privacy.History().Past(&p)
	for _, f := range []api.Filter{{Client: somebody}, {Prefix: netip.MustParsePrefix(somebodysRoute)}, {Link: "d1"}, {}} {
		if masked := h.maskedFilter(f); !matches(&masked, &p) {
			t.Errorf("%+v does not find %+v", f, p)
		}
	}
	for _, f := range []api.Filter{{Client: "another"}, {Prefix: netip.MustParsePrefix("2001:db8:1::/56")}, {Link: "d2"}} {
		if masked := h.maskedFilter(f); matches(&masked, &p) {
			t.Errorf("%+v finds %+v", f, p)
		}
	}
	h.privacy = rules(config.IdentifiersNone)
	if f := (api.Filter{Client: "another"}); h.maskedFilter(f) != f {
		t.Errorf("%+v became %+v, which finds all", f, h.maskedFilter(f))
	}
}

// A list has the orphans too, by prefix and link. A list of one client's has none: whose they are is
// not known.
func TestOrphansAreListed(t *testing.T) {
	before := api.Delegation{Prefix: netip.MustParsePrefix("2001:db8:1::/56"), Link: "d1", Source: api.SourceKernel}
	after := api.Delegation{Prefix: netip.MustParsePrefix("2001:db8:9999::/56"), Link: "d2", Source: api.SourceKernel}
	of := &book{live: []binding.Binding{hers()}, orphans: []api.Delegation{after, before}}
	h := houseOf()
	h.AddLeases(of)
	for _, c := range []struct {
		f    api.Filter
		want []string
	}{
		{api.Filter{}, []string{before.Prefix.String(), somebodysRoute, after.Prefix.String()}},
		{api.Filter{Link: "d1"}, []string{before.Prefix.String(), somebodysRoute}},
		{api.Filter{Prefix: after.Prefix}, []string{after.Prefix.String()}},
		{api.Filter{Client: somebody}, []string{somebodysRoute}},
	} {
		all, err := h.Leases(t.Context(), c.f)
		var got []string
		for i := range all {
			got = append(got, all[i].Prefix.String())
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, %v; want %q", c.f, got, err, c.want)
		}
	}
}

// The history is of all roles, the latest first, and has what is held now.
func TestHistoryOfAllRoles(t *testing.T) {
	later := hers()
	later.Link, later.Granted = "d2", started.Add(time.Minute)
	ended := hers()
	ended.Link, ended.Granted = "d3", started.Add(time.Hour)
	h := houseOf(&book{live: []binding.Binding{hers()}}, &book{live: []binding.Binding{later}})
	got, err := h.History(t.Context(), api.HistoryFilter{})
	if err != nil || len(got) != 2 || got[0].Link != "d2" || got[1].Link != "d1" {
		t.Errorf("history %+v, %v", got, err)
	}
	if got, err = h.History(t.Context(), api.HistoryFilter{Limit: 1}); err != nil || len(got) != 1 || got[0].Link != "d2" {
		t.Errorf("the newest entry: %+v, %v", got, err)
	}
	broken := errors.New("down")
	h.Add(&book{fail: broken})
	if _, err = h.History(t.Context(), api.HistoryFilter{}); !errors.Is(err, broken) {
		t.Errorf("with a role that does not answer: %v, want %v", err, broken)
	}
}

// What a request names ends in every role, whoever of its clients the identifier names.
func TestClearInEveryRole(t *testing.T) {
	a, b := &book{live: make([]binding.Binding, 2)}, &book{live: make([]binding.Binding, 1)}
	h := houseOf(a, b)
	result, err := h.Clear(t.Context(), api.ClearRequest{Client: somebody, Link: "d1"}, "operator")
	want := []delegation.Selection{{Client: binding.DUID(somebody), Link: "d1"}, {Client: binding.DUID(somebody + "'s"), Link: "d1"}}
	if err != nil || result.Cleared != 6 || result.Blocked || !slices.Equal(a.cleared, want) || !slices.Equal(b.cleared, want) {
		t.Errorf("%+v, %v; %v and %v, want %v", result, err, a.cleared, b.cleared, want)
	}
	down := errors.New("down")
	a.fail = down
	if _, err := h.Clear(t.Context(), api.ClearRequest{All: true}, "operator"); !errors.Is(err, down) {
		t.Errorf("with a role that fails: %v", err)
	}
	if last := b.cleared[len(b.cleared)-1]; last.All {
		t.Errorf("after the failure, %v was cleared as well", last)
	}
}

// What is blocked ends only in roles that have blocks; where none has, that is an error.
func TestBlockWhereThereAreBlocks(t *testing.T) {
	with, without := &book{live: make([]binding.Binding, 1), blocks: true}, &book{live: make([]binding.Binding, 1)}
	r := api.ClearRequest{Link: "d1", Block: true}
	result, err := houseOf(without, with).Clear(t.Context(), r, "operator")
	if err != nil || !result.Blocked || result.Cleared != 1 || len(with.blocked) != 1 || len(without.cleared)+len(without.blocked)+len(with.cleared) != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if result, err = houseOf(without).Clear(t.Context(), r, "operator"); !errors.Is(err, control.ErrInvalid) || result.Cleared != 0 {
		t.Errorf("without blocks: %+v, %v", result, err)
	}
}

// A client that is known by its addresses alone cannot be blocked, and nothing of it ends by
// the attempt. Others that are named together with a link or a prefix can.
func TestBlockOfAddressesIsRefused(t *testing.T) {
	b := hers()
	b.Client = binding.AtAddress(b.NextHop, b.LinkLayer)
	one := &book{live: []binding.Binding{b}, blocks: true}
	h := houseOf(&book{}, one)
	r := api.ClearRequest{Client: api.Identifier(b.Client.Identifier()), Link: "d1", Block: true}
	result, err := h.Clear(t.Context(), r, "operator")
	if !errors.Is(err, control.ErrInvalid) || !strings.Contains(err.Error(), "DUID") || result != (api.ClearResult{}) || len(one.blocked)+len(one.cleared) != 0 {
		t.Errorf("%+v, %v; cleared %v, blocked %v", result, err, one.cleared, one.blocked)
	}
	r.Client = somebody
	if _, err := h.Clear(t.Context(), r, "operator"); err != nil || len(one.blocked) != 2 {
		t.Errorf("somebody else: %v, blocked %v", err, one.blocked)
	}
	down := errors.New("down")
	one.fail = down
	if _, err := h.Clear(t.Context(), r, "operator"); !errors.Is(err, down) {
		t.Errorf("with a role that does not answer: %v", err)
	}
}

// One selection is traced at a time, in every role, and as long as anybody reads.
func TestTraceInEveryRole(t *testing.T) {
	a, b := &book{}, &book{}
	h := houseOf(a, b)
	ctx, end := context.WithCancel(t.Context())
	events, err := h.Trace(ctx, api.TraceFilter{Client: somebody})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []*book{a, b} {
		if all := one.asked(); len(all) != 1 || *all[0] != (effect.Trace{Client: somebody}) {
			t.Errorf("traced %v", all)
		}
	}
	if _, err := h.Trace(t.Context(), api.TraceFilter{Link: "d1"}); !errors.Is(err, control.ErrBusy) {
		t.Errorf("a second trace: %v", err)
	}
	end()
	for range events {
		continue
	}
	for { // the end comes soon after that of its reader
		next, stop := context.WithCancel(t.Context())
		_, err := h.Trace(next, api.TraceFilter{Link: "d1"})
		stop()
		if err == nil {
			break
		}
	}
	for _, one := range []*book{a, b} {
		if next := one.asked()[1]; next != nil {
			t.Errorf("after the end of the first trace, %v is traced", next)
		}
	}
}
