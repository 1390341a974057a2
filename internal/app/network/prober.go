package network

import (
	"context"
	"log/slog"

	"fairlead/internal/app/notes"
	"fairlead/internal/app/service"
	"fairlead/internal/core/binding"
	"fairlead/internal/core/effect"
	"fairlead/internal/host/nft"
	"fairlead/internal/host/probe"
)

// Prober asks next hops on links with clients whether they are still there.
type Prober struct {
	Log    *slog.Logger
	Once   *notes.Limiter
	Filter *nft.Table
}

// Ask reports whether a next hop answers, and, if a prefix is asked for, has used it lately. asked
// is false if it could not be asked.
func (b *Prober) Ask(ctx context.Context, p effect.Probe) (answers, asked bool) {
	if p.Prefix.IsValid() && !b.uses(p) {
		return false, true
	}
	answers, err := probe.Answers(ctx, p.Index, p.NextHop.Addr, p.NextHop.LinkLayer)
	if err != nil {
		if times, due := b.Once.Due("probe "+p.NextHop.Link, service.Now().Boot); due && ctx.Err() == nil {
			b.Log.Warn("next hop not probed", "link", p.NextHop.Link, "error", err, "times", times)
		}
		return false, false
	}
	return answers, true
}

// uses reports whether a next hop has lately sent from a prefix. If the filter cannot tell, it
// returns true: then the answer to the probe decides.
func (b *Prober) uses(p effect.Probe) bool {
	ago, known, err := b.Filter.LastUsed(p.NextHop.Link, p.NextHop.LinkLayer, p.Prefix)
	if err == nil && known {
		return ago < binding.Claimed
	}
	if times, due := b.Once.Due("uses "+p.NextHop.Link, service.Now().Boot); due {
		b.Log.Warn("the filter does not tell whether a client uses its prefix: that it answers a probe is enough to keep it", "link", p.NextHop.Link, "error", err, "times", times)
	}
	return true
}
