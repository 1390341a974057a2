package ledger_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
	"fairlead/internal/core/ledger"
)

// viewer is a ledger of a core that wants nothing of the kernel, and its table.
func viewer(in binding.Space) (*ledger.Ledger, *delegation.Table) {
	table := delegation.New()
	return ledger.New(table.Table, nil, ledger.Core{}, in, "boot"), table
}

var leased = binding.Binding{
	Link: "lan0", Prefix: netip.MustParsePrefix("192.0.2.7/32"), Kind: binding.Address, Client: binding.ClientID("\x01alice"), NoIAID: true,
	NextHop: netip.MustParseAddr("192.0.2.7"), Valid: instant.Instant(time.Hour), Lifetime: time.Hour,
}

// What clients know of stays where the store does not take it, whatever becomes of the
// Changes behind it, and is kept once the store is back. It asks nothing of the kernel.
func TestToldIsNotTakenBack(t *testing.T) {
	now := instant.Now{Boot: 1, Wall: time.Unix(1700000000, 0), Synced: true}
	l, table := viewer(binding.Relay4)
	var eff effect.Effects
	table.Add(&leased)
	l.Told(now, []binding.Event{{Kind: binding.Granted, New: leased}}, &eff)
	longer := leased
	longer.Valid = longer.Valid.After(time.Hour)
	table.Extend(table.At("", leased.Prefix), &longer)
	l.Told(now, []binding.Event{{Kind: binding.Extended, Old: leased, New: longer}}, &eff)
	if l.Told(now, nil, &eff); len(eff.Changes) != 2 {
		t.Fatalf("%d changes, want 2: nothing that happened is no change", len(eff.Changes))
	}
	changes := slices.Clone(eff.Changes)
	for _, c := range changes {
		if !c.Follows || len(c.Host) > 0 {
			t.Errorf("%+v", c)
		}
		eff.Reset()
		l.Settle(now, effect.Outcome{ID: c.ID, Keep: errors.New("no space left on device")}, &eff)
	}
	if got, ok := table.Lookup("", leased.Prefix); !ok || got.Valid != longer.Valid || l.TakenBack() != 0 || l.Progress().Unkept != 1 {
		t.Errorf("%+v, %v; %+v", got, ok, l.Progress())
	}
	eff.Reset()
	now.Boot += instant.Instant(time.Minute)
	l.Tick(now, &eff)
	if len(eff.Changes) != 1 || len(eff.Changes[0].Keep) != 1 {
		t.Fatalf("%+v", eff.Changes)
	}
	r, err := binding.ParseRecord(eff.Changes[0].Keep[0].Value)
	if err != nil || r.Space != binding.Relay4 || r.Valid != longer.Valid {
		t.Errorf("%+v, %v", r, err)
	}
}

// What ends at one instant in two roles has two records in the one history; the key of the
// time when there was one role is read as well.
func TestHistoryOfTwoRoles(t *testing.T) {
	now := instant.Now{Boot: 1, Wall: time.Unix(1700000000, 5), Synced: true}
	keys := map[string]bool{}
	for _, in := range []binding.Space{binding.Relay6, binding.Relay4} {
		l, _ := viewer(in)
		var eff effect.Effects
		l.Told(now, []binding.Event{{Kind: binding.Ended, Reason: binding.Expired, Old: leased}}, &eff)
		for _, op := range eff.Changes[0].Keep {
			if !ledger.IsPast(op.Key) {
				continue
			}
			keys[string(op.Key)] = true
			for _, key := range [][]byte{op.Key, op.Key[:11]} {
				p, err := ledger.ParsePast(key, op.Value)
				if err != nil || p.Space != in || p.Reason != "expired" || !p.Ended.Equal(now.Wall) || p.Client != leased.Client {
					t.Errorf("%x: %+v, %v", key, p, err)
				}
			}
		}
	}
	if len(keys) != 2 {
		t.Errorf("%d keys, want 2", len(keys))
	}
}
