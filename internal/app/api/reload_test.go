package api_test

import (
	"strings"
	"testing"

	"fairlead/internal/app/api"
)

func TestHoldingsText(t *testing.T) {
	many := make([]api.LinkHoldings, 100)
	for i := range many {
		many[i].Link = "a"
	}
	for want, links := range map[string][]api.LinkHoldings{
		"": nil, "a (1 prefix)": {{Link: "a", Prefixes: 1}},
		"a (2 prefixes, 1 address), b (3 addresses)": {{Link: "a", Prefixes: 2, Addresses: 1}, {Link: "b", Addresses: 3}},
		strings.Repeat("a, ", 16) + "84 more links":  many,
	} {
		if got := api.HoldingsText(links); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
