package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/core/admission"
)

// What auto means depends on the other limits of the rule, whether they stand in the rule or in
// the defaults.
func TestRates(t *testing.T) {
	rate := func(perSecond, burst int) admission.Rate {
		return admission.Rate{PerSecond: perSecond, Burst: burst}
	}
	none := admission.Rate{}
	for _, c := range []struct {
		name, defaults, link string
		want                 admission.Limits
	}{
		{"nothing said", "{}", "match: ppp0", admission.Limits{Link: rate(10000, 10000), Source: rate(50, 200), Newcomers: rate(5000, 5000)}},
		{
			"a relay agent below", "{}", "match: ppp0, trusted: true",
			admission.Limits{Link: rate(10000, 10000), Source: none, Newcomers: rate(5000, 5000)},
		},
		{
			"a relay agent with a limit", "{}", "match: ppp0, trusted: true, rate: {source: 300}",
			admission.Limits{Link: rate(10000, 10000), Source: rate(300, 1200), Newcomers: rate(5000, 5000)},
		},
		{
			"bursts and newcomers follow", "{}", "match: ppp0, rate: {link: 101, source: 3}",
			admission.Limits{Link: rate(101, 101), Source: rate(3, 12), Newcomers: rate(51, 51)},
		},
		{
			"newcomers burst for as long as the link", "{}", "match: ppp0, rate: {link: 1000, link-burst: 100, newcomers: 200}",
			admission.Limits{Link: rate(1000, 100), Source: rate(50, 200), Newcomers: rate(200, 20)},
		},
		{
			"the smallest numbers", "{}", "match: ppp0, rate: {link: 1, link-burst: 1, source: 1, source-burst: 1}",
			admission.Limits{Link: rate(1, 1), Source: rate(1, 1), Newcomers: rate(1, 1)},
		},
		{
			"no limit of the link, so none of newcomers", "{}", "match: ppp0, rate: {link: unlimited}",
			admission.Limits{Link: none, Source: rate(50, 200), Newcomers: none},
		},
		{
			"newcomers alone", "{}", "match: ppp0, rate: {link: unlimited, source: unlimited, newcomers: 7}",
			admission.Limits{Link: none, Source: none, Newcomers: rate(7, 7)},
		},
		{"no limit at all", "{rate: {link: unlimited, source: unlimited}}", "match: ppp0", admission.Limits{}},
		{
			"defaults and link together", "{rate: {link: 400, link-burst: 800, source: 5}}", "match: ppp0, rate: {source-burst: 9}",
			admission.Limits{Link: rate(400, 800), Source: rate(5, 9), Newcomers: rate(200, 400)},
		},
		{
			"trust comes with the link", "{rate: {link: 400}}", "match: ppp0, trusted: true",
			admission.Limits{Link: rate(400, 400), Source: none, Newcomers: rate(200, 200)},
		},
		{
			"a small link below large defaults", "{rate: {source: 60, newcomers: 70}}", "match: ppp0, rate: {link: 10}",
			admission.Limits{Link: rate(10, 10), Source: rate(60, 240), Newcomers: rate(70, 70)},
		},
	} {
		text := whole("relay6:\n  defaults: " + c.defaults + "\n  links: [{" + c.link + "}]\n")
		got := relay6Of(parsed(t, text)).Links[0].Rate
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s: (-want +got)\n%s", c.name, strings.TrimSpace(c.link), diff)
		}
	}
}
