package delegation_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
)

// A renewal is looked at again for overlaps once something was put in that was
// not: restored, undone or moved to another VRF.
func TestRenewalBesideWhatWasPutIn(t *testing.T) {
	table := delegation.New()
	learn := func(client string, p netip.Prefix) binding.Event {
		t.Helper()
		got := table.Learn(nil, instant.Now{Boot: 1}, delegation.Grant{
			Link: "lan0", Prefix: p, Client: binding.DUID(client), NextHop: modelHops[0], Preferred: time.Hour, Lifetime: time.Hour,
		}, delegation.Terms{
			Policy:   &delegation.Policy{ClientLimit: 9, LinkLimit: 9},
			Reserved: func(*delegation.Grant) bool { return false },
		})
		if len(got) != 1 {
			t.Fatalf("%s %v: events %+v, want one", client, p, got)
		}
		return got[0]
	}
	hers, within := netip.MustParsePrefix("2001:db8:100::/56"), netip.MustParsePrefix("2001:db8:100:8::/64")
	for _, want := range []binding.EventKind{binding.Granted, binding.Extended, binding.Extended} {
		if got := learn("alice", hers); got.Kind != want {
			t.Fatalf("%v, want %v", got.Kind, want)
		}
	}
	put := func(client string) {
		table.Put(binding.Binding{Link: "lan0", Client: binding.DUID(client), Prefix: within, NextHop: modelHops[1], Valid: instant.Never})
	}
	put("bob")
	for range 2 {
		if got := learn("alice", hers); got.Kind != binding.Refused || got.Reason != binding.Overlap {
			t.Errorf("beside bob's %v: %v %v, want a refusal for overlap", within, got.Kind, got.Reason)
		}
	}
	put("alice")
	if got := learn("alice", hers); got.Kind != binding.Extended {
		t.Errorf("beside her own %v: %v %v, want it extended", within, got.Kind, got.Reason)
	}
}
