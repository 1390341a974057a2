package api_test

import (
	"net/netip"
	"testing"

	"fairlead/internal/app/api"
)

func TestEventPrefix(t *testing.T) {
	d := api.Delegation{Prefix: netip.MustParsePrefix("2001:db8:1200::/56")}
	if got := (&api.Event{Delegation: &d}).Prefix(); got != d.Prefix {
		t.Errorf("%v, want %v", got, d.Prefix)
	}
	if got := new(api.Event).Prefix(); got.IsValid() {
		t.Errorf("of none: %v, want an invalid prefix", got)
	}
}
