package relay

import (
	"context"

	"fairlead/internal/app/config"
	"fairlead/internal/core/effect"
	"fairlead/internal/core/instant"
)

// Reconfigure has a configuration hold.
func (d *player) Reconfigure(ctx context.Context, next *config.Config) error {
	return d.engine.Call(context.WithoutCancel(ctx), func(_ instant.Now, eff *effect.Effects) {
		d.mu.Lock()
		d.cfg = next
		d.mu.Unlock()
		d.engine.Core.Reconfigure(d.coreConfig(next), eff)
		d.engine.Core.SetTrace(d.book.Traced())
		d.relay.net.Configure(next.PeersOf(config.DHCPv6, "relay6"), section(next).SourcePort)
		d.relay.LinksChanged(d.engine.Core)
	})
}
