package relay

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/app/api"
	"fairlead/internal/app/bindings"
	"fairlead/internal/app/control"
	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/linkaddr"
)

// An operator names a client as lists show it, by its DUID or, where that is not known, by
// its addresses, and only what that client holds ends.
func TestClientIsNamedAsItIsShown(t *testing.T) {
	hop := netip.MustParseAddr("fe80::5eff:fe10:1")
	mac := linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 1})
	p := quietPlayed(t)
	now := service.Now()
	var kept []binding.Record
	for n, c := range []binding.Client{
		binding.DUID("\x00\x03\x00\x01\x02\x00\x5e\x10\x00\x01"), binding.AtAddress(hop, mac), binding.AtAddress(hop, linkaddr.Addr{}), binding.AtAddress(hop.Next(), mac),
	} {
		kept = append(kept, binding.Record{Space: binding.Relay6, BootID: "boot", Binding: binding.Binding{
			Link: "dA", Client: c, NoIAID: true, NextHop: hop, Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(n)}), 56),
			Valid: now.Boot.After(time.Hour), Lifetime: time.Hour,
		}})
	}
	var eff effect.Effects
	p.Core.Restore(now, slices.Values(kept), nil, time.Time{}, &eff)
	p.run(t)
	book := bindings.NewBook(bindings.Options[*relay6.Relay]{
		Engine: p.Engine, Clients: clients, Block: (*relay6.Relay).Block, Live: (*relay6.Relay).Delegations,
	})
	house := bindings.NewHouse(slog.New(slog.DiscardHandler), nil, nil, control.NewFeed())
	house.Add(book)
	shown, err := bindings.List(t.Context(), book, api.Filter{})
	if err != nil || len(shown) != len(kept) {
		t.Fatalf("shown %+v, %v", shown, err)
	}
	for n := range shown {
		named, err := api.ParseIdentifier(shown[n].Client.String())
		if err != nil {
			t.Fatal(err)
		}
		if one, err := bindings.List(t.Context(), book, api.Filter{Client: named}); err != nil || len(one) != 1 || one[0].Prefix != shown[n].Prefix {
			t.Errorf("%v selects %+v, %v; want %s", named, one, err, shown[n].Prefix)
		}
		if done, err := house.Clear(t.Context(), api.ClearRequest{Client: named}, "operator"); err != nil || done.Cleared != 1 {
			t.Errorf("clear of %v: %+v, %v", named, done, err)
		}
		if left, err := bindings.List(t.Context(), book, api.Filter{}); err != nil || len(left) != len(shown)-n-1 || slices.ContainsFunc(left, func(d api.Delegation) bool { return d.Prefix == shown[n].Prefix }) {
			t.Errorf("after the clear of %v: %+v, %v", named, left, err)
		}
	}
	if done, err := house.Clear(t.Context(), api.ClearRequest{Client: "somebody", Block: true}, "operator"); err != nil || !done.Blocked {
		t.Errorf("a block: %+v, %v", done, err)
	}
	if blocks := p.Core.Blocks(); len(blocks) != 1 || blocks[0].Client != binding.DUID("somebody") {
		t.Errorf("blocked: %+v, want the client with that DUID alone", blocks)
	}
}
