package loadgen_test

import (
	"strings"
	"testing"

	"fairlead/internal/core/loadgen"
)

func TestParseMix(t *testing.T) {
	for text, want := range map[string]loadgen.Mix{
		"four-way":              {loadgen.FourWay: 1},
		"solicit=3,request=1":   {loadgen.Solicit: 3, loadgen.Request: 1},
		"renew,release=0":       {loadgen.Renew: 1},
		"information-request=9": {loadgen.InformationRequest: 9},
		"rebind=1000000,rapid":  {loadgen.Rebind: 1000000, loadgen.Rapid: 1},
	} {
		got, err := loadgen.DHCPv6.ParseMix(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
		if again, err := loadgen.DHCPv6.ParseMix(loadgen.DHCPv6.MixText(got)); err != nil || again != got {
			t.Errorf("%v, written and read again: %v, %v", got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                    `mix: no kind "": there are solicit, request`,
		"decline":             `mix: no kind "decline"`,
		"solicit=1,":          `mix: no kind ""`,
		"solicit=1,solicit=2": "mix: solicit is named twice",
		"solicit=-1":          `mix: weight "-1" of solicit: want a whole number from 0 to 1000000`,
		"solicit=":            `mix: weight "" of solicit`,
		"solicit=1000001":     `mix: weight "1000001" of solicit`,
		"solicit=0,renew=0":   `mix: "solicit=0,renew=0": every weight is 0`,
	} {
		if _, err := loadgen.DHCPv6.ParseMix(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s...", text, err, want)
		}
	}
}

// At each moment, the kinds have come in nearly their shares.
func TestMixIsEven(t *testing.T) {
	weights := loadgen.Mix{loadgen.Solicit: 5, loadgen.InformationRequest: 1, loadgen.FourWay: 2, loadgen.Rapid: 0}
	const total = 8
	e := loadgen.New(loadgen.Config{Clients: 1, Mix: weights, Timeout: timeout})
	var seen loadgen.Mix
	for n := uint32(1); n <= 10*total; n++ {
		seen[e.Next()]++
		for k, w := range weights {
			// The difference to n*w/total is below one.
			if d := int64(seen[k])*total - int64(n)*int64(w); d >= total || d <= -total {
				t.Fatalf("after %d: %v, shares are %v", n, seen, weights)
			}
		}
	}
}
