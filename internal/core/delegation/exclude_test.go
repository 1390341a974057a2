package delegation_test

import (
	"net/netip"
	"testing"
	"time"

	"fairlead/internal/core/delegation"
	"fairlead/internal/core/instant"
)

// What is excluded from a prefix (RFC 6603) is kept with it; a record of before,
// which knows no exclusion, reads as one without.
func TestRecordWithExclusion(t *testing.T) {
	d := delegation.Delegation{
		Link: "d1", Prefix: netip.MustParsePrefix("2001:db8:100::/56"), Client: "duid", NextHop: netip.MustParseAddr("fe80::a"),
		Valid: instant.Instant(time.Hour), Server: "srv", Source: delegation.FromReply,
	}
	now := instant.Now{Wall: time.Unix(1800000000, 0), Synced: true}
	plain := delegation.AppendRecord(nil, &d, now, "boot")
	if r, err := delegation.ParseRecord(plain); err != nil || r.Exclude.IsValid() || plain[0] != 1 {
		t.Errorf("without: %v, %v, version %d; want none, version 1", r.Exclude, err, plain[0])
	}
	d.Exclude = netip.MustParsePrefix("2001:db8:100:ff::/64")
	whole := delegation.AppendRecord(nil, &d, now, "boot")
	r, err := delegation.ParseRecord(whole)
	if err != nil || r.Exclude != d.Exclude || r.Prefix != d.Prefix {
		t.Errorf("with: %v of %v, %v", r.Exclude, r.Prefix, err)
	}
	if again := r.Append(nil); string(again) != string(whole) {
		t.Errorf("written again: %x, want %x", again, whole)
	}
	for n := range whole {
		if _, err := delegation.ParseRecord(whole[:n]); err == nil {
			t.Errorf("the first %d octets are a record", n)
		}
	}
	for _, odd := range []string{"2001:db8:100::/56", "2001:db8::/32", "2001:db8:200::/64"} {
		d.Exclude = netip.MustParsePrefix(odd)
		if _, err := delegation.ParseRecord(delegation.AppendRecord(nil, &d, now, "boot")); err == nil {
			t.Errorf("%s is excluded from %s", odd, d.Prefix)
		}
	}
	table := delegation.New()
	r.Exclude = netip.MustParsePrefix("2001:db8:100:ff::/64")
	table.Restore(now, r, "boot", time.Time{})
	if got, _ := table.Lookup("", d.Prefix); got.Exclude != r.Exclude {
		t.Errorf("restored: %v, want %v", got.Exclude, r.Exclude)
	}
}
