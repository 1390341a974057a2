package delegation_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
	"fairlead/internal/wire/linkaddr"
)

// A source may not know the IAID, as leasequery does not, or the DUID either, as a
// server's word beside an encrypted Reply does not.

var (
	her     = binding.DUID("her DUID")
	herHop  = netip.MustParseAddr("fe80::a")
	herHost = linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 1})
	another = linkaddr.From([]byte{2, 0, 0x5e, 0x10, 0, 2})
	hers    = netip.MustParsePrefix("2001:db8:100::/56")
)

// A reply is what a Reply that can be read grants; the others tell less.
func reply() delegation.Grant {
	return delegation.Grant{
		Link: "lan0", Prefix: hers, Client: her, IAID: 7, NextHop: herHop, LinkLayer: herHost,
		Preferred: time.Hour, Lifetime: time.Hour, Server: "kea", Source: binding.FromReply,
	}
}

func withoutIAID() delegation.Grant {
	g := reply()
	g.IAID, g.NoIAID = 0, true
	return g
}

func withoutDUID() delegation.Grant {
	g := withoutIAID()
	g.Client = binding.AtAddress(g.NextHop, g.LinkLayer)
	return g
}

func learnAll(table *delegation.Table, limit int, grants ...delegation.Grant) (events []binding.Event) {
	for _, g := range grants {
		events = table.Learn(events[:0], instant.Now{Boot: 1}, g, delegation.Terms{
			Policy:   &delegation.Policy{ClientLimit: limit, LinkLimit: 9, Move: delegation.MoveDeny},
			Reserved: func(*delegation.Grant) bool { return false },
		})
	}
	return events
}

func TestTheRestIsFilledIn(t *testing.T) {
	elsewhere := func(g delegation.Grant) delegation.Grant { g.NextHop = netip.MustParseAddr("fe80::b"); return g }
	byAnother := func(g delegation.Grant) delegation.Grant { g.LinkLayer = another; return g }
	noHost := func(g delegation.Grant) delegation.Grant { g.LinkLayer = linkaddr.Addr{}; return g }
	onLAN1 := func(g delegation.Grant) delegation.Grant { g.Link = "lan1"; return g }
	contested := func(g delegation.Grant) delegation.Grant { g.Contested = true; return g }
	for name, tc := range map[string]struct {
		first, second delegation.Grant
		want          binding.EventKind
		client        binding.Client // in the end
		iaid          bool           // known in the end
	}{
		"the IAID, by a Reply":                                  {withoutIAID(), reply(), binding.Extended, her, true},
		"the DUID, by a Reply":                                  {withoutDUID(), reply(), binding.Extended, her, true},
		"the DUID, by leasequery":                               {withoutDUID(), withoutIAID(), binding.Extended, her, false},
		"the DUID, where no link-layer address was known":       {noHost(withoutDUID()), reply(), binding.Extended, her, true},
		"the DUID, where none is known now":                     {withoutDUID(), noHost(reply()), binding.Extended, her, true},
		"nothing that is known is lost, by leasequery":          {reply(), withoutIAID(), binding.Extended, her, true},
		"nothing that is known is lost, by a word without":      {reply(), withoutDUID(), binding.Extended, her, true},
		"an IAID that is not known stays so":                    {withoutIAID(), withoutDUID(), binding.Extended, her, false},
		"another next hop is a move":                            {withoutDUID(), elsewhere(reply()), binding.Refused, withoutDUID().Client, false},
		"another next hop is a move, also without an IAID":      {noHost(withoutIAID()), elsewhere(reply()), binding.Refused, her, false},
		"another link is a move":                                {withoutDUID(), onLAN1(reply()), binding.Refused, withoutDUID().Client, false},
		"another link is a move, also without an IAID":          {withoutIAID(), onLAN1(reply()), binding.Refused, her, false},
		"another link-layer address is a move":                  {withoutDUID(), byAnother(reply()), binding.Refused, withoutDUID().Client, false},
		"a contested address says nothing of who somebody is":   {withoutDUID(), contested(byAnother(reply())), binding.Refused, withoutDUID().Client, false},
		"a word without a DUID for somebody else's is a move":   {reply(), byAnother(withoutDUID()), binding.Refused, her, true},
		"leasequery by another address of the holder is a move": {reply(), elsewhere(withoutIAID()), binding.Refused, her, true},
	} {
		t.Run(name, func(t *testing.T) {
			table := delegation.New()
			events := learnAll(table, 8, tc.first, tc.second)
			if len(events) != 1 || events[0].Kind != tc.want {
				t.Fatalf("events %+v, want one that is %v", events, tc.want)
			}
			got, _ := table.Lookup("", hers)
			if got.Client != tc.client || got.NoIAID == tc.iaid || tc.iaid && got.IAID != 7 {
				t.Errorf("held by %q, IAID %d (unknown: %v); want %q, known: %v", got.Client.Append(nil), got.IAID, got.NoIAID, tc.client.Append(nil), tc.iaid)
			}
			if !table.Holds("lan0", tc.client, 7, binding.Prefix) || tc.client == her && table.Holds("lan0", withoutDUID().Client, 7, binding.Prefix) {
				t.Error("the delegation is not found under its client alone")
			}
		})
	}
}

