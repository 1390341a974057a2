package config

import (
	"cmp"

	"fairlead/internal/core/admission"
)

// linkRate says how many messages a link, and the hosts on it, may send, as the file says it.
// What auto means is decided once the whole rule is known.
type linkRate struct {
	link, linkBurst     int
	source, sourceBurst int
	newcomers           int
}

// Numbers that stand for words of the file, and the defaults. The defaults are far above what
// clients send by themselves (RFC 8415 section 14.1: 20 messages in 20 seconds), even if all of
// them start at once after a power cut, and well below what would keep a relay busy.
const (
	unlimited  = 0
	autoBurst  = 0
	autoRate   = -1
	linkRates  = 10000
	hostRates  = 50
	hostBursts = 4 // the burst of a source, in seconds of its rate
)

func defaultRate() linkRate {
	return linkRate{link: linkRates, linkBurst: autoBurst, source: autoRate, sourceBurst: autoBurst, newcomers: autoRate}
}

// mostRate is more messages per second than one machine can take in.
const mostRate = 10_000_000

// decode reads the limits, and reports limits that contradict each other.
func (r *linkRate) decode(v Value) {
	given := make(map[string]Value)
	number := func(key string, to *int, words func(func(string) (int, error)) func(string) (int, error)) Field {
		return Optional(key, func(v Value) {
			if got, ok := scalar(v, words(integer(1, mostRate))); ok {
				*to, given[key] = got, v
			}
		})
	}
	limit := func(n func(string) (int, error)) func(string) (int, error) { return orWord("unlimited", unlimited, n) }
	orAuto := func(n func(string) (int, error)) func(string) (int, error) { return orWord("auto", autoRate, limit(n)) }
	burst := func(n func(string) (int, error)) func(string) (int, error) { return orWord("auto", autoBurst, n) }
	v.Mapping(
		number("link", &r.link, limit),
		number("link-burst", &r.linkBurst, burst),
		number("source", &r.source, orAuto),
		number("source-burst", &r.sourceBurst, burst),
		number("newcomers", &r.newcomers, orAuto),
	)
	r.check(given)
}

// check reports limits that can have no effect beside the other limits of the mapping. Limits
// that come from the defaults are not reported, as the writer of the mapping did not write them.
func (r *linkRate) check(given map[string]Value) {
	both := func(a, b string) (Value, bool) {
		v, here := given[a]
		_, there := given[b]
		return v, here && there
	}
	if v, ok := both("link-burst", "link"); ok && r.link == unlimited && r.linkBurst != autoBurst {
		v.Problem("a burst beside link: unlimited (auto, or a limit in link)")
	}
	if v, ok := both("source-burst", "source"); ok && r.source == unlimited && r.sourceBurst != autoBurst {
		v.Problem("a burst beside source: unlimited (auto, or a limit in source)")
	}
	for _, part := range []struct {
		key  string
		rate int
	}{{"source", r.source}, {"newcomers", r.newcomers}} {
		if v, ok := both(part.key, "link"); ok && r.link != unlimited && part.rate > r.link {
			v.Problem("%d is above the %d of the link, and never reached (at most %d, auto or unlimited)", part.rate, r.link, r.link)
		}
	}
}

// limits returns the rates, with auto replaced. A relay agent on a trusted link sends for many
// clients, so there one source has no limit.
func (r linkRate) limits(trusted bool) admission.Limits {
	source, newcomers := r.source, r.newcomers
	if source == autoRate {
		source = hostRates
		if trusted {
			source = unlimited
		}
	}
	if newcomers == autoRate {
		newcomers = (r.link + 1) / 2 // 0, which is no limit, stays 0
	}
	linkBurst := cmp.Or(r.linkBurst, r.link)
	l := admission.Limits{
		Link:      rateOf(r.link, linkBurst),
		Source:    rateOf(source, cmp.Or(r.sourceBurst, hostBursts*source)),
		Newcomers: rateOf(newcomers, newcomers),
	}
	if r.link != unlimited && newcomers != unlimited {
		l.Newcomers.Burst = max(1, newcomers*linkBurst/r.link) // as many seconds of its rate as the link has
	}
	return l
}

func rateOf(perSecond, burst int) admission.Rate {
	if perSecond == unlimited {
		return admission.Rate{}
	}
	return admission.Rate{PerSecond: perSecond, Burst: burst}
}