// The limit of clients counts who has no DUID by addresses.
func TestLimitWithoutDUID(t *testing.T) {
	second, other := withoutDUID(), withoutDUID()
	second.Prefix = netip.MustParsePrefix("2001:db8:200::/56")
	other.Prefix, other.LinkLayer = netip.MustParsePrefix("2001:db8:300::/56"), another
	other.Client = binding.AtAddress(other.NextHop, other.LinkLayer)
	for name, tc := range map[string]struct {
		g    delegation.Grant
		want binding.EventKind
	}{"a second one": {second, binding.Refused}, "another's": {other, binding.Granted}} {
		if events := learnAll(delegation.New(), 1, withoutDUID(), tc.g); len(events) != 1 || events[0].Kind != tc.want {
			t.Errorf("%s: %+v, want %v", name, events, tc.want)
		}
	}
}

// The server takes a prefix back with a lifetime of 0, whatever of the client it tells.
func TestWithdrawnWithoutDUID(t *testing.T) {
	end := withoutDUID()
	end.Preferred, end.Lifetime = 0, 0
	for name, g := range map[string]delegation.Grant{"known": reply(), "not known": withoutDUID()} {
		if events := learnAll(delegation.New(), 8, g, end); len(events) != 1 || events[0].Reason != binding.Withdrawn {
			t.Errorf("%s: %+v, want it withdrawn", name, events)
		}
	}
}

// A Release of what has no IAID counts if it lists the prefix, and comes from the next
// hop and its link-layer address.
func TestReleaseWithoutIAID(t *testing.T) {
	good := delegation.Named{Link: "lan0", Client: her, IAID: 7, Source: herHop, LinkLayer: herHost, Prefixes: []netip.Prefix{hers}}
	for name, tc := range map[string]struct {
		change     func(*delegation.Named)
		ends       bool
		mismatched int
	}{
		"the holder's":               {func(*delegation.Named) {}, true, 0},
		"of any IAID":                {func(r *delegation.Named) { r.IAID = 8 }, true, 0},
		"on another link":            {func(r *delegation.Named) { r.Link = "lan1" }, false, 1},
		"from another source":        {func(r *delegation.Named) { r.Source = netip.MustParseAddr("fe80::b") }, false, 1},
		"by another host":            {func(r *delegation.Named) { r.LinkLayer = another }, false, 1},
		"without link-layer address": {func(r *delegation.Named) { r.LinkLayer = linkaddr.Addr{} }, false, 1},
		"that lists nothing":         {func(r *delegation.Named) { r.Prefixes = nil }, false, 0},
		"by another client":          {func(r *delegation.Named) { r.Client = binding.DUID("his") }, false, 1},
		"of an address":              {func(r *delegation.Named) { r.Kind = binding.Address }, false, 1},
	} {
		table := delegation.New()
		learnAll(table, 8, withoutIAID())
		r := good
		tc.change(&r)
		events, mismatched := table.Release(nil, r)
		if (len(events) == 1) != tc.ends || mismatched != tc.mismatched {
			t.Errorf("%s: %+v, %d mismatched; want an end: %v, and %d", name, events, mismatched, tc.ends, tc.mismatched)
		}
	}
}
